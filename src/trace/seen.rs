//! What a traced run opens, executes and changes, noted at the moment of each call.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use nix::libc;
use nix::unistd::Pid;
use rustix::fs::{AtFlags, CWD, Stat};

use super::Access;
use super::calls::{Act, Call, Name};
use super::executed::{self, Started};
use super::flags;
use super::registers::Entry;
use super::tracee::{self, Base, Named};
use super::tracer::{Follow, Observer};

/// The files of a run.
#[derive(Debug)]
pub(super) struct Seen {
    /// The working directory in which the run began.
    start: PathBuf,
    /// What was opened or executed and exists, as it was named: relative to `start` where the
    /// app did not name it from the root.
    files: HashMap<PathBuf, Access>,
    /// Files that were about to be changed, by their path from the root, and how they were.
    touched: BTreeMap<PathBuf, Option<State>>,
    /// Directories that were named by a relative path.
    relative: HashSet<PathBuf>,
    /// Working directories that were named from the root.
    entered: BTreeSet<PathBuf>,
    /// What was found out about programs, by their path.
    programs: BTreeMap<PathBuf, Started>,
    /// Whether files may have been opened without a call.
    queues: bool,
}

/// Which file stands at a path, and in which state of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// `st_dev` and `st_ino`.
    pub(super) file: (u64, u64),
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl State {
    /// Of what is at `path` now, or leads there.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let stat: Stat = rustix::fs::stat(path)
            .or_else(|_| rustix::fs::lstat(path))
            .ok()?;
        // Their types differ between machines.
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
        Some(Self {
            file: (stat.st_dev as u64, stat.st_ino as u64),
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        })
    }
}

impl Seen {
    /// Nothing yet, of a run that begins in the directory `start`.
    pub(super) fn new(start: PathBuf) -> Self {
        Self {
            start,
            files: HashMap::new(),
            touched: BTreeMap::new(),
            relative: HashSet::new(),
            entered: BTreeSet::new(),
            programs: BTreeMap::new(),
            queues: false,
        }
    }

    /// Where the run began.
    pub(super) fn start(&self) -> &Path {
        &self.start
    }

    /// The files as they were named, sorted.
    pub(super) fn files(&self) -> BTreeMap<&Path, Access> {
        let files = self.files.iter();
        files
            .map(|(path, access)| (path.as_path(), *access))
            .collect()
    }

    /// Files that were about to be changed, and how they were; `None` where there was none.
    pub(super) fn touched(&self) -> &BTreeMap<PathBuf, Option<State>> {
        &self.touched
    }

    /// What a trace cannot tell, in words.
    pub(super) fn notices(&self) -> Vec<String> {
        let mut notices: Vec<String> = self
            .programs
            .iter()
            .flat_map(|(path, started)| started.notices(path))
            .collect();
        if self.queues {
            notices.push(
                "the app uses io_uring; files that it opens through it are not seen by a trace: \
                 check that nothing is missing, and add it with --include"
                    .to_owned(),
            );
        }
        notices
    }

    fn opened(&mut self, thread: Pid, entry: &Entry, place: Name, flags: i32) -> Option<()> {
        // A file without a name in this directory.
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            return None;
        }
        let named = tracee::name(thread, entry, place)?;
        if flags::is_written(flags) {
            self.touch(&named);
        }
        self.note(&named, Access::Read);
        Some(())
    }

    fn executed(&mut self, thread: Pid, entry: &Entry, place: Name) -> Option<()> {
        let named = tracee::name(thread, entry, place)?;
        if !self.note(&named, Access::Execute) {
            return None;
        }
        let program = named.absolute();
        if self.programs.contains_key(&program) {
            return None;
        }
        let started = executed::look(&program);
        // The kernel reads these itself, without a call.
        for opened in &started.interpreters {
            let base = (!opened.is_absolute())
                .then(|| named.base.clone())
                .flatten();
            let name = opened.clone();
            self.note(&Named { name, base }, Access::Execute);
        }
        self.programs.insert(program, started);
        Some(())
    }

    /// Notes a file that exists and can be read; says whether it does.
    fn note(&mut self, named: &Named, access: Access) -> bool {
        let key = self.key(named);
        if let Some(known) = self.files.get_mut(&key) {
            *known = (*known).max(access);
            return true;
        }
        let absolute = named.absolute();
        let exists = rustix::fs::accessat(
            CWD,
            &absolute,
            rustix::fs::Access::READ_OK,
            AtFlags::empty(),
        );
        // A program that may be executed but not read is one all the same.
        if exists.is_err() && (access != Access::Execute || rustix::fs::stat(&absolute).is_err()) {
            return false;
        }
        if key.is_relative() {
            self.relative.insert(normal(&absolute));
        }
        self.files.insert(key, access);
        true
    }

    /// Notes how a file is before it is changed for the first time.
    fn touch(&mut self, named: &Named) {
        let path = normal(&named.absolute());
        self.touched
            .entry(path)
            .or_insert_with_key(|path| State::of(path));
    }

    fn touch_at(&mut self, thread: Pid, entry: &Entry, place: Name) {
        if let Some(named) = tracee::name(thread, entry, place) {
            self.touch(&named);
        }
    }

    fn entered(&mut self, thread: Pid, entry: &Entry, place: Name) {
        if let Some(named) = tracee::name(thread, entry, place)
            && named.base.is_none()
        {
            // The kernel tells a working directory without the links that led there.
            let real = named.name.canonicalize().unwrap_or(named.name);
            self.entered.insert(real);
        }
    }

    /// How the app named a file: from the root, or from where the run began.
    fn key(&self, named: &Named) -> PathBuf {
        let from_start = match &named.base {
            None => None,
            Some(Base::WorkingDirectory(directory)) => self.below_start(directory),
            Some(Base::Open(directory)) if *directory == self.start => Some(Path::new("")),
            Some(Base::Open(directory)) if self.relative.contains(directory) => {
                directory.strip_prefix(&self.start).ok()
            }
            Some(Base::Open(_)) => None,
        };
        match from_start {
            Some(directory) => normal(&directory.join(&named.name)),
            None => normal(&named.absolute()),
        }
    }

    /// The working directory from where the run began, unless the app went there by a path
    /// from the root.
    fn below_start<'a>(&self, directory: &'a Path) -> Option<&'a Path> {
        let below = directory.strip_prefix(&self.start).ok()?;
        let by_root = directory
            .ancestors()
            .take_while(|ancestor| *ancestor != self.start)
            .any(|ancestor| self.entered.contains(ancestor));
        (!by_root).then_some(below)
    }
}

impl Observer for Seen {
    fn enter(&mut self, thread: Pid, call: &'static Call, entry: &Entry) -> Follow {
        match call.act {
            Act::Open(place, flags) => {
                let flags = entry.arguments.get(flags).map_or(0, |it| tracee::low(*it));
                self.opened(thread, entry, place, flags);
            }
            Act::OpenHow(place, how) => {
                let how = entry.arguments.get(how).copied().unwrap_or(0);
                let flags = tracee::word(thread, how).map_or(0, tracee::low);
                self.opened(thread, entry, place, flags);
            }
            Act::Execute(place) => {
                self.executed(thread, entry, place);
            }
            Act::Change(place) | Act::Remove(place) => self.touch_at(thread, entry, place),
            Act::Rename(from, to) => {
                self.touch_at(thread, entry, from);
                self.touch_at(thread, entry, to);
            }
            Act::Enter(place) => self.entered(thread, entry, place),
            Act::Queue => self.queues = true,
            Act::Look(_) | Act::Bind(_) => {}
        }
        Follow::Entry
    }

    fn leave(&mut self, _thread: Pid, _result: i64) {}

    fn gone(&mut self, _thread: Pid) {}
}

/// A path without what changes nothing: `.` and doubled slashes.
fn normal(path: &Path) -> PathBuf {
    let normal: PathBuf = path
        .components()
        .filter(|component| *component != Component::CurDir)
        .collect();
    if normal.as_os_str().is_empty() {
        return PathBuf::from(".");
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen::new(PathBuf::from("/srv/app"))
    }

    fn named(name: &str, base: Option<Base>) -> Named {
        Named {
            name: PathBuf::from(name),
            base,
        }
    }

    fn working(directory: &str) -> Option<Base> {
        Some(Base::WorkingDirectory(PathBuf::from(directory)))
    }

    fn open(directory: &str) -> Option<Base> {
        Some(Base::Open(PathBuf::from(directory)))
    }

    #[test]
    fn a_name_is_kept_as_the_app_gave_it() {
        let seen = seen();
        let key = |name, base| seen.key(&named(name, base));
        assert_eq!(key("/etc//./app.conf", None), Path::new("/etc/app.conf"));
        assert_eq!(key("./data/x", working("/srv/app")), Path::new("data/x"));
        assert_eq!(key("../x", working("/srv/app/sub")), Path::new("sub/../x"));
        assert_eq!(key("x", working("/usr/share")), Path::new("/usr/share/x"));
        assert_eq!(key(".", working("/srv/app")), Path::new("."));
    }

    #[test]
    fn a_directory_below_that_was_entered_by_its_absolute_path_makes_names_absolute() {
        let mut seen = seen();
        seen.entered.insert(PathBuf::from("/srv/app/data"));
        let key = |name, base| seen.key(&named(name, base));
        assert_eq!(
            key("x", working("/srv/app/data/deep")),
            Path::new("/srv/app/data/deep/x")
        );
        assert_eq!(key("x", working("/srv/app/other")), Path::new("other/x"));
    }

    #[test]
    fn an_open_directory_counts_by_how_it_was_named() {
        let mut seen = seen();
        seen.relative.insert(PathBuf::from("/srv/app/views"));
        let key = |name, base| seen.key(&named(name, base));
        assert_eq!(key("x", open("/srv/app/views")), Path::new("views/x"));
        assert_eq!(key("x", open("/srv/app")), Path::new("x"));
        assert_eq!(
            key("x", open("/srv/app/other")),
            Path::new("/srv/app/other/x")
        );
        assert_eq!(key("", open("/usr/bin/tool")), Path::new("/usr/bin/tool"));
    }
}
