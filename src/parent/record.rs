//! What a layer holds, written down: the form of the file `record`.
//!
//! Numbers are 64 bits, little-endian; strings stand behind their length. The last 32 bytes are
//! the SHA-256 digest of all before them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::ImagePath;
use crate::layer::Digest;
use crate::sysroot::FileIdentity;

/// The version of the form; another one is made anew.
const MAGIC: &[u8] = b"distrobuild layer 1\n";

/// A layer that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The digest of the uncompressed tar.
    pub(super) diff_id: Digest,
    /// Its size in bytes.
    pub(super) tar_size: u64,
    /// The state in which the file `small` was left.
    pub(super) small: FileIdentity,
    /// The entries, in the order of the tar.
    pub(super) items: Vec<Item>,
}

/// An entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Where it is, links not followed; what it hides, of a whiteout; the directory, of an
    /// opaque marker.
    pub(super) path: ImagePath,
    /// Mode bits (the low 12).
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) what: What,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Directory,
    Symlink(PathBuf),
    HardLink(ImagePath),
    /// A file with its bytes in `small`.
    Small {
        offset: u64,
        size: u64,
    },
    /// A file in a file of its own, with this number, left in this state.
    Own {
        number: u64,
        identity: FileIdentity,
    },
    Whiteout,
    Opaque,
    /// A device, a pipe or a sparse file, which stands in no tree.
    LeftOut,
}

impl Item {
    /// The bytes of its name, and of that to which it links.
    pub(super) fn name_bytes(&self) -> u64 {
        let target = match &self.what {
            What::Symlink(target) => target.as_os_str().len(),
            What::HardLink(target) => target.as_bytes().len(),
            _ => 0,
        };
        (self.path.as_bytes().len() + target) as u64
    }
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out(MAGIC.to_vec());
        out.0.extend_from_slice(self.diff_id.as_bytes());
        out.number(self.tar_size);
        out.identity(&self.small);
        out.number(self.items.len() as u64);
        for item in &self.items {
            out.item(item);
        }
        let seal = Digest::of(&out.0);
        out.0.extend_from_slice(seal.as_bytes());
        out.0
    }

    /// `None` when it is of another version, cut short or damaged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, seal) = bytes.split_last_chunk::<32>()?;
        if Digest::of(body) != Digest::from(*seal) {
            return None;
        }
        let mut input = In(body.strip_prefix(MAGIC)?);
        let diff_id = Digest::from(input.array::<32>()?);
        let tar_size = input.number()?;
        let small = input.identity()?;
        let mut items = Vec::new();
        for _ in 0..input.number()? {
            items.push(input.item()?);
        }
        input.0.is_empty().then_some(Self {
            diff_id,
            tar_size,
            small,
            items,
        })
    }
}

struct Out(Vec<u8>);

impl Out {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn string(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn identity(&mut self, identity: &FileIdentity) {
        self.number(identity.device);
        self.number(identity.inode);
        self.number(identity.size);
        self.0.extend_from_slice(&identity.modified.to_le_bytes());
        self.0.extend_from_slice(&identity.changed.to_le_bytes());
    }

    fn item(&mut self, item: &Item) {
        self.string(item.path.as_bytes());
        self.number(u64::from(item.mode));
        self.number(u64::from(item.uid));
        self.number(u64::from(item.gid));
        match &item.what {
            What::Directory => self.number(0),
            What::Symlink(target) => {
                self.number(1);
                self.string(target.as_os_str().as_bytes());
            }
            What::HardLink(target) => {
                self.number(2);
                self.string(target.as_bytes());
            }
            What::Small { offset, size } => {
                self.number(3);
                self.number(*offset);
                self.number(*size);
            }
            What::Own { number, identity } => {
                self.number(4);
                self.number(*number);
                self.identity(identity);
            }
            What::Whiteout => self.number(5),
            What::Opaque => self.number(6),
            What::LeftOut => self.number(7),
        }
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn small_number(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    fn path(&mut self) -> Option<ImagePath> {
        ImagePath::new(OsStr::from_bytes(self.string()?)).ok()
    }

    fn identity(&mut self) -> Option<FileIdentity> {
        Some(FileIdentity {
            device: self.number()?,
            inode: self.number()?,
            size: self.number()?,
            modified: i128::from_le_bytes(self.array()?),
            changed: i128::from_le_bytes(self.array()?),
        })
    }

    fn item(&mut self) -> Option<Item> {
        Some(Item {
            path: self.path()?,
            mode: self.small_number()?,
            uid: self.small_number()?,
            gid: self.small_number()?,
            what: match self.number()? {
                0 => What::Directory,
                1 => What::Symlink(OsString::from_vec(self.string()?.to_vec()).into()),
                2 => What::HardLink(self.path()?),
                3 => What::Small {
                    offset: self.number()?,
                    size: self.number()?,
                },
                4 => What::Own {
                    number: self.number()?,
                    identity: self.identity()?,
                },
                5 => What::Whiteout,
                6 => What::Opaque,
                7 => What::LeftOut,
                _ => return None,
            },
        })
    }
}
