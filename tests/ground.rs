//! Apps of this machine on another system: a base that is one, or the one of `--sysroot`. The
//! systems are of objects that were never linked.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "closure/builder.rs"]
#[allow(dead_code)]
mod builder;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use builder::Elf;
use distrobuild::app::Provenance;
use distrobuild::elf::cache::{Cache, CacheEntry};
use distrobuild::helper::Helper;
use distrobuild::rootfs::{Base, Content, Entry, EntryKind, Origin, Rootfs};
use distrobuild::sysroot::{Directory, Node, Sysroot};
use distrobuild::trace::Tracing;
use distrobuild::{Builder, ImagePath, Plan};
use tempfile::TempDir;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A directory of this machine.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A system with glibc's loader and a libc, `/lib64` in `/usr`.
    fn system() -> Self {
        let place = Self::new();
        place.link("/lib64", "usr/lib64");
        let loader = Elf::glibc(36, &["/lib64/", "/usr/lib64/"]);
        place.program("/usr/lib64/ld-linux-x86-64.so.2", &loader);
        place.elf("/usr/lib64/libc.so.6", &Elf::library("libc.so.6"));
        place
    }

    /// A system with a Python, too, of which one module finds no library.
    fn with_python() -> Self {
        let place = Self::system();
        place.program("/usr/bin/python3.11", &uses(&["libc.so.6"]));
        place.link("/usr/bin/python3", "python3.11");
        place.text("/usr/lib/python3.11/os.py", "");
        place.text("/etc/python3.11/sitecustomize.py", "pass\n");
        let custom = "/etc/python3.11/sitecustomize.py";
        place.link("/usr/lib/python3.11/sitecustomize.py", custom);
        let module = "lib-dynload/_dbm.cpython-311-x86_64-linux-gnu.so";
        let elf = Elf::library("_dbm.so").needs("libdb.so");
        place.elf(&format!("/usr/lib/python3.11/{module}"), &elf);
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn text(&self, path: &str, text: &str) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), text).unwrap();
    }

    fn script(&self, path: &str, text: &str) {
        self.text(path, text);
        self.make_executable(path);
    }

    fn elf(&self, path: &str, elf: &Elf) {
        elf.write(&self.at(path));
    }

    fn program(&self, path: &str, elf: &Elf) {
        self.elf(path, elf);
        self.make_executable(path);
    }

    fn make_executable(&self, path: &str) {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.at(path), mode).unwrap();
    }

    fn link(&self, path: &str, says: &str) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        symlink(says, self.at(path)).unwrap();
    }

    fn cache(&self, libraries: &[(&str, &str)]) {
        let entries = libraries.iter().map(|(soname, path)| entry(soname, path));
        let entries: Vec<CacheEntry> = entries.collect();
        self.text("/etc/ld.so.cache", "");
        std::fs::write(self.at("/etc/ld.so.cache"), Cache::write(&entries)).unwrap();
    }

    /// All that is in it, as a base.
    fn base(&self) -> Base {
        let mut rootfs = Rootfs::new();
        lay(
            &Directory::new(self.0.path()).unwrap(),
            &path("/"),
            &mut rootfs,
        );
        of(rootfs)
    }

    /// A build of something in it.
    fn build(&self, app: &str, base: Base) -> Builder {
        let mut builder = Builder::new(self.at(app), base);
        builder
            .variables
            .remove(std::ffi::OsStr::new("VIRTUAL_ENV"));
        builder
    }
}

fn of(rootfs: Rootfs) -> Base {
    Base::of_system(
        "tests:one/base",
        "a system of tests",
        Base::none().config,
        rootfs,
    )
}

fn lay(sysroot: &Directory, directory: &ImagePath, rootfs: &mut Rootfs) {
    for name in sysroot.read_dir(directory.as_path()).unwrap() {
        let at = directory.join(name).unwrap();
        let entry = match sysroot.node(&at).unwrap() {
            Node::Directory { mode } => Entry::directory(mode, Origin::Base),
            Node::Symlink(says) => Entry::symlink(says, Origin::Base),
            Node::File(facts) => {
                Entry::file(sysroot.content(&at).unwrap().0, facts.mode, Origin::Base)
            }
            Node::Other => continue,
        };
        let is_directory = entry.kind == EntryKind::Directory;
        rootfs.insert(at.clone(), entry).unwrap();
        if is_directory {
            lay(sysroot, &at, rootfs);
        }
    }
}

fn uses(libraries: &[&str]) -> Elf {
    let program = Elf::program(LOADER);
    libraries.iter().fold(program, |elf, name| elf.needs(name))
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn entry(soname: &str, path: &str) -> CacheEntry {
    CacheEntry {
        soname: soname.as_bytes().to_vec(),
        path: path.as_bytes().to_vec(),
        flags: 0x0303,
        hwcap: None,
    }
}

fn origin(plan: &Plan, at: &str) -> Option<Origin> {
    plan.rootfs.get(&path(at)).map(|entry| entry.origin)
}

fn message(builder: &Builder) -> String {
    builder.plan().unwrap_err().to_string()
}

/// Each entry of the base is in the image as it is in the base.
fn assert_whole(plan: &Plan, base: &Base) {
    for (at, entry) in base.rootfs().iter() {
        assert_eq!(plan.rootfs.get(at), Some(entry), "{at}");
    }
}

#[test]
fn an_app_moves_with_what_is_beside_it_and_the_rest_is_of_the_base() {
    let (system, here) = (Place::system(), Place::new());
    let app = uses(&["libmine.so", "libc.so.6"]).runpath("$ORIGIN/../lib");
    here.program("/project/bin/app", &app);
    let library = Elf::library("libmine.so").needs("libc.so.6");
    here.elf("/project/lib/libmine.so", &library);
    let base = system.base();
    let plan = here.build("/project/bin/app", base.clone()).plan().unwrap();
    assert_eq!(origin(&plan, "/app/bin/app"), Some(Origin::App));
    assert_eq!(origin(&plan, "/app/lib/libmine.so"), Some(Origin::Library));
    assert_whole(&plan, &base);
    assert_eq!(plan.settings.entrypoint, ["/app/bin/app"]);
    assert_eq!(plan.platform.architecture, "amd64");
    let brought = plan
        .rootfs
        .iter()
        .filter(|(_, it)| it.origin != Origin::Base);
    assert!(
        brought
            .into_iter()
            .all(|(at, _)| at.starts_with(&path("/app")))
    );
}

#[test]
fn the_same_app_is_found_with_what_is_beside_it_for_a_sysroot() {
    let (system, here) = (Place::system(), Place::new());
    let app = uses(&["libmine.so", "libc.so.6"]).runpath("$ORIGIN");
    here.program("/project/app", &app);
    here.elf("/project/libmine.so", &Elf::library("libmine.so"));
    let mut builder = here.build("/project/app", Base::none());
    builder.sysroot = Some(system.0.path().to_path_buf());
    let plan = builder.plan().unwrap();
    assert_eq!(plan.settings.entrypoint, ["/app/app"]);
    assert_eq!(origin(&plan, "/app/libmine.so"), Some(Origin::Library));
    assert_eq!(origin(&plan, "/usr/lib64/libc.so.6"), Some(Origin::Library));
}

#[test]
fn no_library_of_this_machines_own_system_is_seen_not_even_through_a_link() {
    let (system, here) = (Place::system(), Place::new());
    std::fs::remove_file(system.at("/usr/lib64/libc.so.6")).unwrap();
    let app = uses(&["libc.so.6"]).runpath("$ORIGIN:/usr/lib/x86_64-linux-gnu");
    here.program("/project/app", &app);
    here.link("/project/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6");
    let text = message(&here.build("/project/app", system.base()));
    assert!(
        text.starts_with("a library is missing:\n  libc.so.6\n"),
        "{text}"
    );
    assert!(text.contains("tests:one/base:/lib64"), "{text}");
    assert!(
        text.contains("The base tests:one/base does not have it"),
        "{text}"
    );
    assert!(text.contains("--package NAME"), "{text}");
}

#[test]
fn what_the_base_has_at_the_path_or_under_the_name_is_the_app() {
    let system = Place::system();
    system.program("/usr/bin/a-tool-of-the-base", &uses(&["libc.so.6"]));
    let base = system.base();
    for app in ["/usr/bin/a-tool-of-the-base", "a-tool-of-the-base"] {
        let plan = Builder::new(app, base.clone()).plan().unwrap();
        assert_eq!(plan.settings.entrypoint, ["/usr/bin/a-tool-of-the-base"]);
        assert_whole(&plan, &base);
        assert_eq!(plan.rootfs.len(), base.rootfs().len());
    }
}

#[test]
fn a_program_of_this_machines_own_system_comes_alone() {
    // On another machine than x86-64 that of the base is missed, which another test looks at.
    let is_alone = |builder: &Builder| match builder.resolve() {
        Ok(resolved) => resolved.app.path == Path::new("/app/env"),
        Err(error) => {
            error.to_string().contains("is a program for") && cfg!(not(target_arch = "x86_64"))
        }
    };
    let base = Place::system().base();
    assert!(is_alone(&Builder::new("/usr/bin/env", base.clone())));
    let mut bare = Builder::new("env", base);
    bare.variables = [("PATH".into(), "/usr/bin".into())].into();
    assert!(is_alone(&bare));
}

#[test]
fn a_program_of_this_machine_is_told_by_its_path_here() {
    let other = Place::new();
    other.link("/lib64", "usr/lib64");
    let loader = Elf::program("/lib/ld-linux-aarch64.so.1").for_machine(183, true, false);
    let text = message(&Builder::new(
        "/usr/bin/env",
        other_machine(&other, &loader),
    ));
    assert!(text.contains("/usr/bin/env"), "{text}");
    assert!(!text.contains("/app/env"), "{text}");
}

/// A base that has a loader of another machine, `loader`, alone.
fn other_machine(place: &Place, loader: &Elf) -> Base {
    place.program("/usr/lib64/ld-linux-aarch64.so.1", loader);
    place.base()
}

#[test]
fn what_a_rule_brings_that_the_base_has_is_not_said_to_come_along() {
    let system = Place::system();
    let crypto = Elf::library("libcrypto.so.3");
    system.elf("/usr/lib64/libcrypto.so.3", &crypto);
    system.elf(
        "/usr/lib64/ossl-modules/legacy.so",
        &Elf::library("legacy.so"),
    );
    let here = Place::new();
    here.program("/app", &uses(&["libcrypto.so.3", "libc.so.6"]));
    let base = system.base();
    let plan = here.build("/app", base.clone()).plan().unwrap();
    assert_whole(&plan, &base);
    let by_rules = |plan: &Plan| {
        let groups = plan.companions.iter();
        groups
            .filter(|group| matches!(group.by, Provenance::Rule(_)))
            .count()
    };
    assert_eq!(by_rules(&plan), 0);

    // Nothing else brings it where the system is not the base.
    let mut builder = here.build("/app", Base::none());
    builder.sysroot = Some(system.at("/"));
    assert_ne!(by_rules(&builder.plan().unwrap()), 0);
}

#[test]
fn an_app_for_another_machine_is_told_which_base_it_needs() {
    let (system, here) = (Place::system(), Place::new());
    let loader = Elf::program("/lib/ld-linux-aarch64.so.1");
    here.program("/app", &loader.for_machine(183, true, false));
    let text = message(&here.build("/app", system.base()));
    assert!(text.contains("is a program for "), "{text}");
    assert!(
        text.contains("the libraries of the base tests:one/base are for x86-64"),
        "{text}"
    );
    assert!(text.contains("(--arch arm64)"), "{text}");
}

#[test]
fn libraries_come_from_one_system() {
    let mut builder = Builder::new("/usr/bin/env", Place::system().base());
    builder.sysroot = Some("/srv/other".into());
    let text = message(&builder);
    assert!(
        text.starts_with("--sysroot /srv/other and the base tests:one/base are two systems"),
        "{text}"
    );
}

#[test]
fn an_app_that_gets_another_system_is_not_traced() {
    let builder = Builder::new("/usr/bin/env", Place::system().base());
    let tracing = Tracing {
        command: Vec::new(),
        time: None,
        ignore: Vec::new(),
        helper: Helper::default(),
    };
    let error = builder.trace(&tracing).unwrap_err().to_string();
    assert!(error.contains("a base of packages"), "{error}");
}

#[test]
fn a_path_of_this_machine_in_a_file_of_the_base_leads_nowhere() {
    let (system, here) = (Place::system(), Place::new());
    let built_at = here.at("/build/lib");
    here.elf("/build/lib/libhelper.so", &Elf::library("libhelper.so"));
    let library = Elf::library("libbase.so").needs("libhelper.so");
    let library = library.runpath(built_at.to_str().unwrap());
    system.elf("/usr/lib64/libbase.so", &library);
    system.elf("/usr/lib64/libhelper.so", &Elf::library("libhelper.so"));
    here.program("/project/app", &uses(&["libbase.so", "libc.so.6"]));
    let base = system.base();
    let plan = here.build("/project/app", base.clone()).plan().unwrap();
    assert_whole(&plan, &base);
    let beside_the_base = plan.rootfs.iter().filter(|(at, entry)| {
        matches!(entry.kind, EntryKind::File(_)) && base.rootfs().get(at).is_none()
    });
    let names: Vec<_> = beside_the_base.map(|(at, _)| at.to_string()).collect();
    assert_eq!(names, ["/app/app"]);
}

#[test]
fn the_cache_of_the_base_stays_until_it_has_to_know_more() {
    let (system, here) = (Place::system(), Place::new());
    system.elf("/usr/lib64/extra/libextra.so", &Elf::library("libextra.so"));
    system.cache(&[
        ("libextra.so", "/usr/lib64/extra/libextra.so"),
        ("libc.so.6", "/lib64/libc.so.6"),
    ]);
    let base = system.base();
    here.program("/project/app", &uses(&["libextra.so", "libc.so.6"]));
    let plan = here.build("/project/app", base.clone()).plan().unwrap();
    assert_whole(&plan, &base);

    let elf = uses(&["libmine.so", "libextra.so", "libc.so.6"]);
    here.program("/project/app", &elf);
    here.elf("/libraries/libmine.so", &Elf::library("libmine.so"));
    let mut builder = here.build("/project/app", base);
    builder.library_path = vec![here.at("/libraries")];
    let plan = builder.plan().unwrap();
    let at = path("/etc/ld.so.cache");
    let Some(EntryKind::File(Content::Bytes(bytes))) = plan.rootfs.get(&at).map(|it| &it.kind)
    else {
        panic!("no cache was written")
    };
    let cache = Cache::parse(bytes).unwrap();
    let names = cache
        .entries()
        .iter()
        .map(|it| String::from_utf8_lossy(&it.soname));
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["libc.so.6", "libextra.so", "libmine.so"]);
}

#[test]
fn a_hard_link_of_the_base_is_no_conflict() {
    let (system, here) = (Place::system(), Place::new());
    system.program("/usr/bin/perl5", &uses(&["libc.so.6"]));
    let mut rootfs = system.base().rootfs().clone();
    let link = Entry {
        kind: EntryKind::HardLink(path("/usr/bin/perl5")),
        ..rootfs.get(&path("/usr/bin/perl5")).unwrap().clone()
    };
    rootfs.insert(path("/usr/bin/perl7"), link).unwrap();
    here.script("/project/app.pl", "#!/usr/bin/perl7\nprint 1;\n");
    let base = of(rootfs);
    let plan = here.build("/project/app.pl", base.clone()).plan().unwrap();
    assert_whole(&plan, &base);
    assert_eq!(plan.settings.entrypoint, ["/app/app.pl"]);
}

fn environment(here: &Place, release: &str) {
    let (_, minor) = release.split_once('.').unwrap();
    let home = here.at("/pyenv/bin").display().to_string();
    here.program(
        &format!("/pyenv/bin/python3.{minor}"),
        &uses(&["libc.so.6"]),
    );
    here.text(&format!("/pyenv/lib/python3.{minor}/os.py"), "");
    let text = format!("home = {home}\nversion = {release}.9\n");
    here.text("/project/.venv/pyvenv.cfg", &text);
    let own = format!("{home}/python3.{minor}");
    here.link("/project/.venv/bin/python", &own);
    let site = format!("/project/.venv/lib/python3.{minor}/site-packages");
    here.text(&format!("{site}/web/__init__.py"), "");
    here.text("/project/app.py", "import web, beside\n");
    here.text("/project/beside.py", "");
}

#[test]
fn a_python_that_has_its_version_in_its_name_alone_is_found() {
    let (system, here) = (Place::with_python(), Place::new());
    std::fs::remove_file(system.at("/usr/bin/python3")).unwrap();
    here.text("/project/app.py", "import os\n");
    let plan = here.build("/project/app.py", system.base()).plan().unwrap();
    assert_eq!(
        plan.settings.entrypoint,
        ["/usr/bin/python3.11", "/app/app.py"]
    );
}

#[test]
fn an_environment_that_was_made_here_gets_the_bases_python() {
    let (system, here) = (Place::with_python(), Place::new());
    environment(&here, "3.11");
    let base = system.base();
    let plan = here.build("/project/app.py", base.clone()).plan().unwrap();
    assert_eq!(
        plan.settings.entrypoint,
        ["/app/venv/bin/python", "/app/app.py"]
    );
    let link = plan.rootfs.get(&path("/app/venv/bin/python")).unwrap();
    assert_eq!(link.kind, EntryKind::Symlink("/usr/bin/python3.11".into()));
    for at in [
        "/app/beside.py",
        "/app/venv/lib/python3.11/site-packages/web/__init__.py",
    ] {
        assert!(plan.rootfs.get(&path(at)).is_some(), "{at}");
    }
    assert_whole(&plan, &base);
    // The version is the base's own: nothing of what the environment was made by is said.
    assert_eq!(plan.app.hosted().unwrap().version, "3.11");
    // What the base has and nobody imports is the base's affair.
    let notices = plan.notices.join("\n");
    assert!(!notices.contains("_dbm"), "{notices}");
}

#[test]
fn an_environment_of_another_version_is_refused_with_both_versions() {
    let (system, here) = (Place::with_python(), Place::new());
    environment(&here, "3.13");
    let text = message(&here.build("/project/app.py", system.base()));
    assert!(
        text.contains("was made by Python 3.13, and the base tests:one/base has 3.11"),
        "{text}"
    );
    assert!(text.contains("--base debian:trixie/python3"), "{text}");
}

#[test]
fn a_python_of_this_machine_that_a_script_names_is_not_taken() {
    let (system, here) = (Place::with_python(), Place::new());
    environment(&here, "3.11");
    std::fs::remove_dir_all(here.at("/project/.venv")).unwrap();
    let own = here.at("/pyenv/bin/python3.11").display().to_string();
    here.script("/project/app.py", &format!("#!{own}\nimport beside\n"));
    let plan = here.build("/project/app.py", system.base()).plan().unwrap();
    assert_eq!(
        plan.settings.entrypoint,
        ["/usr/bin/python3.11", "/app/app.py"]
    );
    let text = message(&here.build("/project/app.py", Place::system().base()));
    assert!(
        text.contains("needs Python, and the base tests:one/base has none"),
        "{text}"
    );
    assert_eq!(text.matches("tests:one/base").count(), 1, "{text}");
    assert!(text.contains("`--base debian:bookworm/python3`"), "{text}");
}

#[test]
fn a_project_of_node_gets_the_bases_node_and_keeps_to_itself() {
    let (system, here) = (Place::system(), Place::new());
    here.text("/home/package.json", r#"{"name": "not-the-project"}"#);
    here.text("/home/project/server.js", "require('./part');\n");
    here.text("/home/project/part.js", "");
    let build = |system: &Place| {
        let mut builder = here.build("/home/project/server.js", system.base());
        builder
            .variables
            .insert("HOME".into(), here.at("/home").into());
        builder
    };
    let text = message(&build(&system));
    assert!(
        text.contains("needs Node.js, and the base tests:one/base has no `node`"),
        "{text}"
    );
    assert!(text.contains("`--base debian:bookworm/nodejs`"), "{text}");

    system.program("/usr/bin/node", &uses(&["libc.so.6"]));
    let version = "#define NODE_MAJOR_VERSION 18\n#define NODE_MINOR_VERSION 20\n\
                   #define NODE_PATCH_VERSION 4\n";
    system.text("/usr/include/node/node_version.h", version);
    let plan = build(&system).plan().unwrap();
    assert_eq!(
        plan.settings.entrypoint,
        ["/usr/bin/node", "/app/server.js"]
    );
    assert!(plan.rootfs.get(&path("/app/part.js")).is_some());
    assert!(
        !plan
            .rootfs
            .iter()
            .any(|(at, _)| at.to_string().ends_with("package.json"))
    );
}
