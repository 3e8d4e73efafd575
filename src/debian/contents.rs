//! Which package holds a file: the `Contents` index of an archive.

mod directory;
#[cfg(test)]
mod tests;

use std::io::{BufRead, Read};

use super::Architecture;
use directory::Directory;

/// A line longer than this many bytes is refused; the longest real ones have some 9,000, where
/// many packages hold one path.
const LINE_LIMIT: usize = 1 << 20;
/// Files that are told at the most.
const FOUND_LIMIT: usize = 10_000;
/// Bytes that are read at once.
const BLOCK: usize = 1 << 18;

/// A file that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What was asked, as it was asked.
    pub wanted: String,
    /// Where the file is, from `/` on.
    pub path: String,
    /// The packages that hold it: those for development last, then by name.
    pub packages: Vec<String>,
}

/// An index of files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// It cannot be read or decompressed.
    #[error(
        "the index of files cannot be read: {0}; it may have been cut short: download it again"
    )]
    Read(#[from] std::io::Error),
    /// A line is longer than any.
    #[error("the index of files is refused: line {line} is longer than {} KiB", LINE_LIMIT >> 10)]
    Line {
        /// The line, from 1.
        line: usize,
    },
    /// More files than anything real has.
    #[error("the index of files has more than {FOUND_LIMIT} files of the names looked for")]
    TooMany,
}

/// What is looked for.
struct Wish<'a> {
    asked: &'a str,
    /// Less the slash before it and `usr/`, for a path; else a file's name.
    name: &'a [u8],
    is_path: bool,
}

/// Looks for the packages that hold files of these names in `reader`, a `Contents` index that is
/// decompressed already (<https://wiki.debian.org/DebianRepository/Format#A.22Contents.22_indices>).
///
/// A name without a slash is that of a library: it is looked for in the directories for libraries
/// of `architecture`. A name with a slash is a path of any file, with or without `/usr` where both
/// are the same since usr-merge.
///
/// For each name in the order asked there come packages that are not for development, then files
/// in the directories of which the loader knows by itself, then by path.
///
/// # Errors
///
/// When it cannot be read, or has lines of which no real one is.
pub fn find_in_contents(
    mut reader: impl Read,
    names: &[String],
    architecture: Architecture,
) -> Result<Vec<Found>, ContentsError> {
    let mut search = Search::new(names, architecture);
    let mut block = Vec::with_capacity(BLOCK * 2);
    loop {
        let size = u64::try_from(BLOCK).unwrap_or(u64::MAX);
        let read = reader.by_ref().take(size).read_to_end(&mut block)?;
        let end = match block.iter().rposition(|byte| *byte == b'\n') {
            Some(last) if read > 0 => last + 1,
            _ if read > 0 => 0,
            _ => block.len(),
        };
        search.lines(block.get(..end).unwrap_or_default())?;
        block.drain(..end);
        if block.len() > LINE_LIMIT {
            return Err(ContentsError::Line {
                line: search.line + 1,
            });
        }
        if read == 0 {
            return Ok(search.sorted());
        }
    }
}

/// A file that was found, with what it is sorted by.
struct Hit {
    wish: usize,
    is_development: bool,
    directory: Directory,
    path: String,
    packages: Vec<String>,
}

struct Search<'a> {
    wishes: Vec<Wish<'a>>,
    architecture: Architecture,
    /// Whether a name of this length is looked for: most are not, and need not be compared.
    lengths: [bool; 256],
    has_path: bool,
    line: usize,
    hits: Vec<Hit>,
}

impl<'a> Search<'a> {
    fn new(names: &'a [String], architecture: Architecture) -> Self {
        let wishes: Vec<Wish<'a>> = names.iter().map(|name| Wish::of(name)).collect();
        let mut lengths = [false; 256];
        for wish in &wishes {
            if let Some(length) = lengths.get_mut(wish.name.len().min(255)) {
                *length = true;
            }
        }
        Self {
            has_path: wishes.iter().any(|wish| wish.is_path),
            wishes,
            architecture,
            lengths,
            line: 0,
            hits: Vec::new(),
        }
    }

    fn lines(&mut self, text: &[u8]) -> Result<(), ContentsError> {
        let mut rest = text;
        while !rest.is_empty() {
            let all = rest;
            let length = rest.skip_until(b'\n').unwrap_or(all.len());
            self.line += 1;
            self.look(all.get(..length).unwrap_or(all).trim_ascii_end())?;
        }
        Ok(())
    }

    fn look(&mut self, line: &[u8]) -> Result<(), ContentsError> {
        // Libraries are below lib*/ and usr/lib*/ alone.
        let is_below_lib = line.starts_with(b"usr/lib") || line.starts_with(b"lib");
        if !is_below_lib && !self.has_path {
            return Ok(());
        }
        // Paths may hold blanks, lists of packages do not.
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let Some(last) = line.iter().rposition(blank) else {
            return Ok(());
        };
        let Some((path, packages)) = line.split_at_checked(last) else {
            return Ok(());
        };
        let path = path.trim_ascii_end();
        let slash = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        let (folder, name) = path.split_at_checked(slash).unwrap_or_default();
        let name_wanted = is_below_lib && self.lengths.get(name.len().min(255)) == Some(&true);
        if !name_wanted && !self.has_path {
            return Ok(());
        }
        for (number, wish) in self.wishes.iter().enumerate() {
            let directory = match wish.is_path {
                true => (merged(path) == wish.name).then_some(Directory::Loader),
                false if name_wanted && name == wish.name => {
                    Directory::of(folder, self.architecture)
                }
                false => None,
            };
            let Some(directory) = directory else { continue };
            if self.hits.len() == FOUND_LIMIT {
                return Err(ContentsError::TooMany);
            }
            let (is_development, packages) = holders(packages);
            self.hits.push(Hit {
                wish: number,
                is_development,
                directory,
                path: format!("/{}", String::from_utf8_lossy(path)),
                packages,
            });
        }
        Ok(())
    }

    fn sorted(mut self) -> Vec<Found> {
        self.hits.sort_by(|one, other| {
            let key = |hit: &Hit| (hit.wish, hit.is_development, hit.directory);
            key(one)
                .cmp(&key(other))
                .then_with(|| one.path.cmp(&other.path))
        });
        let found = self.hits.into_iter().filter_map(|hit| {
            Some(Found {
                wanted: self.wishes.get(hit.wish)?.asked.to_owned(),
                path: hit.path,
                packages: hit.packages,
            })
        });
        found.collect()
    }
}

impl<'a> Wish<'a> {
    fn of(asked: &'a str) -> Self {
        let is_path = asked.contains('/');
        let name = match is_path {
            true => merged(asked.trim_start_matches('/').as_bytes()),
            false => asked.as_bytes(),
        };
        Self {
            asked,
            name,
            is_path,
        }
    }
}

/// A path without `usr/` before a directory that usr-merge moved there.
fn merged(path: &[u8]) -> &[u8] {
    let moved = |rest: &&[u8]| {
        let is_moved = |directory: &&[u8]| rest.starts_with(directory);
        [b"bin/".as_slice(), b"sbin/", b"lib"].iter().any(is_moved)
    };
    path.strip_prefix(b"usr/").filter(moved).unwrap_or(path)
}

/// The packages of `section/name,section/name`, and whether all are for development.
fn holders(list: &[u8]) -> (bool, Vec<String>) {
    let list = String::from_utf8_lossy(list);
    let mut packages: Vec<(bool, &str)> = list
        .trim()
        .split(',')
        .map(|entry| {
            let (section, name) = entry.rsplit_once('/').unwrap_or(("", entry));
            let section = section.rsplit('/').next().unwrap_or_default();
            let ends = ["-dev", "-dbg", "-dbgsym"]
                .iter()
                .any(|end| name.ends_with(end));
            (ends || matches!(section, "libdevel" | "debug"), name)
        })
        .filter(|(_, name)| !name.is_empty())
        .collect();
    packages.sort_unstable();
    packages.dedup();
    let is_development = packages.iter().all(|(is_development, _)| *is_development);
    (
        is_development,
        packages
            .into_iter()
            .map(|(_, name)| name.to_owned())
            .collect(),
    )
}
