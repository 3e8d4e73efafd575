//! From an app and its closure to the tree of the image.

mod configure;
mod include;
mod loader;
mod placement;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use include::same_bytes;
use placement::Placement;
pub(crate) use placement::is_system;

use super::tree::relative;
use super::{APP_DIRECTORY, Base, Conflict, Content, Entry, EntryKind, Included, Origin, Rootfs};
use crate::ImagePath;
use crate::app::{App, AppKind, Hosted};
use crate::elf::Closure;
use crate::sysroot::{Sysroot, Trace, TraceError, trace};

/// Drops what is not needed at run time from an ELF object's bytes.
pub type StripFunction = fn(&[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;

/// The largest object that is stripped: it is held in memory whole.
const STRIP_LIMIT: u64 = 1 << 30;

/// All that goes into an image.
pub struct Assembly<'a> {
    /// The system that the app and its libraries are taken from.
    pub sysroot: &'a dyn Sysroot,
    /// What is laid under them.
    pub base: &'a Base,
    /// The app.
    pub app: &'a App,
    /// Its closure.
    pub closure: &'a Closure,
    /// What comes along and what `--include` brings.
    pub includes: Vec<Included>,
    /// `--strip`: applied to the app and the libraries.
    pub strip: Option<StripFunction>,
}

/// The tree of an image.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// The tree.
    pub rootfs: Rootfs,
    /// The app in it.
    pub entrypoint: ImagePath,
    /// What was changed or may surprise, in the order in which it was met.
    pub notices: Vec<String>,
    /// For each file that comes from the sysroot: its path in the image, and there.
    pub placements: BTreeMap<ImagePath, ImagePath>,
}

/// Why a tree cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// Two things want one path.
    #[error("{conflict}; the second is {}; where the base is in the way, try --base none", .from.display())]
    Conflict {
        /// What is in the way of what.
        conflict: Conflict,
        /// The file or link that does not fit.
        from: PathBuf,
    },
    /// An include wants a path that is taken.
    #[error(
        "--include {} cannot land at {path}: {taken} is there, with other content; give another place as {}:/DST", .include.display(), .include.display()
    )]
    Include {
        /// The path in the image.
        path: ImagePath,
        /// The file on this machine.
        include: PathBuf,
        /// Who was there first.
        taken: String,
    },
    /// An include leads through something that is no directory.
    #[error("--include {}: {conflict}; give another place as {}:/DST", .include.display(), .include.display())]
    IncludePlace {
        /// What is in the way.
        conflict: Conflict,
        /// The file on this machine.
        include: PathBuf,
    },
    /// A file that was there is no longer readable.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file on this machine.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An interpreter of a script leads nowhere.
    #[error(transparent)]
    Interpreter(#[from] TraceError),
    /// A path cannot be one of an image.
    #[error("{0}")]
    Path(#[from] crate::ImagePathError),
}

/// Lays the app, every name under which its loader opens a library, and the includes over the base.
///
/// A library keeps its path. The app keeps it in a system directory (`/usr`, `/opt`...); from
/// any other it moves below `/app`, together with the libraries that are found relative to it,
/// so that the image does not depend on where it was built.
///
/// # Errors
/// When a file cannot be looked at, or two different things want one path.
pub fn assemble(input: &Assembly<'_>) -> Result<Assembled, AssembleError> {
    let interpreters = interpreters(input)?;
    let mut tree = place_all(input, &interpreters)?;
    let entrypoint = tree.entrypoint.clone();
    tree.add_merged_links()?;
    tree.configure_loaders()?;
    tree.add_includes()?;
    tree.open_directories();
    tree.rootfs.link_same_files();
    tree.strip();
    Ok(Assembled {
        rootfs: tree.rootfs,
        entrypoint,
        notices: tree.notices,
        placements: tree.placements,
    })
}

/// The interpreters of a script, with how their paths lead to them.
fn interpreters(input: &Assembly<'_>) -> Result<Vec<(PathBuf, Trace)>, AssembleError> {
    match &input.app.kind {
        AppKind::Elf | AppKind::Hosted(_) => Ok(Vec::new()),
        AppKind::Script { interpreters } => interpreters
            .iter()
            .map(|step| Ok((step.path.clone(), trace(input.sysroot, &step.path)?)))
            .collect(),
    }
}

/// Places the app and its closure, moved if everything is found in its new place too.
fn place_all<'a>(
    input: &'a Assembly<'a>,
    interpreters: &[(PathBuf, Trace)],
) -> Result<Tree<'a>, AssembleError> {
    let mut placement = Placement::of(input.app, input.closure);
    if matches!(placement, Placement::Moved { .. }) {
        // A conflict can only come from the new places: the old ones are tried next.
        let why = match Tree::place(input, placement, interpreters) {
            Ok(tree) if tree.leads_where_it_did() => return Ok(tree),
            Ok(_) => {
                "a library beside it is found through a link or a path that leaves its directory"
                    .to_owned()
            }
            // A base that is an image may have an app of its own there.
            Err(AssembleError::Conflict { conflict, .. }) => {
                format!("in its usual place something else is: {conflict}")
            }
            Err(_) => "its usual place cannot hold it".to_owned(),
        };
        placement = Placement::Kept { why: Some(why) };
    }
    let why = match &placement {
        Placement::Kept { why } => why.clone(),
        Placement::Moved { .. } => None,
    };
    let mut tree = Tree::place(input, placement, interpreters)?;
    if let Some(why) = why {
        let target = &input.app.trace.target;
        let directory = target.parent().unwrap_or_else(ImagePath::root);
        tree.notices.insert(
            0,
            format!("the image has the app in {directory}, as on this machine: {why}"),
        );
    }
    Ok(tree)
}

/// The tree under construction.
struct Tree<'a> {
    input: &'a Assembly<'a>,
    placement: Placement,
    /// Where includes and companions put files, the system's links followed, and their origins.
    included: BTreeMap<ImagePath, Origin>,
    rootfs: Rootfs,
    entrypoint: ImagePath,
    notices: Vec<String>,
    placements: BTreeMap<ImagePath, ImagePath>,
    /// Names of moved files, as their loader will spell them, and where they must lead;
    /// `None` for what has no such name.
    promises: Vec<(Option<PathBuf>, ImagePath)>,
}

impl<'a> Tree<'a> {
    fn place(
        input: &'a Assembly<'a>,
        placement: Placement,
        interpreters: &[(PathBuf, Trace)],
    ) -> Result<Self, AssembleError> {
        let mut tree = Self {
            input,
            placement,
            included: include::places(input),
            rootfs: input.base.rootfs().clone(),
            entrypoint: input.app.trace.target.clone(),
            notices: Vec::new(),
            placements: BTreeMap::new(),
            promises: Vec::new(),
        };
        match input.app.hosted() {
            // All of it is among what comes along.
            Some(hosted) => tree.entrypoint = program_of(hosted)?,
            None => tree.entrypoint = tree.place_app()?,
        }
        for (_, trace) in interpreters {
            tree.keep(trace, Origin::Library)?;
        }
        tree.place_objects()?;
        Ok(tree)
    }

    /// The app itself, and the name under which it was given.
    fn place_app(&mut self) -> Result<ImagePath, AssembleError> {
        let app = self.input.app;
        let target = &app.trace.target;
        let moved = matches!(self.placement, Placement::Moved { .. });
        if !moved && (is_system(&app.path) || !is_system(target.as_path())) {
            self.keep(&app.trace, Origin::App)?;
            return Ok(ImagePath::new(&app.path).unwrap_or_else(|_| target.clone()));
        }
        let file = self
            .placement
            .image_path(target)
            .unwrap_or_else(|| target.clone());
        if moved {
            self.directory(&ImagePath::new(APP_DIRECTORY)?, 0o755, Origin::App)?;
        } else {
            for (directory, mode) in directories_above(&app.trace) {
                self.directory(directory, mode, Origin::App)?;
            }
        }
        self.file(target, file.clone(), Origin::App)?;
        let Some(name) = app
            .path
            .file_name()
            .filter(|name| Some(*name) != target.file_name())
        else {
            return Ok(file);
        };
        let link = if moved {
            file.parent().unwrap_or_else(ImagePath::root)
        } else {
            ImagePath::new(APP_DIRECTORY)?
        }
        .join(name)?;
        let entry = Entry::symlink(relative(&link, &file), Origin::App);
        self.insert(link.clone(), entry, &app.path)?;
        Ok(link)
    }

    fn place_objects(&mut self) -> Result<(), AssembleError> {
        let closure = self.input.closure;
        let mut leaks = BTreeSet::new();
        for (index, object) in closure.objects.iter().enumerate() {
            let target = &object.trace.target;
            let is_app = *target == self.input.app.trace.target;
            if is_app {
                // It was placed with the app's own name.
                continue;
            }
            let moves = self.placement.moves(index);
            let origin = match self.included.get(target) {
                Some(origin) if !moves => *origin,
                _ => Origin::Library,
            };
            let names = std::iter::once((&object.path, &object.trace))
                .chain(object.aliases.iter().map(|(path, trace)| (path, trace)));
            for (path, trace) in names {
                if moves {
                    self.move_along(path, trace)?;
                    continue;
                }
                self.keep(trace, origin)?;
                if origin == Origin::Library && !is_system(target.as_path()) {
                    leaks.insert(path.clone());
                }
            }
        }
        if matches!(self.placement, Placement::Moved { .. }) {
            for path in leaks {
                self.notices.push(format!(
                    "{} keeps its path in the image: it is found by a fixed path or --library-path, not relative to the app",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    /// Places what a path leads through, all of it where it is on the system.
    fn keep(&mut self, trace: &Trace, origin: Origin) -> Result<(), AssembleError> {
        for (directory, mode) in &trace.directories {
            self.directory(directory, *mode, origin)?;
        }
        for (link, said) in &trace.links {
            let from = self.input.sysroot.display(link.as_path());
            self.insert(link.clone(), Entry::symlink(said, origin), &from)?;
        }
        self.file(&trace.target, trace.target.clone(), origin)
    }

    /// Places what a path leads through below the new directory of the app.
    fn move_along(&mut self, path: &Path, trace: &Trace) -> Result<(), AssembleError> {
        let origin = Origin::Library;
        for (directory, _) in &trace.directories {
            if let Some(moved) = self.placement.image_path(directory) {
                // Who built it where, and with which umask, shall not matter.
                self.directory(&moved, 0o755, origin)?;
            }
        }
        for (link, said) in &trace.links {
            if let Some(moved) = self.placement.image_path(link) {
                self.insert(moved, Entry::symlink(said, origin), path)?;
            }
        }
        let Some(moved) = self.placement.image_path(&trace.target) else {
            // A further name of the file outside of what moves: it would be lost.
            self.promises.push((None, trace.target.clone()));
            return Ok(());
        };
        let name = self.placement.spelling(path);
        self.promises.push((name, moved.clone()));
        self.file(&trace.target, moved, origin)
    }

    /// Whether each moved file is found under the name that its loader will use.
    fn leads_where_it_did(&self) -> bool {
        self.promises.iter().all(|(name, target)| {
            name.as_ref()
                .is_some_and(|name| self.rootfs.follow(name).as_ref() == Some(target))
        })
    }

    fn directory(
        &mut self,
        at: &ImagePath,
        mode: u32,
        origin: Origin,
    ) -> Result<(), AssembleError> {
        // setgid follows groups of this machine.
        let entry = Entry::directory(mode & 0o1777, origin);
        let from = self.input.sysroot.display(at.as_path());
        self.insert(at.clone(), entry, &from)
    }

    /// Places the file that is at `source` in the sysroot.
    fn file(
        &mut self,
        source: &ImagePath,
        at: ImagePath,
        origin: Origin,
    ) -> Result<(), AssembleError> {
        // What is included comes with the includes.
        if self.placements.contains_key(&at) || self.included.get(source) == Some(&origin) {
            return Ok(());
        }
        let from = self.input.sysroot.display(source.as_path());
        let (content, found) =
            (self.input.sysroot.content(source)).map_err(|source| AssembleError::Read {
                path: from.clone(),
                source,
            })?;
        // It is there, and stays as the base has it.
        if self
            .input
            .base
            .holds(&at, &EntryKind::File(content.clone()))
        {
            return Ok(());
        }
        let moved = matches!(self.placement, Placement::Moved { .. })
            && self.placement.image_path(source).as_ref() == Some(&at);
        let mode = self.usable_mode(&from, found, moved);
        self.insert(at.clone(), Entry::file(content, mode, origin), &from)?;
        self.placements.insert(at, source.clone());
        Ok(())
    }

    /// The mode without special bits, and such that the image's user can use the file. Of a
    /// file that was moved only whether it is executable matters, not who built it with
    /// which umask.
    fn usable_mode(&mut self, file: &Path, found: u32, moved: bool) -> u32 {
        let kept = found & 0o777;
        let mode = match (moved, found & 0o111) {
            (false, _) => kept | (found >> 6) & 0o5,
            (true, 0) => 0o644,
            (true, _) => 0o755,
        };
        if found & 0o6000 != 0 {
            self.notices.push(format!(
                "the setuid and setgid bits of {} were dropped",
                file.display()
            ));
        }
        if mode & !kept & 0o005 != 0 {
            self.notices.push(format!(
                "{} is {kept:04o} here and {mode:04o} in the image, where a user that is not its owner runs it",
                file.display()
            ));
        }
        mode
    }

    fn insert(&mut self, at: ImagePath, entry: Entry, from: &Path) -> Result<(), AssembleError> {
        self.rootfs
            .insert(at, entry)
            .map_err(|conflict| AssembleError::Conflict {
                conflict,
                from: from.to_path_buf(),
            })
    }

    /// A file is of no use below a directory that the image's user may not enter.
    fn open_directories(&mut self) {
        let closed: BTreeSet<ImagePath> = self
            .placements
            .keys()
            .flat_map(|path| path.ancestors().collect::<Vec<_>>())
            .filter(|parent| {
                (self.rootfs.get(parent)).is_some_and(|entry| entry.uid == 0 && entry.mode & 1 == 0)
            })
            .collect();
        for path in closed {
            let mode = self.rootfs.get(&path).map_or(0, |entry| entry.mode);
            let open = mode | 0o011;
            self.rootfs.set_mode(&path, open);
            self.notices.push(format!(
                "the directory {path} is {open:04o} in the image instead of {mode:04o}: a library or the app lies below it"
            ));
        }
    }

    /// Strips the app and the libraries; what cannot be stripped stays as it is.
    fn strip(&mut self) {
        let Some(strip) = self.input.strip else {
            return;
        };
        let objects: BTreeSet<&ImagePath> = self
            .input
            .closure
            .objects
            .iter()
            .flat_map(|object| {
                std::iter::once(&object.trace).chain(object.aliases.iter().map(|(_, trace)| trace))
            })
            .map(|trace| &trace.target)
            .collect();
        for (at, source) in &self.placements {
            let entry = self.rootfs.get(at).map(|entry| &entry.kind);
            let Some(EntryKind::File(content)) = entry else {
                continue;
            };
            if !objects.contains(source) {
                continue;
            }
            let size = content.size();
            let stripped = (self.input.sysroot.read(source.as_path(), STRIP_LIMIT))
                .map_err(Into::into)
                .and_then(|bytes| strip(&bytes));
            match stripped {
                Ok(bytes) if (bytes.len() as u64) < size => {
                    self.rootfs.set_content(at, Content::Bytes(bytes.into()));
                }
                Ok(_) => {}
                Err(error) => self.notices.push(format!(
                    "{} is not stripped: {error}",
                    self.input.sysroot.display(source.as_path()).display()
                )),
            }
        }
    }
}

/// The program that the kernel starts for an app of a runtime.
fn program_of(hosted: &Hosted) -> Result<ImagePath, AssembleError> {
    let program = hosted.command.first().map_or("", String::as_str);
    Ok(ImagePath::new(program)?)
}

/// The directory of the app that the image has at another place, and that place.
pub(crate) fn moved_directory(app: &App, closure: &Closure) -> Option<(PathBuf, ImagePath)> {
    match Placement::of(app, closure) {
        Placement::Moved { prefix, .. } => {
            Some((prefix.into(), ImagePath::new(APP_DIRECTORY).ok()?))
        }
        Placement::Kept { .. } => None,
    }
}

/// The directories that hold the target, not those that its links led through.
fn directories_above(trace: &Trace) -> impl Iterator<Item = (&ImagePath, u32)> {
    (trace.directories.iter())
        .filter(|(directory, _)| trace.target.starts_with(directory))
        .map(|(directory, mode)| (directory, *mode))
}

#[cfg(test)]
mod tests;
