//! Reading objects before they are asked for, on a second thread.
//!
//! Most names are found through `ld.so.cache`, so that what a resolution will open can be
//! guessed as soon as the object that needs it was read. A guess changes no answer: the
//! resolution follows the loader's rules and takes what it wants, read or not.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::cache::Cache;
use super::{Machine, Object, ObjectError};
use crate::sysroot::{FileIdentity, OpenFile, Sysroot, Trace, Tracer};

/// Files read ahead and not yet taken, at the most: a few megabytes of facts.
const KEPT: usize = 4096;

/// The facts of a file that was opened.
#[derive(Debug)]
pub(super) struct ReadFile {
    pub(super) identity: FileIdentity,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) object: Result<Object, ObjectError>,
    /// How its path leads to it, if that was looked at.
    pub(super) trace: Option<Trace>,
}

impl ReadFile {
    pub(super) fn new(file: &OpenFile) -> Self {
        Self {
            identity: file.identity,
            mode: file.mode,
            size: file.size,
            object: Object::read(file),
            trace: None,
        }
    }
}

/// What the two threads share.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Names whose files are still to be read. The second thread takes the last: the
    /// resolution goes by the first, so that the two seldom want the same file.
    names: Vec<OsString>,
    files: HashMap<PathBuf, Slot>,
    /// The second thread waits for names.
    idle: bool,
    ended: bool,
}

#[derive(Debug)]
enum Slot {
    /// The second thread is at it.
    Reading,
    /// It is there to be taken.
    Read(Box<ReadFile>),
    /// The resolution has it, or reads it itself.
    Taken,
}

impl Ahead {
    /// The file at `path`, if it was read ahead. One that is being read is not waited for: to
    /// read it again takes less time.
    pub(super) fn take(&self, path: &Path) -> Option<Box<ReadFile>> {
        match self.lock().files.insert(path.to_path_buf(), Slot::Taken) {
            Some(Slot::Read(file)) => Some(file),
            _ => None,
        }
    }

    /// Tells what an object needs that was not read ahead.
    pub(super) fn needs(&self, object: &Object) {
        let mut state = self.lock();
        state.names.extend(object.needed.iter().cloned());
        if state.idle {
            self.changed.notify_all();
        }
    }

    /// Ends the second thread when the returned value goes, in whichever way.
    pub(super) fn end_on_drop(&self) -> impl Drop + '_ {
        struct End<'a>(&'a Ahead);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.lock().ended = true;
                self.0.changed.notify_all();
            }
        }
        End(self)
    }

    /// Reads what the cache has for each name, and goes on with what that needs in turn,
    /// until the value of [`Ahead::end_on_drop`] goes.
    pub(super) fn run(self: &Arc<Self>, sysroot: &dyn Sysroot, cache: &Cache, machine: &Machine) {
        let mut seen = HashSet::new();
        let mut tracer = Tracer::new(sysroot);
        while let Some(name) = self.next() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let entries = cache.lookup(name.as_bytes(), machine);
            let Some(entry) = entries.iter().find(|entry| entry.hwcap.is_none()) else {
                continue;
            };
            let path = PathBuf::from(OsString::from_vec(entry.path.clone()));
            if self.claim(&path) {
                let read = sysroot.open(&path).ok().map(|file| ReadFile {
                    trace: tracer.trace(&path).ok(),
                    ..ReadFile::new(&file)
                });
                self.put(path, read);
            }
        }
    }

    fn next(&self) -> Option<OsString> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            if let Some(name) = state.names.pop() {
                return Some(name);
            }
            state.idle = true;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle = false;
        }
    }

    fn claim(&self, path: &Path) -> bool {
        let mut state = self.lock();
        let free = state.files.len() < KEPT && !state.files.contains_key(path);
        if free {
            state.files.insert(path.to_path_buf(), Slot::Reading);
        }
        free
    }

    fn put(&self, path: PathBuf, read: Option<ReadFile>) {
        let mut state = self.lock();
        if let Some(object) = read.as_ref().and_then(|read| read.object.as_ref().ok()) {
            state.names.extend(object.needed.iter().cloned());
        }
        // What cannot be opened is left to the resolution, which meets the error itself; so is
        // what it did not wait for.
        let slot = match (state.files.get(&path), read) {
            (Some(Slot::Reading), Some(read)) => Slot::Read(Box::new(read)),
            _ => Slot::Taken,
        };
        state.files.insert(path, slot);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
