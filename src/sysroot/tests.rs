//! Links are followed as the kernel follows them, and never out of the tree.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;
use crate::Rootfs;
use crate::rootfs::{Content, Entry, EntryKind, Origin};

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        let path = self.0.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn file(&self, path: &str, text: &str) {
        std::fs::write(self.at(path), text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        symlink(target, self.at(path)).unwrap();
    }

    fn root(&self) -> Directory {
        Directory::new(self.0.path()).unwrap()
    }
}

fn text(sysroot: &dyn Sysroot, path: &str) -> io::Result<String> {
    let bytes = sysroot.read(Path::new(path), 1 << 16)?;
    Ok(String::from_utf8(bytes).unwrap())
}

fn walked(sysroot: &dyn Sysroot, path: &str) -> String {
    trace(sysroot, Path::new(path)).unwrap().target.to_string()
}

fn image_path(path: &str) -> ImagePath {
    ImagePath::new(path).unwrap()
}

fn entry(kind: EntryKind) -> Entry {
    Entry {
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        origin: Origin::Include,
    }
}

fn bytes(text: &'static str) -> Entry {
    entry(EntryKind::File(Content::Bytes(text.as_bytes().into())))
}

#[test]
fn an_absolute_link_starts_at_the_root_of_the_tree() {
    let tree = Tree::new();
    tree.file("/real/file", "in");
    tree.link("/link", "/real/file");
    tree.link("/passwd", "/etc/passwd");
    let root = tree.root();
    assert_eq!(text(&root, "/link").unwrap(), "in");
    assert_eq!(walked(&root, "/link"), "/real/file");
    // The machine has this file, the tree has not.
    assert!(Path::new("/etc/passwd").exists());
    let error = text(&root, "/passwd").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(
        trace(&root, Path::new("/passwd"))
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn dots_end_at_the_root_of_the_tree() {
    let tree = Tree::new();
    tree.file("/file", "in");
    tree.link("/a/b/up", "../../../../../../../file");
    let root = tree.root();
    for path in ["/../../../file", "/a/../../file", "/a/b/up"] {
        assert_eq!(text(&root, path).unwrap(), "in", "{path}");
        assert_eq!(walked(&root, path), "/file", "{path}");
    }
    assert!(text(&root, "/../../../etc/passwd").is_err());
}

#[test]
fn dots_after_a_link_go_to_the_parent_of_its_target() {
    let tree = Tree::new();
    tree.file("/far/lib/file", "far");
    tree.file("/lib/file", "near");
    std::fs::create_dir_all(tree.at("/far/bin/x").parent().unwrap()).unwrap();
    tree.link("/link", "far/bin");
    let root = tree.root();
    assert_eq!(text(&root, "/link/../lib/file").unwrap(), "far");
    let trace = trace(&root, Path::new("/link/../lib/file")).unwrap();
    assert_eq!(trace.target, image_path("/far/lib/file"));
    let directories: Vec<String> = trace
        .directories
        .iter()
        .map(|(path, _)| path.to_string())
        .collect();
    assert_eq!(directories, ["/far", "/far/bin", "/far/lib"]);
    assert_eq!(
        trace.links,
        [(image_path("/link"), PathBuf::from("far/bin"))]
    );
}

#[test]
fn a_loop_of_links_ends() {
    let tree = Tree::new();
    tree.link("/one", "two");
    tree.link("/two", "/one");
    let root = tree.root();
    assert!(matches!(
        trace(&root, Path::new("/one/x")),
        Err(TraceError::Loop(_))
    ));
    let kernel = text(&root, "/one").unwrap_err();
    let ours = io::Error::from(trace(&root, Path::new("/one")).unwrap_err());
    assert_eq!(kernel.raw_os_error(), ours.raw_os_error());
}

#[test]
fn as_many_links_are_followed_as_the_kernel_follows() {
    let tree = Tree::new();
    tree.file("/l0", "end");
    for at in 1..=41 {
        tree.link(&format!("/l{at}"), &format!("l{}", at - 1));
    }
    let root = tree.root();
    for (path, good) in [("/l40", true), ("/l41", false)] {
        assert_eq!(text(&root, path).is_ok(), good);
        assert_eq!(trace(&root, Path::new(path)).is_ok(), good);
    }
}

#[test]
fn a_file_is_no_directory() {
    let tree = Tree::new();
    tree.file("/file", "in");
    let root = tree.root();
    for path in ["/file/x", "/file/..", "/file/", "/file/."] {
        let error = io::Error::from(trace(&root, Path::new(path)).unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{path}");
    }
    assert!(!root.is_directory(Path::new("/file")));
    assert_eq!(
        root.open(Path::new("/")).unwrap_err().kind(),
        io::ErrorKind::IsADirectory
    );
}

#[test]
fn a_pipe_is_not_waited_for() {
    let tree = Tree::new();
    let path = tree.at("/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let error = tree.root().open(Path::new("/pipe")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_walk_that_remembers_directories_tells_the_same() {
    let tree = Tree::new();
    tree.file("/usr/lib/x/liba.so.1.2", "a");
    tree.link("/usr/lib/x/liba.so.1", "liba.so.1.2");
    tree.link("/lib", "usr/lib");
    let root = tree.root();
    let mut tracer = Tracer::new(&root);
    for path in [
        "/lib/x/liba.so.1",
        "/lib/x/liba.so.1.2",
        "/usr/lib/x/liba.so.1",
        "/lib/x/..",
        "/lib",
        "/",
    ] {
        let path = Path::new(path);
        assert_eq!(
            tracer.trace(path).unwrap(),
            trace(&root, path).unwrap(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_host_and_a_tree_are_walked_alike_without_openat2() {
    let tree = Tree::new();
    tree.file("/a/b/file", "in");
    tree.link("/a/link", "/a/b");
    let root = tree.root();
    let target = trace(&root, Path::new("/a/link/file")).unwrap().target;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    assert!(root.open_stepwise(&target, flags).is_ok());
    // A link on the way is never followed by this: the walk has resolved them all.
    assert!(
        root.open_stepwise(&image_path("/a/link/file"), flags)
            .is_err()
    );
}

#[test]
fn an_assembled_tree_is_read_as_the_loader_would_see_it() {
    let host = Tree::new();
    host.file("/lib.so", "from disk");
    let path = host.at("/lib.so");
    let facts = trace(&host.root(), Path::new("/lib.so"))
        .unwrap()
        .file()
        .unwrap()
        .clone();
    let content = || {
        entry(EntryKind::File(Content::Host {
            path: path.clone(),
            facts: facts.clone(),
        }))
    };
    let mut rootfs = Rootfs::new();
    for (path, entry) in [
        ("/usr/lib/liba.so", content()),
        ("/usr/lib/libcopy.so", content()),
        (
            "/usr/lib/libhard.so",
            entry(EntryKind::HardLink(image_path("/usr/lib/liba.so"))),
        ),
        ("/lib", entry(EntryKind::Symlink("usr/lib".into()))),
        ("/etc/text", bytes("from memory")),
        ("/out", entry(EntryKind::Symlink("/etc/passwd".into()))),
    ] {
        rootfs.insert(image_path(path), entry).unwrap();
    }
    let image = Assembled(&rootfs);
    assert_eq!(text(&image, "/lib/liba.so").unwrap(), "from disk");
    assert_eq!(text(&image, "/lib/libhard.so").unwrap(), "from disk");
    assert_eq!(text(&image, "/lib/../../etc/text").unwrap(), "from memory");
    assert!(text(&image, "/out").is_err());
    assert_eq!(
        image.read_dir(Path::new("/lib")).unwrap(),
        ["liba.so", "libcopy.so", "libhard.so"]
    );
    let identity = |path: &str| image.open(Path::new(path)).unwrap().identity;
    assert!(identity("/lib/liba.so").same_file(&identity("/lib/libhard.so")));
    assert!(!identity("/lib/liba.so").same_file(&identity("/lib/libcopy.so")));
    let node = trace(&image, Path::new("/lib/liba.so")).unwrap();
    assert!(
        node.file()
            .unwrap()
            .identity
            .same_file(&identity("/lib/liba.so"))
    );
}

#[test]
fn an_overlay_shows_both_trees_and_follows_links_across_them() {
    let lower = Tree::new();
    lower.file("/usr/lib/below", "below");
    lower.file("/usr/lib/both", "hidden");
    lower.link("/lib", "usr/lib");
    lower.link("/app", "/opt/app");
    let root = lower.root();
    let mut upper = Rootfs::new();
    for (path, entry) in [
        ("/lib/above", bytes("above")),
        ("/usr/lib/both", bytes("shown")),
        ("/opt/app", entry(EntryKind::Symlink("../lib/below".into()))),
    ] {
        upper.insert(image_path(path), entry).unwrap();
    }
    let both = Overlay::new(&upper, &root);
    assert_eq!(text(&both, "/usr/lib/above").unwrap(), "above");
    assert_eq!(text(&both, "/lib/above").unwrap(), "above");
    assert_eq!(text(&both, "/lib/below").unwrap(), "below");
    assert_eq!(text(&both, "/lib/both").unwrap(), "shown");
    assert_eq!(text(&both, "/app").unwrap(), "below");
    assert_eq!(walked(&both, "/lib/above"), "/usr/lib/above");
    assert_eq!(
        both.read_dir(Path::new("/lib")).unwrap(),
        ["above", "below", "both"]
    );
    assert_eq!(both.read_dir(Path::new("/opt")).unwrap(), ["app"]);
    assert_eq!(
        both.content(&image_path("/usr/lib/both")).unwrap().0,
        Content::Bytes(b"shown".into())
    );
    assert!(matches!(
        both.content(&image_path("/usr/lib/below")).unwrap().0,
        Content::Host { path, .. } if path == root.display(Path::new("/usr/lib/below"))
    ));
    assert_eq!(
        both.display(Path::new("/usr/lib/below")),
        root.display(Path::new("/usr/lib/below"))
    );
}

#[test]
fn a_file_in_memory_is_read_up_to_its_end() {
    let file = OpenFile::from_memory(Arc::from(&b"abc"[..]), 0o644, 1);
    let mut buffer = [0; 4];
    assert_eq!(file.read_at(&mut buffer, 1).unwrap(), 2);
    assert_eq!(file.read_at(&mut buffer, u64::MAX).unwrap(), 0);
    assert!(file.read_exact_at(&mut buffer, 0).is_err());
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let tree = Tree::new();
    tree.file("/file", "four");
    let root = tree.root();
    assert!(root.read(Path::new("/file"), 4).is_ok());
    let error = root.read(Path::new("/file"), 3).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn what_moved_is_found_at_its_new_place_alone() {
    let tree = Tree::new();
    tree.file("/home/u/python/lib/libpython.so", "old");
    tree.file("/home/u/other", "stays");
    tree.link("/usr/bin/python", "/home/u/python/bin/python");
    let root = tree.root();
    let mut upper = Rootfs::new();
    let place = ImagePath::new("/usr/local/lib/libpython.so").unwrap();
    let content = Content::Bytes(b"new".into());
    upper
        .insert(place, Entry::file(content, 0o644, Origin::Runtime))
        .unwrap();
    let hidden = ImagePath::new("/home/u/python").unwrap();
    let both = Overlay::new(&upper, &root).hiding(vec![hidden]);
    assert_eq!(text(&both, "/usr/local/lib/libpython.so").unwrap(), "new");
    for gone in ["/home/u/python/lib/libpython.so", "/usr/bin/python"] {
        let error = text(&both, gone).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{gone}");
    }
    assert_eq!(both.read_dir(Path::new("/home/u")).unwrap(), ["other"]);
    assert!(both.read_dir(Path::new("/home/u/python")).is_err());
}
