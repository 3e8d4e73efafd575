//! What a package holds, written down: the form of the file `manifest`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::debian::deb::{Deb, Member, MemberKind};
use crate::layer::Digest;
use crate::shelf::{In, Out};
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
        let mut out = Out::new(MAGIC);
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
            write_member(&mut out, member, *file);
        }
        out.seal()
    }

    /// `None` when it is of another version, cut short or damaged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = In::open(bytes, MAGIC)?;
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
            let (member, file) = read_member(&mut input)?;
            members.push(member);
            files.push(file);
        }
        input.end(Self {
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

fn write_member(out: &mut Out, member: &Member, file: Option<usize>) {
    out.string(member.path.as_bytes());
    out.number(u64::from(member.mode));
    out.number(u64::from(member.uid));
    out.number(u64::from(member.gid));
    match &member.kind {
        MemberKind::Directory => out.number(0),
        MemberKind::File { size, sha256 } => {
            out.number(1);
            out.number(*size);
            out.digest(sha256);
            // A file always has its number; one that no place has is refused on reading.
            out.number(file.map_or(u64::MAX, |file| file as u64));
        }
        MemberKind::Symlink(target) => {
            out.number(2);
            out.string(target.as_os_str().as_bytes());
        }
        MemberKind::HardLink(target) => {
            out.number(3);
            out.string(target.as_bytes());
        }
    }
}

fn read_member(input: &mut In<'_>) -> Option<(Member, Option<usize>)> {
    let path = input.path()?;
    let mode = input.small_number()?;
    let uid = input.small_number()?;
    let gid = input.small_number()?;
    let mut file = None;
    let kind = match input.number()? {
        0 => MemberKind::Directory,
        1 => {
            let (size, sha256) = (input.number()?, input.digest()?);
            file = Some(usize::try_from(input.number()?).ok()?);
            MemberKind::File { size, sha256 }
        }
        2 => {
            let target = OsString::from_vec(input.string()?.to_vec());
            MemberKind::Symlink(PathBuf::from(target))
        }
        3 => MemberKind::HardLink(input.path()?),
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
