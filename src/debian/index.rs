//! A `Packages` index of an archive.
//!
//! An archive has some 64,000 packages, of which a base takes thirty. So reading an index finds
//! out where each package is and what it is called, and the rest is read when it is asked for.
//! What is held in memory is one run of bytes, the same that is kept on disk ([`Index::to_bytes`]).

mod candidate;
mod layout;
mod parse;
mod unpack;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::control::ControlError;
pub(super) use candidate::path;
pub use candidate::{Candidate, MultiArch, Priority};

/// The packages that an archive has for one architecture.
#[derive(Clone)]
pub struct Index {
    /// Shared: a clone costs nothing.
    layout: Arc<layout::Layout>,
}

/// An index that cannot be used. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It is no control file.
    #[error(
        "the package index is not well-formed: {0}; it may be a page of a proxy or mirror: try another --mirror"
    )]
    Control(#[from] ControlError),
    /// A paragraph lacks what each must have.
    #[error(
        "the package index is not well-formed: the paragraph at line {line} has no field {field}"
    )]
    Missing {
        /// Where the paragraph starts.
        line: usize,
        /// What it lacks.
        field: &'static str,
    },
    /// A field of a package cannot be understood.
    #[error(
        "the package index cannot be used for {package}, line {line}: {field}: {why}; name another version, or another --mirror"
    )]
    Field {
        /// Where the package's paragraph starts.
        line: usize,
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// It is larger than any.
    #[error("the package index is refused: it is larger than {} MiB uncompressed", .limit >> 20)]
    TooLarge {
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// The compressed data are broken.
    #[error(
        "the package index cannot be decompressed: {why}; it may have been cut short: download it again"
    )]
    Compressed {
        /// What the decompressor says.
        why: String,
    },
    /// The kept form of an index is not what it was.
    #[error("the kept form of the package index is damaged; remove it, and it is made anew")]
    Damaged,
}

impl Index {
    /// Reads a `Packages` file as it is published: compressed by gzip or xz, or not at all.
    ///
    /// gzip is by far the fastest.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]; and when the data are broken or become too large.
    pub fn read(bytes: &[u8]) -> Result<Self, IndexError> {
        Self::parse(&unpack::unpack(bytes)?)
    }

    /// Reads a `Packages` file (deb822(5); <https://wiki.debian.org/DebianRepository/Format>).
    ///
    /// Each paragraph must have a name, a version and an architecture. The other fields of a
    /// package are looked at when it is asked for: one that is broken harms no other.
    ///
    /// # Errors
    ///
    /// [`IndexError`] names the line.
    pub fn parse(text: &[u8]) -> Result<Self, IndexError> {
        let parts = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(4);
        Ok(Self {
            layout: Arc::new(parse::parse(text, parts)?),
        })
    }

    /// A form that is read again in a fraction of the time. It holds no more than the text did
    /// and vouches for nothing: keep it where you would keep the text, beside its hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.layout.to_bytes()
    }

    /// Takes back what [`Self::to_bytes`] gave; a vector is taken without a copy.
    ///
    /// `None` where it is of another version of this program, cut short or damaged.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let layout = layout::Layout::from_bytes(bytes.into())?;
        Some(Self {
            layout: Arc::new(layout),
        })
    }

    /// All versions of a package, in the order of the index.
    ///
    /// # Errors
    ///
    /// When one of them has a field that cannot be understood.
    pub fn get(&self, name: &str) -> Result<Vec<Candidate>, IndexError> {
        self.layout
            .named(name)
            .map(|record| candidate::candidate(&self.layout, record))
            .collect()
    }

    /// All packages that provide a name (Policy 7.5), sorted by their own; a package does not
    /// provide its own name unless it says so.
    ///
    /// # Errors
    ///
    /// When one of them has a field that cannot be understood.
    pub fn providers(&self, virtual_name: &str) -> Result<Vec<Candidate>, IndexError> {
        let records = self.layout.providing(virtual_name);
        records
            .map(|record| candidate::candidate(&self.layout, record))
            .collect()
    }

    /// The names of the packages that provide a name, sorted, each once.
    pub(super) fn provider_names(&self, virtual_name: &str) -> Vec<&str> {
        let records = self.layout.providing(virtual_name);
        let mut names: Vec<&str> = records.map(|record| self.layout.name(record)).collect();
        names.dedup();
        names
    }

    /// The names of all packages, sorted; a name comes again for each of its versions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|record| self.layout.name(record))
    }

    /// How many packages there are, each version counted.
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// Whether there is no package. An archive's index of updates may well be empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
