//! The data archive of a package: what may be in it, and what it says.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use md5::{Digest as _, Md5};

use super::tar::{Header, HeaderKind, Tar};
use super::{DebFault, Member, MemberKind, Sink};
use crate::ImagePath;
use crate::layer::Hasher;

/// Members that a package may have: a bound on memory. Sets of icons have some ten thousand.
const MAX_MEMBERS: usize = 500_000;
/// `PATH_MAX` of Linux, less its NUL.
const MAX_PATH: usize = 4095;
/// `NAME_MAX` of Linux.
const MAX_NAME: usize = 255;

/// The members, sorted by path, and for each the number of the file that the sink was given.
pub(super) struct Listed {
    pub(super) members: Vec<Member>,
    pub(super) files: Vec<Option<usize>>,
    /// MD5 of the files, by that number, when they were asked for.
    sums: Vec<[u8; 16]>,
}

pub(super) fn read(
    tar: &mut Tar<'_>,
    want_sums: bool,
    sink: &mut dyn Sink,
) -> Result<Listed, DebFault> {
    let mut found: Vec<(Member, Option<usize>)> = Vec::new();
    let mut known: HashMap<ImagePath, usize> = HashMap::new();
    let mut sums = Vec::new();
    let mut count = 0;
    while let Some(header) = tar.next_header()? {
        if found.len() >= MAX_MEMBERS {
            let reason = format!("it is one of more than {MAX_MEMBERS} members");
            return Err(DebFault::member(&header.name, reason));
        }
        let path = image_path(&header.name, &header.name)?;
        if path.is_root() {
            if header.kind != HeaderKind::Directory {
                return Err(DebFault::member(&header.name, "the root is no directory"));
            }
            continue;
        }
        let mut file = None;
        let kind = match header.kind {
            HeaderKind::Directory => MemberKind::Directory,
            HeaderKind::Symlink => MemberKind::Symlink(symlink(&header)?),
            HeaderKind::HardLink => MemberKind::HardLink(hard_link(&header, &found, &known)?),
            HeaderKind::File => {
                file = Some(count);
                count += 1;
                let md5 = want_sums.then_some(&mut sums);
                content(tar, header.size, md5, sink)?
            }
        };
        match known.get(&path).and_then(|at| found.get(*at)) {
            Some((before, _))
                if kind == MemberKind::Directory && before.kind == MemberKind::Directory => {}
            Some(_) => return Err(DebFault::member(&header.name, "it is there twice")),
            None => {
                known.insert(path.clone(), found.len());
                let member = Member {
                    path,
                    kind,
                    mode: header.mode,
                    uid: header.uid,
                    gid: header.gid,
                };
                found.push((member, file));
            }
        }
    }
    refuse_below_files(&found, &known)?;
    found.sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let (members, files) = found.into_iter().unzip();
    Ok(Listed {
        members,
        files,
        sums,
    })
}

impl Listed {
    /// What `md5sums` would say: all files but the configuration files, as dh_md5sums(1) lists
    /// them. Names that are no UTF-8 cannot be listed.
    pub(super) fn md5sums(&self, conffiles: &[ImagePath]) -> String {
        let mut text = String::new();
        for (member, file) in self.members.iter().zip(&self.files) {
            let Some(sum) = file.and_then(|file| self.sums.get(file)) else {
                continue;
            };
            let Ok(path) = std::str::from_utf8(member.path.relative()) else {
                continue;
            };
            if conffiles.binary_search(&member.path).is_err() {
                for byte in sum {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{byte:02x}");
                }
                let _ = writeln!(text, "  {path}");
            }
        }
        text
    }
}

fn content(
    tar: &mut Tar<'_>,
    size: u64,
    sums: Option<&mut Vec<[u8; 16]>>,
    sink: &mut dyn Sink,
) -> Result<MemberKind, DebFault> {
    let mut sha256 = Hasher::new();
    let mut md5 = sums.is_some().then(Md5::new);
    sink.begin(size).map_err(DebFault::Write)?;
    tar.content(size, |piece| {
        sha256.update(piece);
        if let Some(md5) = &mut md5 {
            md5.update(piece);
        }
        sink.write(piece).map_err(DebFault::Write)
    })?;
    sink.end().map_err(DebFault::Write)?;
    if let (Some(sums), Some(md5)) = (sums, md5) {
        sums.push(md5.finalize().into());
    }
    Ok(MemberKind::File {
        size,
        sha256: sha256.finish(),
    })
}

/// The path that a member called `member` means by `name`.
fn image_path(member: &[u8], name: &[u8]) -> Result<ImagePath, DebFault> {
    let refused = |reason: &str| Err(DebFault::member(member, reason));
    if name.starts_with(b"/") {
        return refused("its path is absolute, and those of packages are relative");
    }
    if name.contains(&b'\n') {
        return refused("its path has a line feed, which dpkg refuses, too");
    }
    if name.len() > MAX_PATH {
        return refused("its path is longer than Linux allows");
    }
    if name
        .split(|byte| *byte == b'/')
        .any(|part| part.len() > MAX_NAME)
    {
        return refused("a component of its path is longer than Linux allows");
    }
    if name.is_empty() {
        return refused("its path is empty");
    }
    ImagePath::new(OsStr::from_bytes(&[b"/", name].concat()))
        .map_err(|error| DebFault::member(member, error.to_string()))
}

/// What a symbolic link says. Where it leads is not looked at: in an image it is followed from
/// the image's root, and nothing follows it on this machine.
fn symlink(header: &Header) -> Result<PathBuf, DebFault> {
    let refused = |reason: &str| Err(DebFault::member(&header.name, reason));
    if header.link.is_empty() {
        return refused("it is a symbolic link to nothing");
    }
    if header.link.len() > MAX_PATH {
        return refused("it links to a path that is longer than Linux allows");
    }
    if header.link.contains(&0) || header.link.contains(&b'\n') {
        return refused("it links to a path with a NUL byte or a line feed");
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(
        header.link.clone(),
    )))
}

/// The regular file that a hard link is a further name of: it stands before the link.
fn hard_link(
    header: &Header,
    found: &[(Member, Option<usize>)],
    known: &HashMap<ImagePath, usize>,
) -> Result<ImagePath, DebFault> {
    let target = image_path(&header.name, &header.link)?;
    match known.get(&target).and_then(|at| found.get(*at)) {
        Some((member, _)) => match &member.kind {
            MemberKind::File { .. } => Ok(target),
            MemberKind::HardLink(first) => Ok(first.clone()),
            MemberKind::Directory | MemberKind::Symlink(_) => Err(DebFault::member(
                &header.name,
                format!("it is a hard link to {target}, which is no regular file"),
            )),
        },
        None => Err(DebFault::member(
            &header.name,
            format!("it is a hard link to {target}, which does not stand before it"),
        )),
    }
}

/// A file below a link of the same package would land wherever the link leads.
fn refuse_below_files(
    found: &[(Member, Option<usize>)],
    known: &HashMap<ImagePath, usize>,
) -> Result<(), DebFault> {
    for (member, _) in found {
        let Some(parent) = member.path.parent() else {
            continue;
        };
        // The parent's own parents are looked at when its turn comes, unless it is not listed.
        let listed = known.get(&parent).and_then(|at| found.get(*at));
        let culprit = match listed {
            Some((parent, _)) => (parent.kind != MemberKind::Directory).then_some(parent),
            None => parent
                .ancestors()
                .filter_map(|path| found.get(*known.get(&path)?))
                .map(|(member, _)| member)
                .find(|member| member.kind != MemberKind::Directory),
        };
        if let Some(culprit) = culprit {
            return Err(DebFault::member(
                member.path.relative(),
                format!("it lies below {}, which is no directory", culprit.path),
            ));
        }
    }
    Ok(())
}
