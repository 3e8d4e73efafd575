//! musl's search for a library (`load_library`, `path_open`, `fixup_rpath` in `ldso/dynlink.c`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::files::{FileId, Files, Probe};
use super::process::{MapId, Process};
use super::search::{Found, Trail, join, shown_directory};
use super::{ObjectKind, Rule};

/// Names (each with any suffix) that mean the loader itself.
const RESERVED: [&[u8]; 7] = [
    b"libc.",
    b"libpthread.",
    b"librt.",
    b"libm.",
    b"libdl.",
    b"libutil.",
    b"libxnet.",
];

/// Whether a name means the loader itself.
pub(super) fn is_itself(name: &OsStr, loader: &Path) -> bool {
    let bytes = name.as_bytes();
    RESERVED.iter().any(|reserved| bytes.starts_with(reserved)) || name == loader.as_os_str()
}

/// One search.
pub(super) struct Search<'s, 'a> {
    pub(super) files: &'s mut Files<'a>,
    pub(super) process: &'s Process,
    pub(super) library_path: &'s [PathBuf],
    /// The object that asks.
    pub(super) asker: MapId,
    pub(super) name: &'s OsStr,
    /// Gets the searched places, if somebody wants to know.
    pub(super) trail: Option<&'s mut Trail>,
}

/// A search is over: with a file, or with an error that inhibits all further places.
enum Step {
    Over(Found),
    Next,
}

impl Search<'_, '_> {
    /// Looks for a name without a slash.
    pub(super) fn by_name(mut self) -> Found {
        for directory in self.library_path {
            let mut bytes = directory.as_os_str().as_bytes().to_vec();
            bytes.push(b'/');
            let rule = || Rule::LibraryPath {
                directory: directory.clone(),
            };
            if let Step::Over(found) = self.open_in(&bytes, rule) {
                return found;
            }
        }
        let process = self.process;
        for (_, map) in process.chain(self.asker) {
            for element in &map.rpath {
                let element_written = || element.written.clone();
                let rule = || match map.has_runpath {
                    true => Rule::Runpath {
                        of: map.index,
                        element: element_written(),
                    },
                    false => Rule::Rpath {
                        of: map.index,
                        element: element_written(),
                    },
                };
                if let Step::Over(found) = self.open_in(&element.directory, rule) {
                    return found;
                }
            }
        }
        let from_path_file = process.interpreter.from_path_file;
        for directory in &process.interpreter.directories {
            let mut bytes = directory.as_os_str().as_bytes().to_vec();
            bytes.push(b'/');
            let rule = || match from_path_file {
                true => Rule::MuslPath {
                    directory: directory.clone(),
                },
                false => Rule::Default {
                    directory: directory.clone(),
                },
            };
            if let Step::Over(found) = self.open_in(&bytes, rule) {
                return found;
            }
        }
        Found::Nothing
    }

    /// Opens a name with a slash.
    pub(super) fn by_path(mut self) -> Found {
        let path = PathBuf::from(self.name);
        if !path.is_absolute() {
            self.pass("the working directory, which an image does not fix");
            return Found::Nothing;
        }
        match self.files.probe(&path) {
            Probe::File(file) => self.judge(file, path, || Rule::Path),
            Probe::NotRegular(reason) => Found::Refused { path, reason },
            Probe::Absent | Probe::Failing { .. } => {
                self.note_absence(&path);
                self.pass(&path.display().to_string());
                Found::Nothing
            }
        }
    }

    fn open_in(&mut self, directory: &[u8], rule: impl FnOnce() -> Rule) -> Step {
        if !directory.starts_with(b"/") {
            self.pass("a relative directory, which an image does not fix");
            return Step::Next;
        }
        self.pass(&shown_directory(directory).display().to_string());
        let path = join(directory, self.name.as_bytes());
        match self.files.probe(&path) {
            Probe::File(file) => Step::Over(self.judge(file, path, rule)),
            Probe::Absent
            | Probe::Failing {
                name_too_long: true,
                ..
            } => {
                self.note_absence(&path);
                Step::Next
            }
            Probe::NotRegular(reason) | Probe::Failing { reason, .. } => {
                Step::Over(Found::Refused { path, reason })
            }
        }
    }

    /// musl takes the first file that it can open. One that it cannot map fails; one for another
    /// machine is mapped and crashes, which is refused here.
    fn judge(&self, file: FileId, path: PathBuf, rule: impl FnOnce() -> Rule) -> Found {
        let ours = self.process.interpreter.machine;
        let reason = match self.files.object(file) {
            Err(error) => error.to_string(),
            Ok(object) if object.kind == ObjectKind::Other => {
                "Exec format error: not a shared object".to_owned()
            }
            Ok(object)
                if (
                    object.machine.class,
                    object.machine.order,
                    object.machine.number,
                ) != (ours.class, ours.order, ours.number) =>
            {
                format!("Exec format error: it is for {}", object.machine.name())
            }
            Ok(_) => {
                return Found::File {
                    file,
                    path,
                    rule: rule(),
                };
            }
        };
        Found::Refused { path, reason }
    }

    fn note_absence(&mut self, path: &Path) {
        if let Some(trail) = self.trail.as_deref_mut()
            && let Some(reason) = self.files.why_absent(path)
        {
            trail.unsuitable(path, reason);
        }
    }

    fn pass(&mut self, place: &str) {
        if let Some(trail) = self.trail.as_deref_mut() {
            trail.pass(place);
        }
    }
}
