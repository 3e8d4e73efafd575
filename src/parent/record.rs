//! What a layer holds, written down: the form of the file `record`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::ImagePath;
use crate::layer::Digest;
use crate::shelf::{In, Out};
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

    fn write(&self, out: &mut Out) {
        out.string(self.path.as_bytes());
        out.number(u64::from(self.mode));
        out.number(u64::from(self.uid));
        out.number(u64::from(self.gid));
        match &self.what {
            What::Directory => out.number(0),
            What::Symlink(target) => {
                out.number(1);
                out.string(target.as_os_str().as_bytes());
            }
            What::HardLink(target) => {
                out.number(2);
                out.string(target.as_bytes());
            }
            What::Small { offset, size } => {
                out.number(3);
                out.number(*offset);
                out.number(*size);
            }
            What::Own { number, identity } => {
                out.number(4);
                out.number(*number);
                out.identity(identity);
            }
            What::Whiteout => out.number(5),
            What::Opaque => out.number(6),
            What::LeftOut => out.number(7),
        }
    }

    fn read(input: &mut In<'_>) -> Option<Self> {
        Some(Self {
            path: input.path()?,
            mode: input.small_number()?,
            uid: input.small_number()?,
            gid: input.small_number()?,
            what: match input.number()? {
                0 => What::Directory,
                1 => What::Symlink(OsString::from_vec(input.string()?.to_vec()).into()),
                2 => What::HardLink(input.path()?),
                3 => What::Small {
                    offset: input.number()?,
                    size: input.number()?,
                },
                4 => What::Own {
                    number: input.number()?,
                    identity: input.identity()?,
                },
                5 => What::Whiteout,
                6 => What::Opaque,
                7 => What::LeftOut,
                _ => return None,
            },
        })
    }
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out::new(MAGIC);
        out.digest(&self.diff_id);
        out.number(self.tar_size);
        out.identity(&self.small);
        out.number(self.items.len() as u64);
        for item in &self.items {
            item.write(&mut out);
        }
        out.seal()
    }

    /// `None` when it is of another version, cut short or damaged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = In::open(bytes, MAGIC)?;
        let diff_id = input.digest()?;
        let tar_size = input.number()?;
        let small = input.identity()?;
        let mut items = Vec::new();
        for _ in 0..input.number()? {
            items.push(Item::read(&mut input)?);
        }
        input.end(Self {
            diff_id,
            tar_size,
            small,
            items,
        })
    }
}
