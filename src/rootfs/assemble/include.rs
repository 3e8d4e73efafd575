//! `--include` on top of the other origins.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::{AssembleError, Assembly, Tree};
use crate::ImagePath;
use crate::rootfs::{Conflict, Content, Entry, EntryKind, Origin};
use crate::sysroot::{Node, trace};

/// Where the files of the includes land in the sysroot's own terms: its directory links followed.
pub(super) fn places(input: &Assembly<'_>) -> BTreeMap<ImagePath, Origin> {
    let mut directories: BTreeMap<ImagePath, ImagePath> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for found in &input.includes {
        let (Some(parent), Some(name)) = (found.path.parent(), found.path.file_name()) else {
            continue;
        };
        if !matches!(found.entry.kind, EntryKind::File(_)) {
            continue;
        }
        let directory = directories.entry(parent).or_insert_with_key(|parent| {
            match trace(input.sysroot, parent.as_path()) {
                Ok(trace) if matches!(trace.node, Node::Directory { .. }) => trace.target,
                // The image gets a directory that the system does not have.
                _ => parent.clone(),
            }
        });
        if let Ok(place) = directory.join(name) {
            places.insert(place, found.entry.origin);
        }
    }
    places
}

impl Tree<'_> {
    /// Lays the includes on top. They may take the place of files of the base, of nothing else.
    pub(super) fn add_includes(&mut self) -> Result<(), AssembleError> {
        let input = self.input;
        let mut sources: BTreeMap<ImagePath, PathBuf> = BTreeMap::new();
        for found in &input.includes {
            self.notices.extend(found.notice.clone());
            let by_user = found.entry.origin == Origin::Include;
            let in_the_way = |conflict| match by_user {
                true => AssembleError::IncludePlace {
                    conflict,
                    include: found.source.clone(),
                },
                false => AssembleError::Conflict {
                    conflict,
                    from: found.source.clone(),
                },
            };
            let at = self.rootfs.canonical(&found.path).map_err(in_the_way)?;
            if found.entry.kind == EntryKind::Directory && self.is_directory_link(&at) {
                continue;
            }
            match self.rootfs.insert(at.clone(), found.entry.clone()) {
                Ok(()) => {}
                Err(conflict @ Conflict::Different { first, .. }) => {
                    let settled = self.settle(&at, found.entry.clone(), first)?;
                    if !settled && !by_user {
                        return Err(in_the_way(conflict));
                    }
                    settled
                        .then_some(())
                        .ok_or_else(|| AssembleError::Include {
                            path: at.clone(),
                            include: found.source.clone(),
                            taken: self.who(&at, first, &sources),
                        })?;
                }
                Err(conflict) => return Err(in_the_way(conflict)),
            }
            sources.entry(at).or_insert_with(|| found.source.clone());
        }
        Ok(())
    }

    /// Whether an entry for a path that is taken is welcome: it replaces a file of the base, or
    /// has the bytes of what is there, or of what the link there leads to.
    fn settle(
        &mut self,
        at: &ImagePath,
        entry: Entry,
        first: Origin,
    ) -> Result<bool, AssembleError> {
        // A library that was included by the name of a link is found through the link: the file
        // that the include means is at its end.
        let there = match self.rootfs.get(at).map(|entry| &entry.kind) {
            Some(EntryKind::Symlink(_)) if first != Origin::Base => self
                .rootfs
                .follow(at.as_path())
                .and_then(|target| self.rootfs.get(&target))
                .map(|entry| &entry.kind),
            other => other,
        };
        if let (Some(EntryKind::File(there)), EntryKind::File(new)) = (there, &entry.kind)
            && same_bytes(there, new)?
        {
            return Ok(true);
        }
        let by_user = entry.origin == Origin::Include;
        if first != Origin::Base || self.rootfs.replace(at.clone(), entry).is_err() {
            return Ok(false);
        }
        if by_user {
            self.notices.push(format!(
                "{at} of the base {} is replaced by --include",
                self.input.base.name
            ));
        }
        Ok(true)
    }

    /// Whether a link stands at `at` that leads to a directory, or will when its files come.
    fn is_directory_link(&self, at: &ImagePath) -> bool {
        let is_link = |entry: &Entry| matches!(entry.kind, EntryKind::Symlink(_));
        self.rootfs.get(at).is_some_and(is_link)
            && match self.rootfs.follow(at.as_path()) {
                Some(target) => (self.rootfs.get(&target))
                    .is_none_or(|entry| entry.kind == EntryKind::Directory),
                None => true,
            }
    }

    fn who(&self, at: &ImagePath, first: Origin, sources: &BTreeMap<ImagePath, PathBuf>) -> String {
        let from_system = self.placements.get(at).map(|source| {
            let shown = self.input.sysroot.display(source.as_path());
            format!("{} (from {first})", shown.display())
        });
        sources
            .get(at)
            .map(|source| format!("--include {}", source.display()))
            .or(from_system)
            .unwrap_or_else(|| format!("an entry of {first}"))
    }
}

pub(crate) fn same_bytes(a: &Content, b: &Content) -> Result<bool, AssembleError> {
    const BLOCK: usize = 64 << 10;
    if a.is_same(b) || a.size() != b.size() {
        return Ok(a.is_same(b));
    }
    let (mut readers, mut blocks) = ((open(a)?, open(b)?), (vec![0; BLOCK], vec![0; BLOCK]));
    loop {
        let first = fill(a, &mut readers.0, &mut blocks.0)?;
        let second = fill(b, &mut readers.1, &mut blocks.1)?;
        if blocks.0[..first] != blocks.1[..second] {
            return Ok(false);
        }
        if first < BLOCK {
            return Ok(true);
        }
    }
}

fn open(content: &Content) -> Result<Box<dyn Read + '_>, AssembleError> {
    match content {
        Content::Bytes(bytes) => Ok(Box::new(&**bytes)),
        Content::Host { path, .. } => match File::open(path) {
            Ok(file) => Ok(Box::new(file)),
            Err(source) => Err(unreadable(content, source)),
        },
    }
}

fn fill(
    content: &Content,
    reader: &mut dyn Read,
    block: &mut [u8],
) -> Result<usize, AssembleError> {
    let mut filled = 0;
    while filled < block.len() {
        match reader.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(content, error)),
        }
    }
    Ok(filled)
}

fn unreadable(content: &Content, source: io::Error) -> AssembleError {
    let path = match content {
        Content::Host { path, .. } => path.clone(),
        Content::Bytes(_) => PathBuf::new(),
    };
    AssembleError::Read { path, source }
}
