//! An app of this machine on another system: what of this machine it may see of itself.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::{Directory, Node, OpenFile, Sysroot, trace};
use crate::ImagePath;
use crate::rootfs::{Content, is_system};

/// Another system, and, where it has nothing, those files of this machine that belong to no
/// system: an app in `/home/me/project` is found together with the libraries, packages and jars
/// beside it, while its runtime and its system libraries come from the other system alone.
///
/// Links are followed across both: one of the app's that leads to `/usr/lib` leads into the other
/// system.
pub struct Beside<'a> {
    ground: Arc<dyn Sysroot + 'a>,
    machine: Directory,
    window: Window,
}

/// Which files of this machine are to be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// All that lies in no directory where a system keeps its own.
    pub projects: bool,
    /// These directories, wherever they lie.
    pub directories: Vec<ImagePath>,
}

/// Directories of the root, beside those of [`is_system`], in which a system keeps what is its own.
const HOMES: [&[u8]; 7] = [b"boot", b"dev", b"etc", b"proc", b"run", b"sys", b"var"];

/// Whether a system keeps its own files at `path`: what is there on this machine has nothing to do
/// with an app that gets another system.
pub(crate) fn is_a_systems_own(path: &Path) -> bool {
    let top = match path.components().nth(1) {
        Some(Component::Normal(top)) => top.as_bytes(),
        _ => return false,
    };
    is_system(path) || HOMES.contains(&top)
}

impl Window {
    /// Whether nothing can be seen through it.
    pub fn is_empty(&self) -> bool {
        !self.projects && self.directories.is_empty()
    }

    /// Whether what this machine has at `path` is to be seen.
    pub fn shows(&self, path: &Path) -> bool {
        (self.projects && !is_a_systems_own(path))
            || self.directories.iter().any(|it| path.starts_with(it))
    }

    /// Whether `path` is a directory that leads to one that is to be seen.
    fn leads_on(&self, path: &Path) -> bool {
        let mut directories = self.directories.iter();
        directories.any(|it| it.as_path().starts_with(path))
    }

    /// The names in `directory` that are to be seen, or lead on.
    fn keep(&self, directory: &ImagePath, names: &mut Vec<OsString>) {
        let path = directory.as_path();
        let is_whole = self.directories.iter().any(|it| path.starts_with(it))
            || (self.projects && !directory.is_root() && !is_a_systems_own(path));
        if !is_whole {
            names.retain(|name| {
                let path = path.join(name);
                self.shows(&path) || self.leads_on(&path)
            });
        }
    }
}

impl std::fmt::Debug for Beside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beside")
            .field("machine", &self.machine)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl<'a> Beside<'a> {
    /// Lays what `window` shows of `machine` beside `ground`.
    pub fn new(ground: Arc<dyn Sysroot + 'a>, machine: Directory, window: Window) -> Self {
        Self {
            ground,
            machine,
            window,
        }
    }

    /// What this machine has at `path` where the ground has nothing.
    fn of_machine(&self, path: &ImagePath) -> io::Result<Node> {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        if self.window.shows(path.as_path()) {
            return self.machine.node(path);
        }
        match self.window.leads_on(path.as_path()) {
            // A link on the way was followed when the directory was named.
            true => match self.machine.node(path)? {
                directory @ Node::Directory { .. } => Ok(directory),
                _ => Err(not_found()),
            },
            false => Err(not_found()),
        }
    }

    /// The tree that has something at `path`, which no link leads to.
    fn owner(&self, path: &ImagePath) -> &dyn Sysroot {
        let is_seen = self.window.shows(path.as_path());
        match is_seen && is_missing(&self.ground.node(path)) {
            true => &self.machine,
            false => &*self.ground,
        }
    }
}

fn is_missing(node: &io::Result<Node>) -> bool {
    matches!(node, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

impl Sysroot for Beside<'_> {
    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        let target = trace(self, path)?.target;
        self.owner(&target).open(target.as_path())
    }

    fn node(&self, path: &ImagePath) -> io::Result<Node> {
        let node = self.ground.node(path);
        match is_missing(&node) {
            true => self.of_machine(path),
            false => node,
        }
    }

    fn content(&self, path: &ImagePath) -> io::Result<(Content, u32)> {
        self.owner(path).content(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let walked = trace(self, path)?;
        if !matches!(walked.node, Node::Directory { .. }) {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let directory = walked.target;
        let below = self.ground.read_dir(directory.as_path());
        let seen = self.window.shows(directory.as_path())
            || self.window.leads_on(directory.as_path())
            || directory.is_root();
        if !seen {
            return below;
        }
        let beside = self.machine.read_dir(directory.as_path());
        let mut names = match (below, beside) {
            (Ok(below), Err(_)) => return Ok(below),
            (Err(_), Err(error)) => return Err(error),
            (below, Ok(mut beside)) => {
                self.window.keep(&directory, &mut beside);
                beside.extend(below.unwrap_or_default());
                beside
            }
        };
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn is_directory(&self, path: &Path) -> bool {
        trace(self, path).is_ok_and(|walked| matches!(walked.node, Node::Directory { .. }))
    }

    /// A file of this machine as it is, one of the ground as the ground shows it.
    fn display(&self, path: &Path) -> PathBuf {
        match ImagePath::new(path) {
            Ok(path) => self.owner(&path).display(path.as_path()),
            Err(_) => self.ground.display(path),
        }
    }
}

/// The directory of this machine that an app at `path`, in a directory where a system keeps its
/// own, has for itself: `/opt/NAME`, `/usr/local/NAME`, `/usr/src/NAME`, `/var/*/NAME` (a
/// workspace of a build server, a home). `None` for what the system shares, such as `/usr/bin`.
pub(crate) fn own_directory(path: &ImagePath) -> Option<ImagePath> {
    const SHARED: [&[u8]; 8] = [
        b"bin", b"etc", b"games", b"include", b"libexec", b"man", b"sbin", b"share",
    ];
    let names: Vec<&OsStr> = path.as_path().iter().skip(1).collect();
    let name = |at: usize| names.get(at).map_or(&b""[..], |name| name.as_bytes());
    let depth = match (name(0), name(1)) {
        (b"opt", _) => 2,
        (b"usr", b"src") => 3,
        (b"usr", b"local") if !SHARED.contains(&name(2)) && !name(2).starts_with(b"lib") => 3,
        (b"var", _) => 3,
        (b"run", b"media") => 4,
        _ => return None,
    };
    // The app itself is no directory of its own.
    if names.len() <= depth {
        return None;
    }
    path.ancestors().nth(depth - 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Rootfs;
    use crate::rootfs::{Entry, Origin};
    use crate::sysroot::Held;

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    fn tree(files: &[&str]) -> Rootfs {
        let mut rootfs = Rootfs::new();
        for file in files {
            let content = Content::Bytes(file.as_bytes().to_vec().into());
            let entry = Entry::file(content, 0o644, Origin::Base);
            rootfs.insert(path(file), entry).unwrap();
        }
        rootfs
    }

    fn write(root: &Path, file: &str) {
        let file = root.join(&file[1..]);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "of this machine").unwrap();
    }

    /// A ground with two files, and a machine in a directory.
    fn beside<'a>(ground: &'a Rootfs, machine: &Path, window: Window) -> Beside<'a> {
        for file in [
            "/home/me/app/app",
            "/home/me/app/part",
            "/usr/bin/tool",
            "/usr/lib/libc.so",
            "/etc/secret",
            "/opt/one/bin/app",
            "/opt/two/bin/app",
            "/home/own",
        ] {
            write(machine, file);
        }
        let link = machine.join("home/me/app/libc.so");
        std::os::unix::fs::symlink("/usr/lib/libc.so", link).unwrap();
        let machine = Directory::new(machine).unwrap();
        Beside::new(Arc::new(Held::new(ground, "ground")), machine, window)
    }

    fn text(beside: &Beside<'_>, path: &str) -> Option<String> {
        let bytes = beside.read(Path::new(path), 1000).ok()?;
        Some(String::from_utf8(bytes).unwrap())
    }

    fn names(beside: &Beside<'_>, path: &str) -> Vec<String> {
        let names = beside.read_dir(Path::new(path)).unwrap();
        let names = names.into_iter().map(|name| name.into_string().unwrap());
        names.collect()
    }

    #[test]
    fn the_ground_goes_first_and_nothing_of_this_machines_system_is_seen() {
        let (ground, machine) = (
            tree(&["/usr/lib/libc.so", "/home/own"]),
            tempfile::tempdir().unwrap(),
        );
        let window = Window {
            projects: true,
            directories: vec![path("/opt/one")],
        };
        let beside = beside(&ground, machine.path(), window);
        let here = || Some("of this machine".to_owned());
        assert_eq!(text(&beside, "/home/me/app/part"), here());
        assert_eq!(text(&beside, "/opt/one/bin/app"), here());
        assert_eq!(text(&beside, "/home/own"), Some("/home/own".to_owned()));
        // A link of the app's leads into the ground.
        let libc = Some("/usr/lib/libc.so".to_owned());
        assert_eq!(text(&beside, "/home/me/app/libc.so"), libc);
        for hidden in ["/usr/bin/tool", "/etc/secret", "/opt/two/bin/app"] {
            assert_eq!(text(&beside, hidden), None, "{hidden}");
        }
        assert_eq!(names(&beside, "/"), ["home", "opt", "usr"]);
        assert_eq!(names(&beside, "/home"), ["me", "own"]);
        assert_eq!(names(&beside, "/opt"), ["one"]);
        assert_eq!(names(&beside, "/usr"), ["lib"]);
    }

    #[test]
    fn a_file_is_shown_where_it_is() {
        let (ground, machine) = (tree(&["/usr/lib/libc.so"]), tempfile::tempdir().unwrap());
        let window = Window {
            projects: true,
            directories: Vec::new(),
        };
        let beside = beside(&ground, machine.path(), window);
        let shown = |path: &str| beside.display(Path::new(path));
        let root = machine.path().canonicalize().unwrap();
        assert_eq!(shown("/home/me/app/app"), root.join("home/me/app/app"));
        for of_ground in ["/usr/lib/libc.so", "/usr/bin/tool"] {
            assert_eq!(shown(of_ground), Path::new(&format!("ground:{of_ground}")));
        }
    }

    #[test]
    fn an_app_has_a_directory_of_its_own_where_a_system_keeps_others() {
        let own = |text: &str| own_directory(&path(text)).map(|own| own.to_string());
        for (app, expected) in [
            ("/opt/app/bin/app", Some("/opt/app")),
            ("/opt/app", None),
            ("/usr/bin/app", None),
            ("/usr/local/bin/app", None),
            ("/usr/local/lib/app/app", None),
            ("/usr/local/app/bin/app", Some("/usr/local/app")),
            ("/usr/src/app/main.py", Some("/usr/src/app")),
            ("/var/lib/builds/job/app", Some("/var/lib/builds")),
            ("/home/me/app", None),
        ] {
            assert_eq!(own(app).as_deref(), expected, "{app}");
        }
    }
}
