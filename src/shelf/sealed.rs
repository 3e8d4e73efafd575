//! The form of a record: what it is and its version, then fields one after the other.
//!
//! Numbers are 64 bits, little-endian; strings stand behind their length. The last 32 bytes are
//! the SHA-256 digest of all before them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::ImagePath;
use crate::layer::Digest;
use crate::sysroot::FileIdentity;

/// A record that is being written.
#[derive(Debug)]
pub(crate) struct Out(Vec<u8>);

impl Out {
    /// An empty one; `magic` names its form and the version of that.
    pub(crate) fn new(magic: &[u8]) -> Self {
        Self(magic.to_vec())
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn string(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn digest(&mut self, digest: &Digest) {
        self.0.extend_from_slice(digest.as_bytes());
    }

    pub(crate) fn identity(&mut self, identity: &FileIdentity) {
        self.number(identity.device);
        self.number(identity.inode);
        self.number(identity.size);
        self.0.extend_from_slice(&identity.modified.to_le_bytes());
        self.0.extend_from_slice(&identity.changed.to_le_bytes());
    }

    /// All of it, with its digest.
    pub(crate) fn seal(mut self) -> Vec<u8> {
        let seal = Digest::of(&self.0);
        self.digest(&seal);
        self.0
    }
}

/// What is still to be read of a record.
#[derive(Debug)]
pub(crate) struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    /// `None` when it has another form or version, is cut short or damaged.
    pub(crate) fn open(bytes: &'a [u8], magic: &[u8]) -> Option<Self> {
        let (body, seal) = bytes.split_last_chunk::<32>()?;
        if Digest::of(body) != Digest::from(*seal) {
            return None;
        }
        body.strip_prefix(magic).map(Self)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn small_number(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    pub(crate) fn path(&mut self) -> Option<ImagePath> {
        ImagePath::new(OsStr::from_bytes(self.string()?)).ok()
    }

    pub(crate) fn digest(&mut self) -> Option<Digest> {
        self.array::<32>().map(Digest::from)
    }

    pub(crate) fn identity(&mut self) -> Option<FileIdentity> {
        Some(FileIdentity {
            device: self.number()?,
            inode: self.number()?,
            size: self.number()?,
            modified: i128::from_le_bytes(self.array()?),
            changed: i128::from_le_bytes(self.array()?),
        })
    }

    /// `value`, if nothing follows it.
    pub(crate) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
