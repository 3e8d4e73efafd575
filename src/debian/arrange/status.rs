//! `/var/lib/dpkg/status.d`: what vulnerability scanners read of an image without dpkg.

use md5::{Digest as _, Md5};

use super::gather::{Gathered, Kind};
use super::{ArrangeError, Arrangement, Laid, Tree, read};
use crate::ImagePath;
use crate::debian::deb::MemberKind;
use crate::layer::Digest;
use crate::rootfs::Content;

const DIRECTORY: &str = "/var/lib/dpkg/status.d";

/// Sees that each package is the one that the index told of.
pub(super) fn check(arrangement: &Arrangement<'_>) -> Result<(), ArrangeError> {
    for package in arrangement.packages {
        let stanza = &package.unpacked.control;
        let wrong = |what: String| ArrangeError::Stanza {
            package: package.name.to_owned(),
            what,
        };
        if !is_package_name(package.name) {
            return Err(wrong(
                "cannot be filed under this name, which is no package name (Policy, 5.6.7)"
                    .to_owned(),
            ));
        }
        // A second paragraph would be a second package to whoever reads it.
        if stanza.trim().lines().any(|line| line.trim().is_empty()) {
            return Err(wrong("has more than one paragraph".to_owned()));
        }
        for (field, expected) in [
            ("Package", &[package.name][..]),
            ("Version", &[package.version]),
            ("Architecture", &[arrangement.architecture.name(), "all"]),
        ] {
            let found = value(stanza, field);
            if !found.is_some_and(|found| expected.contains(&found)) {
                let found = found.map_or("is missing".to_owned(), |found| format!("is {found:?}"));
                let expected = expected.join("\" or \"");
                return Err(wrong(format!(
                    "says that its {field} {found}, and should be \"{expected}\""
                )));
            }
        }
    }
    Ok(())
}

/// Adds the stanza of each package, and the sums of its files that are in the image.
pub(super) fn add(tree: &mut Tree, gathered: &Gathered<'_>) -> Result<(), ArrangeError> {
    for package in gathered.arrangement.packages {
        let path = format!("{DIRECTORY}/{}", package.name);
        let stanza = format!(
            "{}\n{}",
            package.unpacked.control.trim_end(),
            conffiles(package, gathered)?
        );
        tree.add_file(&path, stanza.into_bytes())?;
        let sums = sums(package, gathered);
        if !sums.is_empty() {
            tree.add_file(&format!("{path}.md5sums"), sums.into_bytes())?;
        }
    }
    Ok(())
}

/// The configuration files that are in the image, as dpkg's own status has them: the sums leave
/// them out.
fn conffiles(package: &Laid<'_>, gathered: &Gathered<'_>) -> Result<String, ArrangeError> {
    let mut field = String::new();
    if value(&package.unpacked.control, "Conffiles").is_some() {
        return Ok(field);
    }
    for path in &package.unpacked.conffiles {
        let is_one_line = !path.as_bytes().iter().any(u8::is_ascii_control);
        if is_one_line && let Some(content) = content(package, gathered, path) {
            if field.is_empty() {
                field.push_str("Conffiles:\n");
            }
            let sum = Md5::digest(read(content, package.name)?);
            field.push_str(&format!(" {path} {sum:x}\n"));
        }
    }
    Ok(field)
}

/// The content of a file of the package, if it is what the image has there.
fn content<'a>(
    package: &Laid<'_>,
    gathered: &'a Gathered<'_>,
    path: &ImagePath,
) -> Option<&'a Content> {
    let digest = digest(package, path)?;
    match &gathered.entries.get(&gathered.landing_of(path)?)?.kind {
        Kind::File {
            sha256, content, ..
        } => (*sha256 == digest).then_some(content),
        _ => None,
    }
}

fn sums(package: &Laid<'_>, gathered: &Gathered<'_>) -> String {
    let is_there = |line: &str| {
        let path = line.split_once("  ").map(|(_, name)| format!("/{name}"));
        let path = path.and_then(|path| ImagePath::new(path).ok());
        path.is_some_and(|path| content(package, gathered, &path).is_some())
    };
    let mut sums = String::new();
    for line in package.unpacked.md5sums.lines() {
        if is_there(line) {
            sums.push_str(line);
            sums.push('\n');
        }
    }
    sums
}

/// The digest of a file of the package.
fn digest(package: &Laid<'_>, path: &ImagePath) -> Option<Digest> {
    let members = &package.unpacked.members;
    let find = |path: &ImagePath| {
        let at = members
            .binary_search_by(|(member, _)| member.path.cmp(path))
            .ok()?;
        Some(&members.get(at)?.0.kind)
    };
    match find(path)? {
        MemberKind::File { sha256, .. } => Some(*sha256),
        MemberKind::HardLink(first) => match find(first)? {
            MemberKind::File { sha256, .. } => Some(*sha256),
            _ => None,
        },
        MemberKind::Directory | MemberKind::Symlink(_) => None,
    }
}

/// The value of a field of one line; `deb-control(5)`.
fn value<'a>(stanza: &'a str, field: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(field).then(|| value.trim())
    })
}

/// Debian Policy, section 5.6.7.
fn is_package_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'))
}
