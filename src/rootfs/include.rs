//! `--include SRC[:DST]`: files of this machine that land in the image as they are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::{APP_DIRECTORY, Content, Entry, Origin};
use crate::sysroot::{FileFacts, FileIdentity};
use crate::{ImagePath, ImagePathError};

/// The most files that one `--include` brings.
const ENTRY_LIMIT: usize = 1_000_000;

/// What one `--include` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    source: PathBuf,
    destination: Destination,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Destination {
    /// None was given.
    Implied,
    /// This very path.
    At(ImagePath),
    /// In this directory, under the source's own name.
    Into(ImagePath),
}

/// One entry that an `--include` brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Where it lands, before links of the image are followed.
    pub path: ImagePath,
    /// What it is, of [`Origin::Include`]. A further name of a file is a file here:
    /// [`assemble`](super::assemble()) makes the hard links, when it is known where each lands.
    pub entry: Entry,
    /// The path on this machine.
    pub source: PathBuf,
    /// What was changed on the way, for people.
    pub notice: Option<String>,
}

/// Why an `--include` cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum IncludeError {
    /// No SRC.
    #[error("--include {0:?} names no file: write SRC or SRC:DST")]
    Empty(String),
    /// A part after a colon that is no DST.
    #[error(
        "--include {text:?}: {after:?} is not absolute; write SRC:/DST (a SRC that holds a colon needs a DST)"
    )]
    RelativeDestination {
        /// All that was given.
        text: String,
        /// What stands after the colon.
        after: String,
    },
    /// DST leads outside, or cannot be a path.
    #[error(
        "--include {text:?}: the destination {source}; give the path that it shall have in the image as :DST"
    )]
    Destination {
        /// All that was given.
        text: String,
        /// What is wrong with it.
        source: ImagePathError,
    },
    /// SRC says nothing good about where it shall land.
    #[error(
        "--include {}: `..` in the source does not say where it lands in the image; give it as {}:/DST", .0.display(), .0.display()
    )]
    NeedsDestination(PathBuf),
    /// SRC is not there.
    #[error("--include {}: there is no such file or directory on this machine; correct SRC (the path in the image comes after the colon)", .0.display())]
    Missing(PathBuf),
    /// Links in SRC form a loop.
    #[error("--include {}: its symbolic links lead in a circle; `namei -l` shows them", .0.display())]
    Loop(PathBuf),
    /// No file matches.
    #[error("--include {}: no file matches the pattern below {}; correct it, or leave it out", .pattern.display(), .below.display())]
    NoMatch {
        /// The pattern.
        pattern: PathBuf,
        /// The directory that was searched.
        below: PathBuf,
    },
    /// The pattern is none.
    #[error("--include {}: {source}; write it as in glob(7), where [[] stands for a bracket", .pattern.display())]
    Pattern {
        /// The pattern.
        pattern: PathBuf,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// A device, socket or pipe.
    #[error(
        "--include: {} is a {what}, which an image cannot carry; leave it out with a narrower path or pattern", .path.display()
    )]
    Special {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file cannot be read.
    #[error("--include: cannot read {}: {source}; make it readable, or leave it out with a narrower path or pattern", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More files than anybody means.
    #[error("--include {}: more than {ENTRY_LIMIT} files; give a narrower path or pattern", .0.display())]
    TooMany(PathBuf),
}

impl Include {
    /// The same with another source.
    #[must_use]
    pub fn with_source(mut self, change: impl FnOnce(PathBuf) -> PathBuf) -> Self {
        self.source = change(self.source);
        self
    }

    /// Parses `SRC[:DST]`. DST is what follows the last `:/`; one that ends in `/` is a
    /// directory into which SRC lands.
    ///
    /// # Errors
    /// When SRC is empty, or DST is not absolute or has a `..`.
    pub fn parse(text: &str) -> Result<Self, IncludeError> {
        let (source, destination) = match text.rfind(":/") {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        if source.is_empty() || source.contains('\0') {
            return Err(IncludeError::Empty(text.to_owned()));
        }
        if destination.is_none()
            && let Some((_, after)) = text.split_once(':')
        {
            return Err(IncludeError::RelativeDestination {
                text: text.to_owned(),
                after: after.to_owned(),
            });
        }
        let destination = match destination {
            None => Destination::Implied,
            Some(path) => {
                let parsed = ImagePath::new(path).map_err(|source| IncludeError::Destination {
                    text: text.to_owned(),
                    source,
                })?;
                if path.ends_with('/') {
                    Destination::Into(parsed)
                } else {
                    Destination::At(parsed)
                }
            }
        };
        Ok(Self {
            source: PathBuf::from(source),
            destination,
        })
    }

    /// All entries that it brings, sorted by path. A SRC that is a link brings what it leads
    /// to; links inside a directory stay links. Where SRC exists, it is no pattern, whatever
    /// characters it has. `*` and `?` match any
    /// character but `/`, a leading dot too; `**` matches any number of directories.
    ///
    /// # Errors
    /// When nothing is there, a file cannot be read, or is neither file, directory nor link.
    pub fn expand(&self) -> Result<Vec<Included>, IncludeError> {
        let mut tree = Tree::new(&self.source);
        if std::fs::symlink_metadata(&self.source).is_ok() || !is_pattern(&self.source) {
            tree.add_root(&self.source, &self.place()?)?;
        } else {
            self.expand_pattern(&mut tree)?;
        }
        Ok(tree.found.into_values().collect())
    }

    /// Where a SRC that is no pattern lands.
    fn place(&self) -> Result<ImagePath, IncludeError> {
        match &self.destination {
            Destination::Implied => implied(&self.source),
            Destination::At(path) => Ok(path.clone()),
            Destination::Into(directory) => match self.source.file_name() {
                Some(name) => self.below(directory, Path::new(name)),
                // `.` and `/` have no name to land under.
                None if ends_in_parent(&self.source) => {
                    Err(IncludeError::NeedsDestination(self.source.clone()))
                }
                None => Ok(directory.clone()),
            },
        }
    }

    fn expand_pattern(&self, tree: &mut Tree<'_>) -> Result<(), IncludeError> {
        let (prefix, rest) = split_pattern(&self.source);
        let matcher = self.matcher(&rest)?;
        let way = Way::of(&rest);
        let directory = match &self.destination {
            Destination::Implied => implied(&prefix)?,
            Destination::At(path) | Destination::Into(path) => path.clone(),
        };
        let below = if prefix.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            prefix
        };
        let mut todo = vec![PathBuf::new()];
        let mut looked_at = 0;
        while let Some(inner) = todo.pop() {
            for name in names(&below.join(&inner))? {
                looked_at += 1;
                if looked_at > ENTRY_LIMIT {
                    return Err(IncludeError::TooMany(self.source.clone()));
                }
                let inner = inner.join(name);
                let path = below.join(&inner);
                if matcher.is_match(&inner) {
                    tree.add(&path, &self.below(&directory, &inner)?)?;
                } else if way.leads_into(&inner) && facts_of(&path)?.is_dir() {
                    todo.push(inner);
                }
            }
        }
        if tree.found.is_empty() {
            return Err(IncludeError::NoMatch {
                pattern: self.source.clone(),
                below,
            });
        }
        Ok(())
    }

    fn matcher(&self, pattern: &Path) -> Result<GlobMatcher, IncludeError> {
        matcher(pattern).map_err(|source| IncludeError::Pattern {
            pattern: self.source.clone(),
            source,
        })
    }

    fn below(&self, directory: &ImagePath, inner: &Path) -> Result<ImagePath, IncludeError> {
        directory
            .join(inner)
            .map_err(|_| IncludeError::NeedsDestination(self.source.clone()))
    }
}

fn matcher(pattern: &Path) -> Result<GlobMatcher, globset::Error> {
    // Braces are not part of our patterns: they stand for themselves.
    let text = pattern
        .to_string_lossy()
        .replace('{', "[{]")
        .replace('}', "[}]");
    let glob = GlobBuilder::new(&text)
        .literal_separator(true)
        .backslash_escape(true)
        .build()?;
    Ok(glob.compile_matcher())
}

/// The directories in which something may match a pattern: no others are looked into, which
/// may be many, or closed to this user.
struct Way {
    /// What each component matches; `None` where anything may follow, as for `**`.
    levels: Vec<Option<GlobMatcher>>,
}

impl Way {
    fn of(pattern: &Path) -> Self {
        let level = |component: Component<'_>| {
            let component: &Path = component.as_ref();
            (component != Path::new("**"))
                .then(|| matcher(component).ok())
                .flatten()
        };
        Self {
            levels: pattern.components().map(level).collect(),
        }
    }

    fn leads_into(&self, directory: &Path) -> bool {
        let mut levels = self.levels.iter();
        for component in directory.components() {
            match levels.next() {
                Some(Some(level)) if level.is_match(component) => {}
                Some(None) => return true,
                _ => return false,
            }
        }
        levels.next().is_some()
    }
}

/// What an include brings, by where it lands.
struct Tree<'a> {
    /// SRC, for messages.
    include: &'a Path,
    found: BTreeMap<ImagePath, Included>,
}

impl<'a> Tree<'a> {
    fn new(include: &'a Path) -> Self {
        Self {
            include,
            found: BTreeMap::new(),
        }
    }

    /// Adds what SRC leads to.
    fn add_root(&mut self, source: &Path, at: &ImagePath) -> Result<(), IncludeError> {
        let facts = std::fs::metadata(source).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                IncludeError::Missing(source.to_path_buf())
            }
            _ if is_loop(&error) => IncludeError::Loop(source.to_path_buf()),
            _ => unreadable(source)(error),
        })?;
        self.add_with(source, at, &facts)
    }

    /// Adds what stands at `source` itself.
    fn add(&mut self, source: &Path, at: &ImagePath) -> Result<(), IncludeError> {
        self.add_with(source, at, &facts_of(source)?)
    }

    fn add_with(
        &mut self,
        source: &Path,
        at: &ImagePath,
        facts: &Metadata,
    ) -> Result<(), IncludeError> {
        self.add_one(source, at, facts)?;
        let mut todo = Vec::new();
        if facts.is_dir() {
            todo.push((source.to_path_buf(), at.clone()));
        }
        while let Some((directory, at)) = todo.pop() {
            for name in names(&directory)? {
                let source = directory.join(&name);
                let facts = facts_of(&source)?;
                let at = at
                    .join(&name)
                    .map_err(|_| IncludeError::NeedsDestination(source.clone()))?;
                self.add_one(&source, &at, &facts)?;
                if facts.is_dir() {
                    todo.push((source, at));
                }
            }
        }
        Ok(())
    }

    fn add_one(
        &mut self,
        source: &Path,
        at: &ImagePath,
        facts: &Metadata,
    ) -> Result<(), IncludeError> {
        if self.found.len() == ENTRY_LIMIT {
            return Err(IncludeError::TooMany(self.include.to_path_buf()));
        }
        let kind = facts.file_type();
        let mut mode = facts.mode() & 0o777;
        let mut dropped = facts.mode() & 0o6000;
        let entry = if kind.is_dir() {
            // On a directory the sticky bit means something else, and setgid follows the host's groups.
            mode = facts.mode() & 0o1777;
            dropped = 0;
            Entry::directory(mode, Origin::Include)
        } else if kind.is_symlink() {
            dropped = 0;
            let target = std::fs::read_link(source).map_err(unreadable(source))?;
            Entry::symlink(target, Origin::Include)
        } else if kind.is_file() {
            Entry::file(readable_content(source, facts)?, mode, Origin::Include)
        } else {
            let what = match () {
                () if kind.is_fifo() => "named pipe",
                () if kind.is_socket() => "socket",
                () => "device",
            };
            return Err(IncludeError::Special {
                path: source.to_path_buf(),
                what,
            });
        };
        let notice = if dropped != 0 {
            Some(format!(
                "{at}: the setuid and setgid bits of {} were dropped",
                source.display()
            ))
        } else if kind.is_file() && mode & 0o004 == 0 {
            Some(format!(
                "{at} keeps the mode {mode:04o} of {} and is owned by root: only root can read it in the container",
                source.display()
            ))
        } else if kind.is_dir() && mode & 0o001 == 0 {
            Some(format!(
                "{at} keeps the mode {mode:04o} of {} and is owned by root: only root can reach what is in it in the container",
                source.display()
            ))
        } else {
            None
        };
        let included = Included {
            path: at.clone(),
            entry,
            source: source.to_path_buf(),
            notice,
        };
        self.found.insert(at.clone(), included);
        Ok(())
    }
}

/// Its own path when absolute, else below `/app`.
fn implied(source: &Path) -> Result<ImagePath, IncludeError> {
    let place = if source.is_absolute() {
        ImagePath::new(source)
    } else {
        ImagePath::new(Path::new(APP_DIRECTORY).join(source))
    };
    place.map_err(|_| IncludeError::NeedsDestination(source.to_path_buf()))
}

fn ends_in_parent(path: &Path) -> bool {
    path.components().next_back() == Some(Component::ParentDir)
}

fn is_pattern(path: impl AsRef<OsStr>) -> bool {
    path.as_ref()
        .as_bytes()
        .iter()
        .any(|byte| b"*?[".contains(byte))
}

/// The components before the first with a wildcard, and the others.
fn split_pattern(pattern: &Path) -> (PathBuf, PathBuf) {
    let fixed = pattern
        .components()
        .take_while(|component| !is_pattern(component))
        .count();
    let components = pattern.components();
    (
        components.clone().take(fixed).collect(),
        components.skip(fixed).collect(),
    )
}

fn names(directory: &Path) -> Result<Vec<std::ffi::OsString>, IncludeError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => IncludeError::Missing(directory.to_path_buf()),
        _ if is_loop(&error) => IncludeError::Loop(directory.to_path_buf()),
        _ => unreadable(directory)(error),
    };
    let mut names = std::fs::read_dir(directory)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable(directory))?;
    names.sort_unstable();
    Ok(names)
}

fn facts_of(path: &Path) -> Result<Metadata, IncludeError> {
    std::fs::symlink_metadata(path).map_err(unreadable(path))
}

/// The content of a file that this user can open.
fn readable_content(path: &Path, facts: &Metadata) -> Result<Content, IncludeError> {
    // NONBLOCK: if a named pipe has taken the file's place, opening must not wait.
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    File::options()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)
        .map_err(unreadable(path))?;
    let nanoseconds =
        |seconds: i64, part: i64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
    Ok(Content::Host {
        path: std::path::absolute(path).map_err(unreadable(path))?,
        facts: FileFacts {
            size: facts.size(),
            mode: facts.mode() & 0o7777,
            identity: FileIdentity {
                device: facts.dev(),
                inode: facts.ino(),
                size: facts.size(),
                modified: nanoseconds(facts.mtime(), facts.mtime_nsec()),
                changed: nanoseconds(facts.ctime(), facts.ctime_nsec()),
            },
        },
    })
}

fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> IncludeError + '_ {
    move |source| IncludeError::Unreadable {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests;
