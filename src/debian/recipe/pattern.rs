//! Names of packages and globs of paths: what is well formed, and what a glob matches.

use globset::GlobBuilder;

/// The name of a package or a glob of names, in which `*` is anything and `?` one character.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackagePattern<'a>(&'a str);

impl<'a> PackagePattern<'a> {
    pub(super) fn new(pattern: &'a str) -> Self {
        Self(pattern)
    }

    pub(super) fn matches(self, name: &str) -> bool {
        // Where a `*` was seen last, and how much of the name it has taken so far.
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut here) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while here < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, here));
                    at += 1;
                }
                Some(byte) if *byte == b'?' || Some(byte) == name.get(here) => {
                    at += 1;
                    here += 1;
                }
                _ => match star {
                    Some((asterisk, taken)) => {
                        star = Some((asterisk, taken + 1));
                        at = asterisk + 1;
                        here = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern.iter().skip(at).all(|byte| *byte == b'*')
    }
}

/// What is wrong with the name of a package (Debian Policy 5.6.1).
pub(super) fn package_fault(name: &str) -> Option<String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = name.len() >= 2
        && name.bytes().next().is_some_and(good)
        && name
            .bytes()
            .all(|byte| good(byte) || matches!(byte, b'+' | b'-' | b'.'));
    (!is_name).then(|| {
        format!("{name:?} is no name of a package: lower-case letters, digits, \"+\", \"-\" and \".\", two at the least")
    })
}

/// What is wrong with a name or glob of packages.
pub(super) fn package_pattern_fault(pattern: &str) -> Option<String> {
    // What a glob stands for is of no account for whether it is well formed.
    let name = pattern.replace('*', "xx").replace('?', "x");
    if package_fault(&name).is_some() {
        return Some(format!(
            "{pattern:?} is neither the name of a package nor a glob of names such as \"perl*\""
        ));
    }
    let letters = pattern.bytes().filter(|byte| !matches!(byte, b'*' | b'?'));
    (letters.count() < 2).then(|| format!("the glob {pattern:?} would leave out nearly everything"))
}

/// What is wrong with a path in an image, or a glob of paths.
pub(super) fn path_fault(path: &str) -> Option<String> {
    let Some(relative) = path.strip_prefix('/') else {
        return Some(format!(
            "{path:?} is no path in an image: it begins with \"/\""
        ));
    };
    if relative
        .split('/')
        .any(|name| matches!(name, "" | "." | ".."))
    {
        return Some(format!("{path:?} has an empty name, \".\" or \"..\" in it"));
    }
    let top = relative.split('/').next().unwrap_or_default();
    if top == "bin" || top == "sbin" || top.starts_with("lib") {
        return Some(format!(
            "/{top} is a link to /usr/{top}; write {:?}",
            format!("/usr{path}")
        ));
    }
    let glob = GlobBuilder::new(path).literal_separator(true).build();
    glob.err()
        .map(|error| format!("{path:?} is no glob: {}", error.kind()))
}

/// What is wrong with a path that may hold variables, here those that `known` lists.
pub(super) fn variable_fault(text: &str, known: &[&str]) -> Option<String> {
    let mut rest = text.to_owned();
    for variable in known {
        rest = rest.replace(variable, "x");
    }
    rest.contains(['{', '}']).then(|| {
        format!(
            "{text:?} has an unknown variable; there are {}",
            known.join(" and ")
        )
    })
}
