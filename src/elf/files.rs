//! The files that a resolution meets: each path is opened once, each file is read once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Object, ObjectError};
use crate::sysroot::{Node, OpenFile, Sysroot, Trace, TraceError, Tracer};

/// Index of a file in [`Files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId(usize);

/// What opening a path gives.
#[derive(Debug, Clone)]
pub(super) enum Probe {
    /// `ENOENT`, `EACCES` or `ENOTDIR`: as if it were not there.
    Absent,
    /// Another error, which the loaders do not pass over so easily.
    Failing { name_too_long: bool, reason: String },
    /// Something that can be opened and not be read, such as a directory.
    NotRegular(String),
    /// A file.
    File(FileId),
}

#[derive(Debug)]
struct Record {
    /// Where it was first opened.
    path: PathBuf,
    mode: u32,
    size: u64,
    object: Result<Object, ObjectError>,
}

/// All files that were opened.
pub(super) struct Files<'a> {
    sysroot: &'a dyn Sysroot,
    tracer: Tracer<'a>,
    records: Vec<Record>,
    by_inode: HashMap<(u64, u64), FileId>,
    probes: HashMap<PathBuf, Probe>,
    directories: HashMap<PathBuf, bool>,
}

impl<'a> Files<'a> {
    pub(super) fn new(sysroot: &'a dyn Sysroot) -> Self {
        Self {
            sysroot,
            tracer: Tracer::new(sysroot),
            records: Vec::new(),
            by_inode: HashMap::new(),
            probes: HashMap::new(),
            directories: HashMap::new(),
        }
    }

    pub(super) fn sysroot(&self) -> &'a dyn Sysroot {
        self.sysroot
    }

    /// Opens `path` and reads the facts of the file, unless that was done before.
    pub(super) fn probe(&mut self, path: &Path) -> Probe {
        if let Some(known) = self.probes.get(path) {
            return known.clone();
        }
        let probe = match self.open(path) {
            Ok(file) => Probe::File(file),
            Err(error) => classify(&error),
        };
        self.probes.insert(path.to_path_buf(), probe.clone());
        probe
    }

    /// Why something that stands at `path` is passed over as if it were not there, for people.
    pub(super) fn why_absent(&mut self, path: &Path) -> Option<String> {
        let error = self.sysroot.open(path).err()?;
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Some(
                "permission denied; `chmod a+r` it, or run distrobuild as a user who may read it"
                    .to_owned(),
            );
        }
        let directory = self.trace(path.parent()?).ok()?.target;
        let place = directory.join(path.file_name()?).ok()?;
        match self.sysroot.node(&place).ok()? {
            Node::Symlink(target) => Some(format!(
                "it is a link to {}, which does not exist",
                target.display()
            )),
            _ => None,
        }
    }

    /// As [`Files::probe`], with the error of the system.
    pub(super) fn open(&mut self, path: &Path) -> io::Result<FileId> {
        if let Some(Probe::File(known)) = self.probes.get(path) {
            return Ok(*known);
        }
        let file = self.sysroot.open(path)?;
        let key = (file.identity.device, file.identity.inode);
        if let Some(known) = self.by_inode.get(&key) {
            return Ok(*known);
        }
        let id = FileId(self.records.len());
        self.records.push(Record {
            path: path.to_path_buf(),
            mode: file.mode,
            size: file.size,
            object: Object::read(&file),
        });
        self.by_inode.insert(key, id);
        Ok(id)
    }

    /// The facts of a file, or why it is no object.
    pub(super) fn object(&self, id: FileId) -> Result<&Object, &ObjectError> {
        // An id is an index of this arena, which never shrinks.
        #[allow(clippy::indexing_slicing)]
        self.records[id.0].object.as_ref()
    }

    /// Mode bits.
    pub(super) fn mode(&self, id: FileId) -> u32 {
        self.records.get(id.0).map_or(0, |record| record.mode)
    }

    /// Size in bytes.
    pub(super) fn size(&self, id: FileId) -> u64 {
        self.records.get(id.0).map_or(0, |record| record.size)
    }

    /// Opens the file again, to read what [`Object`] does not hold.
    pub(super) fn reopen(&self, id: FileId) -> io::Result<OpenFile> {
        match self.records.get(id.0) {
            Some(record) => self.sysroot.open(&record.path),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Whether a directory is there.
    pub(super) fn is_directory(&mut self, path: &Path) -> bool {
        if let Some(known) = self.directories.get(path) {
            return *known;
        }
        let found = self.sysroot.is_directory(path);
        self.directories.insert(path.to_path_buf(), found);
        found
    }

    /// The names in a directory; none if it cannot be read.
    pub(super) fn names_in(&self, path: &Path) -> Vec<OsString> {
        self.sysroot.read_dir(path).unwrap_or_default()
    }

    pub(super) fn trace(&mut self, path: &Path) -> Result<Trace, TraceError> {
        self.tracer.trace(path)
    }

    /// How to show `path` to a person.
    pub(super) fn show(&self, path: &Path) -> String {
        self.sysroot.display(path).display().to_string()
    }

    /// Hands out the facts of the objects with these ids, in their order.
    pub(super) fn into_objects(self, ids: &[FileId]) -> Vec<Option<Object>> {
        let mut objects: Vec<Option<Object>> = self
            .records
            .into_iter()
            .map(|record| record.object.ok())
            .collect();
        ids.iter()
            .map(|id| objects.get_mut(id.0).and_then(Option::take))
            .collect()
    }
}

fn classify(error: &io::Error) -> Probe {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotADirectory => Probe::Absent,
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
            Probe::NotRegular(format!("cannot read file data: {error}"))
        }
        kind => Probe::Failing {
            name_too_long: kind == io::ErrorKind::InvalidFilename,
            reason: error.to_string(),
        },
    }
}

/// Whether a name has a slash: then it is opened as it is, without any search.
pub(super) fn has_slash(name: &std::ffi::OsStr) -> bool {
    name.as_bytes().contains(&b'/')
}
