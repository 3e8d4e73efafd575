//! What a package holds, written down: the form of the file `manifest`.
//!
//! Numbers are 64 bits, little-endian; strings stand behind their length. The last 32 bytes are
//! the SHA-256 digest of all before them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::ImagePath;
use crate::debian::deb::{Deb, Member, MemberKind};
use crate::layer::Digest;
use crate::sysroot::FileIdentity;

/// The version of the form; another one is made anew.
const MAGIC: &[u8] = b"distrobuild unpacked 1\n";

/// A package in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The digest of the `.deb`.
    pub(super) sha256: Digest,
    /// The package; `files` are numbers of `places`.
    pub(super) deb: Deb,
    /// Where the bytes of each file are.
    pub(super) places: Vec<Place>,
    /// The file `small`.
    pub(super) small: Small,
}

/// Where the bytes of a file of the package are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In `small`, from this offset on.
    Small(u64),
    /// In the file of this number, which was left in this state.
    Own(u64, FileIdentity),
}

/// The file `small`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Small {
    /// The digest of what it holds.
    pub(super) sha256: Digest,
    /// The state in which it was left.
    pub(super) identity: FileIdentity,
}

impl Manifest {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out(MAGIC.to_vec());
        out.digest(&self.sha256);
        out.string(self.deb.control.as_bytes());
        out.string(self.deb.md5sums.as_bytes());
        out.number(self.deb.conffiles.len() as u64);
        for path in &self.deb.conffiles {
            out.string(path.as_bytes());
        }
        out.digest(&self.small.sha256);
        out.identity(&self.small.identity);
        out.number(self.places.len() as u64);
        for place in &self.places {
            match place {
                Place::Small(offset) => {
                    out.number(0);
                    out.number(*offset);
                }
                Place::Own(number, identity) => {
                    out.number(1);
                    out.number(*number);
                    out.identity(identity);
                }
            }
        }
        out.number(self.deb.members.len() as u64);
        for (member, file) in self.deb.members.iter().zip(&self.deb.files) {
            out.member(member, *file);
        }
        let seal = Digest::of(&out.0);
        out.digest(&seal);
        out.0
    }

    /// `None` when it is of another version, cut short or damaged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, seal) = bytes.split_last_chunk::<32>()?;
        if Digest::of(body) != Digest::from(*seal) {
            return None;
        }
        let mut input = In(body.strip_prefix(MAGIC)?);
        let sha256 = input.digest()?;
        let control = String::from_utf8(input.string()?.to_vec()).ok()?;
        let md5sums = String::from_utf8(input.string()?.to_vec()).ok()?;
        let mut conffiles = Vec::new();
        for _ in 0..input.number()? {
            conffiles.push(input.path()?);
        }
        let small = Small {
            sha256: input.digest()?,
            identity: input.identity()?,
        };
        let mut places = Vec::new();
        for _ in 0..input.number()? {
            places.push(match input.number()? {
                0 => Place::Small(input.number()?),
                1 => Place::Own(input.number()?, input.identity()?),
                _ => return None,
            });
        }
        let (mut members, mut files) = (Vec::new(), Vec::new());
        for _ in 0..input.number()? {
            let (member, file) = input.member()?;
            members.push(member);
            files.push(file);
        }
        input.0.is_empty().then_some(Self {
            sha256,
            deb: Deb {
                control,
                md5sums,
                conffiles,
                members,
                files,
            },
            places,
            small,
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

    fn digest(&mut self, digest: &Digest) {
        self.0.extend_from_slice(digest.as_bytes());
    }

    fn identity(&mut self, identity: &FileIdentity) {
        self.number(identity.device);
        self.number(identity.inode);
        self.number(identity.size);
        self.0.extend_from_slice(&identity.modified.to_le_bytes());
        self.0.extend_from_slice(&identity.changed.to_le_bytes());
    }

    fn member(&mut self, member: &Member, file: Option<usize>) {
        self.string(member.path.as_bytes());
        self.number(u64::from(member.mode));
        self.number(u64::from(member.uid));
        self.number(u64::from(member.gid));
        match &member.kind {
            MemberKind::Directory => self.number(0),
            MemberKind::File { size, sha256 } => {
                self.number(1);
                self.number(*size);
                self.digest(sha256);
                // A file always has its number; one that no place has is refused on reading.
                self.number(file.map_or(u64::MAX, |file| file as u64));
            }
            MemberKind::Symlink(target) => {
                self.number(2);
                self.string(target.as_os_str().as_bytes());
            }
            MemberKind::HardLink(target) => {
                self.number(3);
                self.string(target.as_bytes());
            }
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

    fn digest(&mut self) -> Option<Digest> {
        self.array::<32>().map(Digest::from)
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

    fn member(&mut self) -> Option<(Member, Option<usize>)> {
        let path = self.path()?;
        let mode = self.small_number()?;
        let uid = self.small_number()?;
        let gid = self.small_number()?;
        let mut file = None;
        let kind = match self.number()? {
            0 => MemberKind::Directory,
            1 => {
                let (size, sha256) = (self.number()?, self.digest()?);
                file = Some(usize::try_from(self.number()?).ok()?);
                MemberKind::File { size, sha256 }
            }
            2 => {
                let target = OsString::from_vec(self.string()?.to_vec());
                MemberKind::Symlink(PathBuf::from(target))
            }
            3 => MemberKind::HardLink(self.path()?),
            _ => return None,
        };
        let member = Member {
            path,
            kind,
            mode,
            uid,
            gid,
        };
        Some((member, file))
    }
}
