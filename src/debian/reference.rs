//! What `--base debian:bookworm/cc` says.

use std::fmt;
use std::str::FromStr;

/// A base from packages: `DISTRIBUTION:RELEASE/BASE`.
///
/// ```
/// use distrobuild::debian::Reference;
///
/// let reference: Reference = "debian:bookworm/cc".parse()?;
/// assert_eq!(reference.release, "bookworm");
/// # Ok::<(), distrobuild::debian::ReferenceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// `debian` or `ubuntu`.
    pub distribution: String,
    /// The release's code name: `bookworm`, `noble`.
    pub release: String,
    /// `static`, `base`, `cc`...; `base` where it was left out.
    pub base: String,
}

/// A string that is no [`Reference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no base of packages: DISTRIBUTION:RELEASE/BASE is expected, as in debian:bookworm/cc; `distrobuild bases list` shows them"
)]
pub struct ReferenceError(String);

impl Reference {
    /// Whether `text` is meant as one, right or wrong: a distribution, a colon, and more.
    pub fn is_meant(text: &str) -> bool {
        text.split_once(':')
            .is_some_and(|(distribution, _)| is_word(distribution))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ReferenceError(crate::registry::harmless(text));
        let (distribution, rest) = text.split_once(':').ok_or_else(error)?;
        let (release, base) = rest.split_once('/').unwrap_or((rest, "base"));
        if ![distribution, release, base]
            .iter()
            .all(|word| is_word(word))
        {
            return Err(error());
        }
        Ok(Self {
            distribution: distribution.to_owned(),
            release: release.to_owned(),
            base: base.to_owned(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!(
            "{}:{}/{}",
            self.distribution, self.release, self.base
        ))
    }
}

/// What may stand in a reference: it becomes part of URLs and file names.
fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'+')
        })
}
