//! Where an image is: on disk, or in a registry.

use std::fmt;
use std::path::Path;

use super::{Reference, StoreError};
use crate::registry;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A layout or an archive.
    Disk(Reference),
    /// A registry.
    Registry(registry::Reference),
}

/// A text that names no image.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// On disk.
    #[error(transparent)]
    Disk(#[from] StoreError),
    /// Neither there nor in a registry.
    #[error("{:?} is no image: there is no such file or directory, and as a name in a registry it is wrong: {}", .0.reference, .0.problem)]
    Neither(registry::ReferenceError),
    /// In a registry, after `docker://`.
    #[error(transparent)]
    Registry(#[from] registry::ReferenceError),
}

impl Location {
    /// Reads `text`: what exists on disk or is spelled as a path (`./app`, `/x`, `app.oci:1`,
    /// `oci:app`) is there; `docker://` and all else is in a registry.
    ///
    /// # Errors
    /// When it can be neither.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        Self::parse_with(text, |path| path.symlink_metadata().is_ok())
    }

    /// As [`parse`](Self::parse), where `exists` knows the disk.
    ///
    /// # Errors
    /// When it can be neither.
    pub fn parse_with(text: &str, exists: impl Fn(&Path) -> bool) -> Result<Self, LocationError> {
        if text.starts_with("docker://") {
            return Ok(Self::Registry(text.parse()?));
        }
        match Reference::parse_with(text.as_ref(), &exists) {
            Ok(on_disk) if exists(&on_disk.path) || is_spelled_as_path(text, &on_disk.path) => {
                return Ok(Self::Disk(on_disk));
            }
            Ok(_) => {}
            // What is wrong is its tag.
            Err(error) if is_wrong_path(text, &exists) => return Err(error.into()),
            Err(_) => {}
        }
        text.parse()
            .map(Self::Registry)
            .map_err(LocationError::Neither)
    }
}

/// Whether `text`, the path in front of a tag being `path`, can only be meant for the disk:
/// `./old`, `old.tar:1`, `oci:old`.
fn is_spelled_as_path(text: &str, path: &Path) -> bool {
    let extension = path.extension();
    text.starts_with(['.', '/'])
        || FORMS.iter().any(|form| text.starts_with(form))
        || extension.is_some_and(|extension| extension == "oci" || extension == "tar")
}

/// Whether `text`, which names nothing on the disk, is meant to.
fn is_wrong_path(text: &str, exists: impl Fn(&Path) -> bool) -> bool {
    let colons = text.match_indices(':').map(|(at, _)| text.split_at(at).0);
    let first = Path::new(text.split(':').next().unwrap_or_default());
    is_spelled_as_path(text, first)
        || colons
            .take(COLONS)
            .any(|path| !path.is_empty() && exists(Path::new(path)))
}

/// How many colons of a text are tried as the end of a path.
const COLONS: usize = 16;

/// What stands before a path to say what form the store has.
const FORMS: [&str; 3] = ["oci:", "oci-archive:", "docker-archive:"];

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(reference) => reference.fmt(f),
            Self::Registry(reference) => f.write_str(&reference.familiar()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str, present: &[&str]) -> Result<Location, LocationError> {
        Location::parse_with(text, |path| present.iter().any(|p| Path::new(p) == path))
    }

    #[track_caller]
    fn on_disk(text: &str, present: &[&str], path: &str, tag: Option<&str>) {
        match parse(text, present) {
            Ok(Location::Disk(reference)) => {
                assert_eq!(reference.path, Path::new(path), "{text}");
                assert_eq!(reference.tag.as_deref(), tag, "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[track_caller]
    fn in_registry(text: &str, present: &[&str], full: &str) {
        match parse(text, present) {
            Ok(Location::Registry(reference)) => assert_eq!(reference.to_string(), full, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_spelled_as_a_path_is_on_disk_whether_it_exists_or_not() {
        on_disk("./app", &[], "./app", None);
        on_disk("../app:1", &[], "../app", Some("1"));
        on_disk("/x/app", &[], "/x/app", None);
        on_disk("app.oci", &[], "app.oci", None);
        on_disk("x/app.tar:1", &[], "x/app.tar", Some("1"));
        on_disk("oci:app", &[], "app", None);
        on_disk("oci-archive:app:1", &[], "app", Some("1"));
        on_disk("docker-archive:app:app:1", &[], "app", Some("app:1"));
    }

    #[test]
    fn what_exists_is_on_disk() {
        on_disk("app", &["app"], "app", None);
        on_disk("app:1", &["app"], "app", Some("1"));
        on_disk(
            "ghcr.io/me/app:v1",
            &["ghcr.io/me/app"],
            "ghcr.io/me/app",
            Some("v1"),
        );
        on_disk("a:b", &["a:b"], "a:b", None);
    }

    #[test]
    fn all_else_is_in_a_registry() {
        in_registry("app", &[], "docker.io/library/app");
        in_registry("python:3.12", &["app"], "docker.io/library/python:3.12");
        in_registry("ghcr.io/me/app:v1", &["app"], "ghcr.io/me/app:v1");
        in_registry("localhost:5000/app:1", &[], "localhost:5000/app:1");
        in_registry("[::1]:5000/app", &[], "[::1]:5000/app");
    }

    #[test]
    fn a_prefix_decides_for_the_registry() {
        in_registry("docker://app", &["app"], "docker.io/library/app");
        in_registry("docker://ghcr.io/me/app.tar", &[], "ghcr.io/me/app.tar");
        let error = parse("docker://App", &[]).unwrap_err();
        assert!(matches!(error, LocationError::Registry(_)), "{error}");
        assert!(error.to_string().contains("lower case"), "{error}");
    }

    #[test]
    fn what_is_neither_is_told_as_both() {
        let error = parse("MyApp", &[]).unwrap_err().to_string();
        assert!(error.contains("no such file or directory"), "{error}");
        assert!(error.contains("lower case: myapp"), "{error}");
        let error = parse("https://me:hunter2@ghcr.io/me/app", &[]).unwrap_err();
        let error = format!("{error} {error:?}");
        assert!(error.contains("ghcr.io/me/app is right"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_bad_tag_of_what_is_meant_for_the_disk_is_the_error() {
        for (text, present) in [
            ("./app:-", &[][..]),
            ("app.oci:a b", &[]),
            ("oci:app:", &[]),
            ("oci::1", &[]),
            ("App:a..b", &["App"]),
        ] {
            let error = parse(text, present).unwrap_err();
            assert!(matches!(error, LocationError::Disk(_)), "{text}: {error}");
        }
    }

    #[test]
    fn a_location_is_shown_as_people_write_it() {
        for text in ["app.oci:1", "python:3.12", "ghcr.io/me/app:v1"] {
            assert_eq!(parse(text, &[]).unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}", near in "[a-z:./@\\[\\]-]{0,40}") {
            for text in [text, near] {
                let _ = Location::parse_with(&text, |path| path.as_os_str().len() % 3 == 1);
            }
        }
    }
}
