//! Lists of patterns of which the last that matches decides: `.dockerignore`, and `files` of
//! package.json.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// How many patterns a list may have.
const MAX_PATTERNS: usize = 1_000;

/// An ordered list of patterns.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns {
    rules: Vec<(GlobMatcher, Sense)>,
    /// Patterns that are none.
    pub(super) bad: Vec<String>,
}

/// What a pattern says of what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    /// It is meant.
    Listed,
    /// It is excepted: the pattern starts with `!`.
    Excepted,
}

impl Patterns {
    /// The patterns of a `.dockerignore` (Docker's "Build context", Go's `filepath.Match` and
    /// `**`): relative to the directory of the file, whatever slash they start with.
    pub(super) fn dockerignore(text: &str) -> Self {
        let lines = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self::new(lines)
    }

    /// The patterns of `files` in a package.json: a directory stands for all that is in it.
    pub(super) fn files(list: &[String]) -> Self {
        Self::new(list.iter().map(|pattern| pattern.trim()))
    }

    fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        for pattern in patterns.take(MAX_PATTERNS) {
            let (sense, text) = match pattern.strip_prefix('!') {
                Some(rest) => (Sense::Excepted, rest.trim()),
                None => (Sense::Listed, pattern),
            };
            let Some(text) = normal(text) else {
                continue;
            };
            match GlobBuilder::new(&text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
            {
                Ok(glob) => list.rules.push((glob.compile_matcher(), sense)),
                Err(_) => list.bad.push(pattern.to_owned()),
            }
        }
        list
    }

    /// What the last pattern that matches `path` or a directory above it says.
    pub(super) fn sense(&self, path: &Path) -> Option<Sense> {
        let matches = |glob: &GlobMatcher| {
            path.ancestors()
                .filter(|part| !part.as_os_str().is_empty())
                .any(|part| glob.is_match(part))
        };
        let mut rules = self.rules.iter().rev();
        rules
            .find(|(glob, _)| matches(glob))
            .map(|(_, sense)| *sense)
    }

    /// Whether something below a directory that is meant may be excepted.
    pub(super) fn has_exceptions(&self) -> bool {
        self.rules
            .iter()
            .any(|(_, sense)| *sense == Sense::Excepted)
    }
}

/// The pattern without what does not matter: slashes at its ends, `.` components. Braces are
/// letters. `None` for one that names nothing; `**` for the directory itself.
fn normal(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Some("**".to_owned());
    }
    Some(parts.join("/").replace('{', "\\{").replace('}', "\\}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str) -> bool {
        Patterns::dockerignore(text).sense(Path::new(path)) == Some(Sense::Listed)
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let text = "# comment\n*.md\n!README.md\n/dist/\n**/*.log\n  tmp  \ndocs/**\n!docs/x/y\n";
        for path in [
            "a.md",
            "dist",
            "dist/x.js",
            "x.log",
            "a/b/x.log",
            "tmp/x",
            "docs/a/b",
        ] {
            assert!(ignored(text, path), "{path}");
        }
        for path in [
            "README.md",
            "a/b.md",
            "a/dist/x",
            "src/x.js",
            "docs/x/y",
            "docs/x/y/z",
        ] {
            assert!(!ignored(text, path), "{path}");
        }
    }

    #[test]
    fn everything_may_be_ignored_but_some() {
        let text = "*\n!src\n!package.json";
        assert!(ignored(text, "a") && ignored(text, "a/b"));
        assert!(!ignored(text, "src/a/b") && !ignored(text, "package.json"));
        assert!(ignored(".", "a"));
    }

    #[test]
    fn a_bad_pattern_is_told_and_braces_are_letters() {
        assert_eq!(Patterns::dockerignore("a[").bad, ["a["]);
        assert!(ignored("{a}", "{a}") && !ignored("{a,b}", "a"));
    }

    #[test]
    fn files_name_directories_and_patterns() {
        let list = ["./dist/", "lib/**/*.js", "!lib/**/*.test.js", "bin"].map(String::from);
        let files = Patterns::files(&list);
        let listed = |path: &str| files.sense(Path::new(path)) == Some(Sense::Listed);
        assert!(
            listed("dist/a/b.css") && listed("lib/a.js") && listed("lib/a/b.js") && listed("bin/x")
        );
        assert!(!listed("src/x.js") && !listed("lib/a/b.test.js") && !listed("lib/a.css"));
    }
}
