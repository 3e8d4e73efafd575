//! Paths inside an image.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// An absolute path inside an image, in its one canonical spelling.
///
/// It starts with `/`, has no empty, `.` or `..` component and no NUL byte, and
/// ends in `/` only when it is the root. The order is that of its bytes, so a
/// directory always sorts before what is in it.
///
/// ```
/// use distrobuild::ImagePath;
///
/// let path = ImagePath::new("/usr//lib/./libz.so.1").unwrap();
/// assert_eq!(path.to_string(), "/usr/lib/libz.so.1");
/// assert!(ImagePath::new("/usr/../etc").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(Box<[u8]>);

/// Why a string is no [`ImagePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImagePathError {
    /// The path does not start with `/`.
    #[error("{0:?} is not absolute: a path in the image starts with /")]
    Relative(String),
    /// The path has a `..` component, which could leave the image.
    #[error("{0:?} contains `..`, which could lead outside the image")]
    Parent(String),
    /// The path has a NUL byte.
    #[error("{0:?} contains a NUL byte")]
    Nul(String),
}

impl ImagePath {
    /// The root directory, `/`.
    pub fn root() -> Self {
        Self(Box::new([b'/']))
    }

    /// Parses `path`, folding repeated and trailing slashes and `.` components.
    ///
    /// # Errors
    /// When it is relative, or has a `..` component or a NUL byte.
    pub fn new(path: impl AsRef<OsStr>) -> Result<Self, ImagePathError> {
        let bytes = path.as_ref().as_bytes();
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        if bytes.first() != Some(&b'/') {
            return Err(ImagePathError::Relative(shown()));
        }
        if bytes.contains(&0) {
            return Err(ImagePathError::Nul(shown()));
        }
        let mut clean = Vec::with_capacity(bytes.len());
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(ImagePathError::Parent(shown())),
                name => {
                    clean.push(b'/');
                    clean.extend_from_slice(name);
                }
            }
        }
        if clean.is_empty() {
            clean.push(b'/');
        }
        Ok(Self(clean.into_boxed_slice()))
    }

    /// The child `name` of this directory.
    ///
    /// # Errors
    /// When `name` leads elsewhere: `..` in it, or a NUL byte.
    pub fn join(&self, name: impl AsRef<OsStr>) -> Result<Self, ImagePathError> {
        let mut joined = OsString::from_vec(self.0.to_vec());
        joined.push("/");
        joined.push(name);
        Self::new(joined)
    }

    /// The directory that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let slash = self.0.iter().rposition(|byte| *byte == b'/')?;
        Some(Self(self.0[..slash.max(1)].into()))
    }

    /// The directories that hold this path, outermost first, without the root.
    pub fn ancestors(&self) -> impl Iterator<Item = ImagePath> + '_ {
        (1..self.0.len())
            .filter(|at| self.0[*at] == b'/')
            .map(|at| Self(self.0[..at].into()))
    }

    /// The last component; `None` for the root.
    pub fn file_name(&self) -> Option<&OsStr> {
        self.as_path().file_name()
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether `self` is `directory` or lies below it.
    pub fn starts_with(&self, directory: &ImagePath) -> bool {
        self.as_path().starts_with(directory.as_path())
    }

    /// This path as a [`Path`], with its leading slash.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The bytes, with the leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path without its leading slash, as archives spell it; empty for the root.
    pub fn relative(&self) -> &[u8] {
        &self.0[1..]
    }
}

impl AsRef<Path> for ImagePath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

impl From<ImagePath> for PathBuf {
    fn from(path: ImagePath) -> Self {
        PathBuf::from(OsString::from_vec(path.0.into_vec()))
    }
}

impl std::str::FromStr for ImagePath {
    type Err = ImagePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_path())
    }
}

impl Serialize for ImagePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).expect("a good path")
    }

    #[test]
    fn the_root_has_no_parent_and_no_name() {
        let root = path("//./");
        assert!(root.is_root());
        assert_eq!(root.parent(), None);
        assert_eq!(root.file_name(), None);
        assert_eq!(root.ancestors().count(), 0);
    }

    #[test]
    fn ancestors_come_outermost_first() {
        let names: Vec<String> = path("/usr/lib/libz.so")
            .ancestors()
            .map(|a| a.to_string())
            .collect();
        assert_eq!(names, ["/usr", "/usr/lib"]);
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_below() {
        assert!(!path("/usr/lib64").starts_with(&path("/usr/lib")));
        assert!(path("/usr/lib/x").starts_with(&path("/usr/lib")));
        assert!(path("/usr").starts_with(&ImagePath::root()));
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent_and_never_leaves_the_root(text in "/[a-z./]{0,40}") {
            if let Ok(parsed) = ImagePath::new(&text) {
                prop_assert_eq!(&ImagePath::new(parsed.as_path()).unwrap(), &parsed);
                prop_assert!(!parsed.as_path().components().any(|c| c == std::path::Component::ParentDir));
                for ancestor in parsed.ancestors() {
                    prop_assert!(ancestor < parsed);
                    prop_assert!(parsed.starts_with(&ancestor));
                }
            } else {
                prop_assert!(text.split('/').any(|component| component == ".."));
            }
        }
    }
}
