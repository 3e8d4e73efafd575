//! How people name an image on disk: a path, a form and a tag.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// A form of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// An OCI image layout directory.
    Layout,
    /// A tar of such a layout.
    OciArchive,
    /// What `docker save` writes and `docker load` reads.
    DockerArchive,
}

impl Form {
    /// With its article, for messages.
    #[must_use]
    pub fn described(self) -> &'static str {
        match self {
            Self::Layout => "an OCI layout",
            Self::OciArchive => "an OCI archive",
            Self::DockerArchive => "a docker archive",
        }
    }
}

/// An image on disk as it is given on a command line: `app.oci`, `app.oci:1.0`,
/// `oci:app.oci:1.0`, `oci-archive:app.tar`, `docker-archive:app.tar:app:1.0`
/// (containers-transports(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The form that a prefix asks for.
    pub form: Option<Form>,
    /// The layout or archive.
    pub path: PathBuf,
    /// The tag, or for a docker archive the whole name.
    pub tag: Option<String>,
}

impl Reference {
    /// Reads `text`, asking the disk where a path with colons ends.
    ///
    /// # Errors
    /// When the path is empty or the tag is none.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self, StoreError> {
        Self::parse_with(text.as_ref(), |path| path.symlink_metadata().is_ok())
    }

    /// Reads `text`. The path ends at the first colon that leaves a path that exists;
    /// one that exists as a whole has no tag. When nothing exists, it ends at the first
    /// colon, as skopeo has it.
    ///
    /// # Errors
    /// When the path is empty or the tag is none.
    pub fn parse_with(text: &OsStr, exists: impl Fn(&Path) -> bool) -> Result<Self, StoreError> {
        let bytes = text.as_bytes();
        let prefixed = |prefix: &str| bytes.strip_prefix(prefix.as_bytes());
        let (form, rest) = if exists(Path::new(text)) {
            (None, bytes)
        } else if let Some(rest) = prefixed("oci:") {
            (Some(Form::Layout), rest)
        } else if let Some(rest) = prefixed("oci-archive:") {
            (Some(Form::OciArchive), rest)
        } else if let Some(rest) = prefixed("docker-archive:") {
            (Some(Form::DockerArchive), rest)
        } else {
            (None, bytes)
        };

        let path_of = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let colons: Vec<usize> = (0..rest.len()).filter(|at| rest[*at] == b':').collect();
        let end = if exists(&path_of(rest)) {
            rest.len()
        } else {
            let known = colons.iter().find(|at| exists(&path_of(&rest[..**at])));
            *known.or(colons.first()).unwrap_or(&rest.len())
        };
        if end == 0 {
            return Err(bad(text, "it has no path"));
        }
        let tag = match rest.get(end + 1..) {
            None => None,
            Some(tag) => {
                let tag = std::str::from_utf8(tag).map_err(|_| bad(text, TAG_RULE))?;
                check_tag(tag)?;
                Some(tag.to_owned())
            }
        };
        Ok(Self {
            form,
            path: path_of(&rest[..end]),
            tag,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

const TAG_RULE: &str = "letters and digits are expected, with single . _ - : @ / + (or --) between them, as in 1.0 or app:latest";

const NAME_RULE: &str = "a docker archive wants NAME:TAG, the name in lower case, as in app:1.0 or registry.example/team/app:1.0";

/// The longest tag that is taken.
const LONGEST: usize = 512;

fn bad(text: impl AsRef<OsStr>, problem: &'static str) -> StoreError {
    StoreError::BadReference {
        reference: text.as_ref().to_string_lossy().into_owned(),
        problem,
    }
}

/// Checks a value of `org.opencontainers.image.ref.name` by the grammar of image-spec
/// `annotations.md`:
/// `component ("/" component)*`, `component ::= alphanum (separator alphanum)*`,
/// `separator ::= [-._:@+] | "--"`.
///
/// # Errors
/// When it does not follow it.
pub(super) fn check_tag(tag: &str) -> Result<(), StoreError> {
    let separators = tag.split(|c: char| c.is_ascii_alphanumeric());
    let first_and_last = |at: Option<char>| at.is_some_and(|c| c.is_ascii_alphanumeric());
    let good = tag.len() <= LONGEST
        && first_and_last(tag.chars().next())
        && first_and_last(tag.chars().next_back())
        && separators
            .into_iter()
            .all(|s| matches!(s, "" | "-" | "." | "_" | ":" | "@" | "+" | "/" | "--"));
    if good {
        Ok(())
    } else {
        Err(bad(tag, TAG_RULE))
    }
}

/// The `RepoTags` entry of an image in a docker archive, `NAME:TAG`. A tag alone gets
/// the name of the archive: `latest` in `app.tar` is `app:latest`.
///
/// # Errors
/// When docker would not take it (distribution's reference grammar).
pub(super) fn repo_tag(reference: &str, archive: &Path) -> Result<String, StoreError> {
    let last = reference.rsplit('/').next().unwrap_or_default();
    let (name, tag) = match last.rfind(':') {
        Some(colon) => {
            let at = reference.len() - last.len() + colon;
            (reference[..at].to_owned(), &reference[at + 1..])
        }
        None if reference.contains('/') => (reference.to_owned(), "latest"),
        None => (name_of(archive), reference),
    };
    let tag_is_good = (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let mut components = name.split('/');
    let host_is_good = |host: &str| {
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
    };
    let first = components.next().unwrap_or_default();
    let first_is_good = good_component(first)
        || (name.contains('/') && first.contains(['.', ':']) && host_is_good(first));
    if tag_is_good && first_is_good && components.all(good_component) && name.len() <= 255 {
        Ok(format!("{name}:{tag}"))
    } else {
        Err(bad(reference, NAME_RULE))
    }
}

/// A docker name without the registry and the namespace that docker puts before a name
/// that has none: `docker.io/library/app:1` is `app:1`.
pub(super) fn familiar(name: &str) -> &str {
    match name.strip_prefix("docker.io/") {
        Some(rest) => rest.strip_prefix("library/").unwrap_or(rest),
        None => name,
    }
}

/// Lower-case letters and digits with `.`, `_`, `__` or hyphens between them.
fn good_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component
            .split(alphanumeric)
            .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

/// A repository name made of an archive's file name; `image` when nothing of it is left.
fn name_of(archive: &Path) -> String {
    let stem = archive.file_stem().unwrap_or_default().to_string_lossy();
    let words: Vec<String> = stem
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() {
        "image".to_owned()
    } else {
        words.join("-")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str, present: &[&str]) -> (Option<Form>, String, Option<String>) {
        let exists = |path: &Path| present.iter().any(|p| Path::new(p) == path);
        let reference = Reference::parse_with(OsStr::new(text), exists).unwrap();
        let path = reference.path.to_str().unwrap().to_owned();
        (reference.form, path, reference.tag)
    }

    #[test]
    fn references_are_read_as_skopeo_reads_them() {
        use Form::{DockerArchive, Layout, OciArchive};
        for (text, form, path, tag) in [
            ("app.oci", None, "app.oci", None),
            ("app.oci:1.0", None, "app.oci", Some("1.0")),
            ("./a/b:app:1.0", None, "./a/b", Some("app:1.0")),
            ("oci:dir", Some(Layout), "dir", None),
            ("oci:/dir:tag", Some(Layout), "/dir", Some("tag")),
            (
                "oci-archive:a.tar:v1",
                Some(OciArchive),
                "a.tar",
                Some("v1"),
            ),
            (
                "docker-archive:a.tar:host.example/x/y:v1",
                Some(DockerArchive),
                "a.tar",
                Some("host.example/x/y:v1"),
            ),
        ] {
            assert_eq!(
                parse(text, &[]),
                (form, path.into(), tag.map(str::to_owned)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_path_with_colons_that_exists_is_a_path() {
        assert_eq!(parse("a:b", &["a:b"]), (None, "a:b".into(), None));
        assert_eq!(parse("oci:x", &["oci:x"]), (None, "oci:x".into(), None));
        assert_eq!(
            parse("a:b:c", &["a:b"]),
            (None, "a:b".into(), Some("c".into()))
        );
        assert_eq!(
            parse("oci:a:b:c", &["a:b"]),
            (Some(Form::Layout), "a:b".into(), Some("c".into()))
        );
    }

    #[test]
    fn a_bad_tag_is_refused_with_the_rule() {
        for bad in [
            "",
            "-",
            "a..b",
            "a b",
            "a\n",
            "../x",
            "x/",
            &"a".repeat(600),
        ] {
            let error = check_tag(bad).unwrap_err().to_string();
            assert!(error.contains("letters and digits"), "{error}");
        }
        for good in ["latest", "1.0", "a--b", "app:latest", "host/x@y", "v2.0+b1"] {
            check_tag(good).unwrap();
        }
        assert!(Reference::parse_with(OsStr::new(":tag"), |_| false).is_err());
        assert!(Reference::parse_with(OsStr::new("oci::tag"), |_| false).is_err());
    }

    #[test]
    fn a_tag_alone_gets_the_name_of_the_archive() {
        let archive = Path::new("/x/My_App.v2.tar");
        for (reference, tag) in [
            ("latest", "my-app-v2:latest"),
            ("app:1.0", "app:1.0"),
            (
                "host.example:5000/team/app",
                "host.example:5000/team/app:latest",
            ),
            (
                "host.example:5000/team/app:3",
                "host.example:5000/team/app:3",
            ),
        ] {
            assert_eq!(repo_tag(reference, archive).unwrap(), tag);
        }
        for bad in [
            "App:1",
            "app:",
            ":1",
            "a//b:1",
            "a:b:c",
            "team/-app:1",
            "app:.x",
        ] {
            assert!(repo_tag(bad, archive).is_err(), "{bad}");
        }
        assert_eq!(repo_tag("x", Path::new("/-.tar")).unwrap(), "image:x");
    }

    #[test]
    fn the_familiar_name_is_what_docker_shows() {
        assert_eq!(familiar("docker.io/library/app:1"), "app:1");
        assert_eq!(familiar("docker.io/team/app:1"), "team/app:1");
        assert_eq!(
            familiar("registry.example/library/app:1"),
            "registry.example/library/app:1"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}", prefix in "(oci:|docker-archive:)?") {
            let _ = Reference::parse_with(OsStr::new(&format!("{prefix}{text}")), |p| p.as_os_str().len() % 3 == 0);
            let _ = repo_tag(&text, Path::new(&text));
            let _ = check_tag(&text);
        }
    }
}
