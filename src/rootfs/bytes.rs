//! Bytes in memory.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// The bytes of a file that is in memory. All clones share them: an app of Python brings some
/// twenty megabytes of compiled modules, and entries are cloned from stage to stage.
#[derive(Clone)]
pub struct Bytes(Held);

#[derive(Clone)]
enum Held {
    /// A part of this program.
    Static(&'static [u8]),
    /// Made by a build. The vector is kept as it was made: to make it a slice would copy it.
    Shared(Arc<Vec<u8>>),
    /// A part of those, which lies within them.
    Part(Arc<Vec<u8>>, Range<usize>),
}

impl Bytes {
    /// The bytes in `range` of `whole`, which all its parts share; `None` when it has fewer.
    pub fn part(whole: &Arc<Vec<u8>>, range: Range<usize>) -> Option<Self> {
        whole.get(range.clone())?;
        Some(Self(Held::Part(Arc::clone(whole), range)))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Static(bytes) => bytes,
            Held::Shared(bytes) => bytes,
            Held::Part(whole, range) => whole.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        let is_one = std::ptr::eq(self.as_ptr(), other.as_ptr()) && self.len() == other.len();
        is_one || **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Held::Shared(Arc::new(bytes)))
    }
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Held::Static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Bytes {
    fn from(bytes: &'static [u8; N]) -> Self {
        Self(Held::Static(bytes))
    }
}

impl From<Cow<'static, [u8]>> for Bytes {
    fn from(bytes: Cow<'static, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(bytes) => bytes.into(),
            Cow::Owned(bytes) => bytes.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_was_made_once() {
        let made = vec![7; 1000];
        let place = made.as_ptr();
        let bytes = Bytes::from(made);
        assert_eq!(bytes.clone().as_ptr(), place);
        assert_eq!(bytes, Bytes::from(vec![7; 1000]));
        assert_ne!(bytes, Bytes::from(b"7"));
    }

    #[test]
    fn parts_share_the_whole_and_never_reach_beyond_it() {
        let whole = Arc::new(b"abcdef".to_vec());
        let part = Bytes::part(&whole, 2..4).map(|part| (part.as_ptr(), part.to_vec()));
        assert_eq!(part, Some((whole[2..].as_ptr(), b"cd".to_vec())));
        assert_eq!(Bytes::part(&whole, 5..7), None);
    }
}
