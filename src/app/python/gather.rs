//! What comes along, by its place in the image, and what of this machine stands where there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::PythonError;
use super::files::{Files, Walked, WalkedKind, text};
use crate::ImagePath;
use crate::app::companion::{Companion, Companions, Provenance, Role};
use crate::rootfs::{Content, Entry, EntryKind, Origin, is_system};
use crate::sysroot::FileFacts;

/// Files that come along for one reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    by: Provenance,
    reason: String,
}

impl Group {
    pub(super) fn runtime(reason: impl Into<String>) -> Self {
        Self::new(Provenance::Runtime, reason)
    }

    pub(super) fn packages(reason: impl Into<String>) -> Self {
        Self::new(Provenance::Packages, reason)
    }

    pub(super) fn app(reason: impl Into<String>) -> Self {
        Self::new(Provenance::App, reason)
    }

    fn new(by: Provenance, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { by, reason }
    }

    fn origin(&self) -> Origin {
        match self.by {
            Provenance::App => Origin::App,
            _ => Origin::Runtime,
        }
    }
}

/// What comes along so far. The first who brings a path has it.
pub(super) struct Gathered<'a> {
    files: &'a Files<'a>,
    found: BTreeMap<ImagePath, (Group, Companion)>,
    /// The files of the sysroot that may be libraries or programs.
    objects: Vec<ImagePath>,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(files: &'a Files<'a>) -> Self {
        Self {
            files,
            found: BTreeMap::new(),
            objects: Vec::new(),
        }
    }

    /// A file as it is, but for its mode: the image's user must be able to read it, whatever the
    /// umask was here.
    pub(super) fn file(
        &mut self,
        group: &Group,
        path: ImagePath,
        from: &ImagePath,
        facts: &FileFacts,
        role: Role,
    ) -> Result<(), PythonError> {
        if role != Role::Data {
            self.objects.push(from.clone());
        }
        let content = self.files.content(from, facts)?;
        let entry = Entry::file(content, mode(facts.mode), group.origin());
        self.add(group, path, entry, self.files.shown(from), role);
        Ok(())
    }

    /// A file with this content, made from `source`.
    pub(super) fn made(
        &mut self,
        group: &Group,
        path: ImagePath,
        bytes: Vec<u8>,
        executable: Executable,
        source: &ImagePath,
    ) {
        let mode = match executable {
            Executable::Yes => 0o755,
            Executable::No => 0o644,
        };
        let entry = Entry::file(Content::Bytes(bytes.into()), mode, group.origin());
        self.add(group, path, entry, self.files.shown(source), Role::Data);
    }

    pub(super) fn link(
        &mut self,
        group: &Group,
        path: ImagePath,
        says: impl Into<PathBuf>,
        source: &ImagePath,
    ) {
        let entry = Entry::symlink(says, group.origin());
        self.add(group, path, entry, self.files.shown(source), Role::Data);
    }

    /// What a walk below `root` found, at the same place below `directory`.
    pub(super) fn walked(
        &mut self,
        group: &Group,
        directory: &ImagePath,
        root: &ImagePath,
        walked: &Walked,
        role: Role,
    ) -> Result<(), PythonError> {
        let Ok(path) = directory.join(&walked.relative) else {
            return Ok(());
        };
        match &walked.kind {
            WalkedKind::File(from, facts) => self.file(group, path, from, facts, role),
            WalkedKind::Link(says) => {
                let source = root.join(&walked.relative).unwrap_or_else(|_| root.clone());
                self.link(group, path, says, &source);
                Ok(())
            }
        }
    }

    fn add(&mut self, group: &Group, path: ImagePath, entry: Entry, source: PathBuf, role: Role) {
        let companion = Companion {
            path: path.clone(),
            entry,
            source,
            role,
        };
        self.found
            .entry(path)
            .or_insert_with(|| (group.clone(), companion));
    }

    /// Why something stands at `path`, if it is a regular file.
    pub(super) fn group_of_file(&self, path: &ImagePath) -> Option<&Group> {
        self.found
            .get(path)
            .filter(|(_, companion)| matches!(companion.entry.kind, EntryKind::File(_)))
            .map(|(group, _)| group)
    }

    /// The files of the sysroot that may be libraries or programs.
    pub(super) fn objects(&self) -> &[ImagePath] {
        &self.objects
    }

    /// All that comes along, sorted by who brings it, why, and path.
    pub(super) fn finish(self) -> Vec<Companions> {
        let mut groups: BTreeMap<Group, Vec<Companion>> = BTreeMap::new();
        for (group, companion) in self.found.into_values() {
            groups.entry(group).or_default().push(companion);
        }
        groups
            .into_iter()
            .map(|(Group { by, reason }, files)| Companions { by, reason, files })
            .collect()
    }
}

/// Whether anybody may run a file that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Executable {
    Yes,
    No,
}

fn mode(mode: u32) -> u32 {
    match mode & 0o111 {
        0 => 0o644,
        _ => 0o755,
    }
}

/// What a file of a package means for the closure: libraries are loaded, programs may be started.
pub(super) fn role_of(name: &Path, facts_mode: u32) -> Role {
    let name = name.file_name().map_or("", text);
    if name.ends_with(".so") || name.contains(".so.") {
        return Role::Object;
    }
    match facts_mode & 0o111 != 0 && !name.ends_with(".py") {
        true => Role::Optional,
        false => Role::Data,
    }
}

/// Directories of this machine and where what is below them stands in the image.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// The longest first.
    places: Vec<(ImagePath, ImagePath)>,
}

impl Places {
    /// What is below `here` stands below `there`, unless something below `here` says otherwise.
    pub(super) fn add(&mut self, here: ImagePath, there: ImagePath) {
        if self.places.iter().any(|(known, _)| *known == here) {
            return;
        }
        self.places.push((here, there));
        self.places.sort_by(|(a, _), (b, _)| {
            let length = |path: &ImagePath| path.as_bytes().len();
            length(b).cmp(&length(a)).then_with(|| a.cmp(b))
        });
    }

    /// Where `path` stands in the image; `None` for what has no place there.
    pub(super) fn image(&self, path: &ImagePath) -> Option<ImagePath> {
        for (here, there) in &self.places {
            if let Ok(relative) = path.as_path().strip_prefix(here) {
                return there.join(relative).ok();
            }
        }
        is_system(path).then(|| path.clone())
    }

    /// The directory of this machine that says where `path` stands.
    pub(super) fn nearest(&self, path: &ImagePath) -> Option<&ImagePath> {
        let mut places = self.places.iter();
        places
            .find(|(here, _)| path.starts_with(here))
            .map(|(here, _)| here)
    }

    /// Those that stand elsewhere in the image, the longest first.
    pub(super) fn moved(&self) -> impl Iterator<Item = &(ImagePath, ImagePath)> {
        self.places.iter().filter(|(here, there)| here != there)
    }
}
