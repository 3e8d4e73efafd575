#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::configure::DEFAULT_CACHE;
use super::loader::Configuration;
use super::*;
use crate::elf::{
    ByteOrder, Class, Finding, Flavour, LoadedObject, Loader, Machine, Object, ObjectKind, Request,
    Rule,
};
use crate::rootfs::Include;
use crate::sysroot::Directory;

const MACHINE: Machine = Machine {
    number: 62,
    class: Class::Elf64,
    order: ByteOrder::Little,
    flags: 0,
};

/// A system in a temporary directory, and what was found in it.
struct System {
    root: tempfile::TempDir,
    sysroot: Directory,
    closure: Closure,
    base: Base,
    includes: Vec<Included>,
}

impl System {
    fn new(files: &[&str], links: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (link, said) in links {
            let link = root.path().join(&link[1..]);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(said, link).unwrap();
        }
        for file in files {
            let path = root.path().join(&file[1..]);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, file).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self {
            sysroot: Directory::new(root.path()).unwrap(),
            root,
            closure: Closure::default(),
            base: Base::none(),
            includes: Vec::new(),
        }
    }

    fn chmod(&self, path: &str, mode: u32) {
        let path = self.root.path().join(&path[1..]);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    /// Adds an object that is opened by these paths.
    fn loaded(&mut self, paths: &[&str], by: Option<usize>, name: &str, rule: Rule) -> &mut Self {
        let mut found = paths.iter().map(|path| {
            (
                PathBuf::from(path),
                trace(&self.sysroot, Path::new(path)).unwrap(),
            )
        });
        let (path, trace) = found.next().unwrap();
        self.closure.objects.push(LoadedObject {
            path,
            trace,
            aliases: found.collect(),
            object: Object {
                machine: MACHINE,
                kind: ObjectKind::Library,
                executable: false,
                os_abi: 0,
                interpreter: None,
                soname: None,
                needed: Vec::new(),
                filters: Vec::new(),
                auxiliaries: Vec::new(),
                audits: Vec::new(),
                rpath: None,
                runpath: None,
                no_default_lib: false,
                version_needs: Vec::new(),
                version_definitions: Vec::new(),
                dlopen_notes: Vec::new(),
                refused: None,
                warnings: Vec::new(),
            },
            requests: vec![Request {
                by,
                name: OsString::from(name),
                finding: Finding::Needed,
                rule,
            }],
        });
        self
    }

    fn loader(&mut self, flavour: Flavour) {
        self.closure.loaders.push(Loader {
            path: "/lib/ld.so".into(),
            object: 0,
            flavour,
            machine: MACHINE,
            directories: vec!["/lib".into(), "/usr/lib".into()],
            cache: (flavour == Flavour::Glibc).then(|| DEFAULT_CACHE.into()),
            path_file: (flavour == Flavour::Musl).then(|| "/etc/ld-musl-x86_64.path".into()),
        });
    }

    fn include(&mut self, at: &str, text: &str) {
        self.includes.push(Included {
            path: ImagePath::new(at).unwrap(),
            entry: Entry::file(
                Content::Bytes(text.as_bytes().to_vec().into()),
                0o644,
                Origin::Include,
            ),
            source: format!("from/{text}").into(),
            notice: None,
        });
    }

    fn try_assemble(&self, app: &str) -> Result<Assembled, AssembleError> {
        let app = App {
            path: app.into(),
            trace: trace(&self.sysroot, Path::new(app)).unwrap(),
            kind: AppKind::Elf,
            roots: Vec::new(),
        };
        assemble(&Assembly {
            sysroot: &self.sysroot,
            base: &self.base,
            app: &app,
            closure: &self.closure,
            includes: self.includes.clone(),
            strip: None,
        })
    }

    fn assemble(&self, app: &str) -> Assembled {
        self.try_assemble(app).unwrap()
    }
}

fn root_app(system: &mut System, path: &str) {
    system.loaded(&[path], None, path, Rule::Path);
}

fn origin_of(of: usize, element: &str) -> Rule {
    Rule::Runpath {
        of,
        element: element.into(),
    }
}

/// Every entry on a line of its own: path, kind, mode and origin.
fn lines(assembled: &Assembled) -> Vec<String> {
    assembled
        .rootfs
        .iter()
        .map(|(path, entry)| match &entry.kind {
            EntryKind::Directory => format!("{path}/ {:o} {}", entry.mode, entry.origin),
            EntryKind::File(content) => {
                format!(
                    "{path} {:o} {} bytes {}",
                    entry.mode,
                    content.size(),
                    entry.origin
                )
            }
            EntryKind::Symlink(said) => format!("{path} -> {} {}", said.display(), entry.origin),
            EntryKind::HardLink(file) => format!("{path} = {file} {}", entry.origin),
        })
        .collect()
}

fn paths(assembled: &Assembled) -> Vec<String> {
    assembled
        .rootfs
        .iter()
        .map(|(path, _)| path.to_string())
        .collect()
}

fn entry<'a>(assembled: &'a Assembled, path: &str) -> Option<&'a Entry> {
    assembled.rootfs.get(&ImagePath::new(path).unwrap())
}

#[test]
fn every_name_that_the_loader_opens_is_in_the_image_with_its_links() {
    let mut system = System::new(
        &["/usr/bin/app", "/usr/lib/libz.so.1.3"],
        &[
            ("/lib", "usr/lib"),
            ("/usr/lib/libz.so.1", "libz.so.1.3"),
            ("/bin", "usr/bin"),
        ],
    );
    root_app(&mut system, "/usr/bin/app");
    system.loaded(&["/lib/libz.so.1"], Some(0), "libz.so.1", Rule::Cache);
    let assembled = system.assemble("/usr/bin/app");
    assert_eq!(
        lines(&assembled),
        [
            "/lib -> usr/lib the libraries",
            "/usr/ 755 the libraries",
            "/usr/bin/ 755 the app",
            "/usr/bin/app 755 12 bytes the app",
            "/usr/lib/ 755 the libraries",
            "/usr/lib/libz.so.1 -> libz.so.1.3 the libraries",
            "/usr/lib/libz.so.1.3 755 20 bytes the libraries",
        ]
    );
    assert_eq!(assembled.entrypoint.to_string(), "/usr/bin/app");
    assert!(assembled.notices.is_empty());
}

#[test]
fn merged_links_of_the_system_come_where_they_lead_to_something() {
    let mut system = System::new(
        &["/usr/bin/app"],
        &[("/bin", "usr/bin"), ("/lib64", "usr/lib64")],
    );
    root_app(&mut system, "/usr/bin/app");
    system.loader(Flavour::Glibc);
    system.include("/lib64/x", "x");
    let assembled = system.assemble("/usr/bin/app");
    assert!(matches!(
        &entry(&assembled, "/bin").unwrap().kind,
        EntryKind::Symlink(_)
    ));
    assert!(entry(&assembled, "/usr/lib64/x").is_some());
}

#[test]
fn a_script_is_the_app_and_its_interpreters_are_libraries_under_their_names() {
    let mut system = System::new(
        &["/b/run.sh", "/usr/bin/dash", "/usr/bin/env"],
        &[("/usr/bin/sh", "dash"), ("/bin", "usr/bin")],
    );
    root_app(&mut system, "/usr/bin/env");
    let step = |path: &str| crate::app::Interpreter {
        path: path.into(),
        argument: None,
    };
    let app = App {
        path: "/b/run.sh".into(),
        trace: trace(&system.sysroot, Path::new("/b/run.sh")).unwrap(),
        kind: AppKind::Script {
            interpreters: vec![step("/usr/bin/env"), step("/bin/sh")],
        },
        roots: Vec::new(),
    };
    let assembled = assemble(&Assembly {
        sysroot: &system.sysroot,
        base: &system.base,
        app: &app,
        closure: &system.closure,
        includes: Vec::new(),
        strip: None,
    })
    .unwrap();
    assert_eq!(assembled.entrypoint.to_string(), "/app/run.sh");
    assert_eq!(
        entry(&assembled, "/app/run.sh").unwrap().origin,
        Origin::App
    );
    for path in ["/bin", "/usr/bin/sh", "/usr/bin/dash", "/usr/bin/env"] {
        assert_eq!(
            entry(&assembled, path).unwrap().origin,
            Origin::Library,
            "{path}"
        );
    }
}

#[test]
fn an_included_object_of_the_closure_comes_with_the_includes() {
    let mut system = System::new(
        &["/usr/bin/app", "/usr/lib/plugin.so"],
        &[("/lib", "usr/lib")],
    );
    root_app(&mut system, "/usr/bin/app");
    system.loaded(&["/lib/plugin.so"], None, "/lib/plugin.so", Rule::Path);
    system.include("/lib/plugin.so", "mine");
    let assembled = system.assemble("/usr/bin/app");
    let plugin = entry(&assembled, "/usr/lib/plugin.so").unwrap();
    assert_eq!(plugin.kind, EntryKind::File(Content::Bytes(b"mine".into())));
    assert_eq!(plugin.origin, Origin::Include);
}

#[test]
fn an_app_outside_the_system_directories_lands_below_app() {
    let mut system = System::new(&["/home/u/secret/tool"], &[]);
    root_app(&mut system, "/home/u/secret/tool");
    let assembled = system.assemble("/home/u/secret/tool");
    assert_eq!(paths(&assembled), ["/app", "/app/tool"]);
    assert_eq!(assembled.entrypoint.to_string(), "/app/tool");
    let source = &assembled.placements[&ImagePath::new("/app/tool").unwrap()];
    assert_eq!(source.to_string(), "/home/u/secret/tool");
}

#[test]
fn libraries_found_relative_to_the_app_move_with_it() {
    let mut system = System::new(
        &[
            "/b/proj/bin/app",
            "/b/proj/lib/libx.so.1.2",
            "/b/proj/dep/liby.so",
        ],
        &[("/b/proj/lib/libx.so", "libx.so.1.2")],
    );
    root_app(&mut system, "/b/proj/bin/app");
    let x = "/b/proj/bin/../lib/libx.so";
    system.loaded(&[x], Some(0), "libx.so", origin_of(0, "$ORIGIN/../lib"));
    let y = "/b/proj/bin/../lib/../dep/liby.so";
    system.loaded(&[y], Some(1), "liby.so", origin_of(1, "${ORIGIN}/../dep"));
    let assembled = system.assemble("/b/proj/bin/app");
    assert_eq!(
        paths(&assembled),
        [
            "/app",
            "/app/bin",
            "/app/bin/app",
            "/app/dep",
            "/app/dep/liby.so",
            "/app/lib",
            "/app/lib/libx.so",
            "/app/lib/libx.so.1.2",
        ]
    );
    assert!(assembled.notices.is_empty(), "{:?}", assembled.notices);
    assert_eq!(
        entry(&assembled, "/app/lib/libx.so.1.2").unwrap().origin,
        Origin::Library
    );
}

#[test]
fn nothing_moves_when_a_library_is_needed_in_both_places() {
    let mut system = System::new(&["/b/app", "/b/libx.so"], &[]);
    root_app(&mut system, "/b/app");
    system.loaded(&["/b/libx.so"], Some(0), "libx.so", origin_of(0, "$ORIGIN"));
    system.closure.objects[1].requests.push(Request {
        by: Some(0),
        name: "/b/libx.so".into(),
        finding: Finding::Needed,
        rule: Rule::Path,
    });
    let assembled = system.assemble("/b/app");
    assert_eq!(paths(&assembled), ["/b", "/b/app", "/b/libx.so"]);
    assert!(assembled.notices[0].contains("/b") && assembled.notices[0].contains("fixed path"));
}

#[test]
fn nothing_moves_when_a_path_leaves_the_directory_or_a_link_is_absolute() {
    let mut system = System::new(
        &["/a/p/app", "/a/p/lib/libx.so"],
        &[("/a/p/abs", "/a/p/lib")],
    );
    root_app(&mut system, "/a/p/app");
    let original = system.closure.clone();
    for (path, element) in [
        ("/a/p/../../a/p/lib/libx.so", "$ORIGIN/../../a/p/lib"),
        ("/a/p/abs/libx.so", "$ORIGIN/abs"),
    ] {
        system.closure = original.clone();
        system.loaded(&[path], Some(0), "libx.so", origin_of(0, element));
        let assembled = system.assemble("/a/p/app");
        assert_eq!(assembled.entrypoint.to_string(), "/a/p/app");
        assert!(assembled.rootfs.follow(Path::new(path)).is_some());
        assert!(entry(&assembled, "/app").is_none());
        assert_eq!(assembled.notices.len(), 1);
    }
}

#[test]
fn nothing_moves_when_a_further_name_would_be_lost() {
    let mut system = System::new(&["/b/app", "/b/libx.so"], &[]);
    let other = system.root.path().join("c");
    std::fs::create_dir(&other).unwrap();
    std::fs::hard_link(system.root.path().join("b/libx.so"), other.join("libx.so")).unwrap();
    root_app(&mut system, "/b/app");
    let names = ["/b/libx.so", "/c/libx.so"];
    system.loaded(&names, Some(0), "libx.so", origin_of(0, "$ORIGIN"));
    let assembled = system.assemble("/b/app");
    assert_eq!(
        paths(&assembled),
        ["/b", "/b/app", "/b/libx.so", "/c", "/c/libx.so"]
    );
    assert_eq!(assembled.notices.len(), 1);
}

#[test]
fn an_app_stays_where_it_was_when_the_base_has_another_in_its_place_and_says_so() {
    let mut system = System::new(&["/b/app"], &[]);
    root_app(&mut system, "/b/app");
    let mut rootfs = Rootfs::new();
    let other = Content::Bytes(b"another".to_vec().into());
    let path = ImagePath::new("/app/app").unwrap();
    rootfs
        .insert(path, Entry::file(other, 0o755, Origin::Base))
        .unwrap();
    system.base = Base::of_system("tests", "tests", Base::none().config, rootfs);
    let assembled = system.assemble("/b/app");
    assert_eq!(assembled.entrypoint, ImagePath::new("/b/app").unwrap());
    let notice = &assembled.notices[0];
    assert!(notice.contains("/app/app comes twice"), "{notice}");
    assert!(!notice.contains("library"), "{notice}");
}

#[test]
fn a_library_found_by_a_fixed_path_keeps_it_with_a_notice() {
    let mut system = System::new(&["/b/app", "/b/lib/libx.so"], &[]);
    root_app(&mut system, "/b/app");
    system.loaded(
        &["/b/lib/libx.so"],
        Some(0),
        "libx.so",
        origin_of(0, "/b/lib"),
    );
    let assembled = system.assemble("/b/app");
    assert_eq!(
        paths(&assembled),
        ["/app", "/app/app", "/b", "/b/lib", "/b/lib/libx.so"]
    );
    assert!(assembled.notices[0].contains("/b/lib/libx.so"));
}

#[test]
fn a_linked_app_keeps_its_real_name_and_starts_by_the_given_one() {
    let mut system = System::new(
        &["/b/busybox", "/usr/bin/toybox"],
        &[("/b/ls", "busybox"), ("/b/cat", "/usr/bin/toybox")],
    );
    root_app(&mut system, "/b/ls");
    let assembled = system.assemble("/b/ls");
    assert_eq!(paths(&assembled), ["/app", "/app/busybox", "/app/ls"]);
    assert_eq!(assembled.entrypoint.to_string(), "/app/ls");
    assert_eq!(
        entry(&assembled, "/app/ls").unwrap(),
        &Entry::symlink("busybox", Origin::App)
    );
    system.closure = Closure::default();
    root_app(&mut system, "/b/cat");
    let assembled = system.assemble("/b/cat");
    assert_eq!(
        paths(&assembled),
        ["/app", "/app/cat", "/usr", "/usr/bin", "/usr/bin/toybox"]
    );
    assert_eq!(
        entry(&assembled, "/app/cat").unwrap(),
        &Entry::symlink("../usr/bin/toybox", Origin::App)
    );
}

#[test]
fn special_bits_go_and_private_files_become_usable_each_with_a_notice() {
    let mut system = System::new(&["/usr/bin/app", "/usr/private/libx.so"], &[]);
    system.chmod("/usr/bin/app", 0o4755);
    system.chmod("/usr/private/libx.so", 0o700);
    system.chmod("/usr/private", 0o700);
    root_app(&mut system, "/usr/bin/app");
    system.loaded(
        &["/usr/private/libx.so"],
        Some(0),
        "libx.so",
        origin_of(0, "/usr/private"),
    );
    let assembled = system.assemble("/usr/bin/app");
    let mode = |path| entry(&assembled, path).unwrap().mode;
    assert_eq!(mode("/usr/bin/app"), 0o755);
    assert_eq!(mode("/usr/private/libx.so"), 0o705);
    assert_eq!(mode("/usr/private"), 0o711);
    assert_eq!(assembled.notices.len(), 3, "{:?}", assembled.notices);
}

#[test]
fn the_umask_of_a_build_does_not_show_in_what_was_moved() {
    for (app, library) in [(0o755, 0o644), (0o775, 0o664), (0o700, 0o600)] {
        let mut system = System::new(&["/b/app", "/b/libx.so"], &[]);
        system.chmod("/b/app", app);
        system.chmod("/b/libx.so", library);
        root_app(&mut system, "/b/app");
        let names = ["/b/libx.so"];
        system.loaded(&names, Some(0), "libx.so", origin_of(0, "$ORIGIN"));
        let assembled = system.assemble("/b/app");
        let mode = |path| entry(&assembled, path).unwrap().mode;
        assert_eq!((mode("/app/app"), mode("/app/libx.so")), (0o755, 0o644));
        let private = if app == 0o700 { 2 } else { 0 };
        assert_eq!(assembled.notices.len(), private, "{app:o}");
    }
}

#[test]
fn one_file_under_two_names_is_packed_once() {
    let mut system = System::new(&["/usr/bin/app", "/usr/lib/liba.so"], &[]);
    let lib = system.root.path().join("usr/lib");
    std::fs::hard_link(lib.join("liba.so"), lib.join("libb.so")).unwrap();
    root_app(&mut system, "/usr/bin/app");
    system.loaded(
        &["/usr/lib/libb.so", "/usr/lib/liba.so"],
        Some(0),
        "libb.so",
        Rule::Cache,
    );
    let assembled = system.assemble("/usr/bin/app");
    assert_eq!(
        entry(&assembled, "/usr/lib/libb.so").unwrap().kind,
        EntryKind::HardLink(ImagePath::new("/usr/lib/liba.so").unwrap())
    );
}

#[test]
fn an_include_that_is_a_further_name_of_the_app_is_packed_once() {
    let mut system = System::new(&["/usr/bin/app"], &[]);
    let bin = system.root.path().join("usr/bin");
    std::fs::hard_link(bin.join("app"), bin.join("app5")).unwrap();
    root_app(&mut system, "/usr/bin/app");
    let include = format!("{}:/usr/bin/app5", bin.join("app5").display());
    system.includes = Include::parse(&include).unwrap().expand().unwrap();
    let assembled = system.assemble("/usr/bin/app");
    assert_eq!(
        entry(&assembled, "/usr/bin/app5").unwrap().kind,
        EntryKind::HardLink(ImagePath::new("/usr/bin/app").unwrap())
    );
}

#[test]
fn an_include_follows_directory_links_and_may_replace_a_file_of_the_base() {
    let mut system = System::new(&["/usr/bin/app", "/usr/lib/ld.so"], &[("/lib", "usr/lib")]);
    system.base = Base::named("static").unwrap();
    root_app(&mut system, "/usr/bin/app");
    system.loaded(&["/lib/ld.so"], Some(0), "/lib/ld.so", Rule::Path);
    system.include("/lib/foo", "foo");
    system.include("/etc/services", "mine");
    let assembled = system.assemble("/usr/bin/app");
    assert!(entry(&assembled, "/usr/lib/foo").is_some());
    let services = entry(&assembled, "/etc/services").unwrap();
    assert_eq!(services.origin, Origin::Include);
    assert!(assembled.notices[0].contains("/etc/services"));
}

#[test]
fn an_include_that_would_replace_anything_else_is_an_error_that_names_both() {
    let mut system = System::new(&["/usr/bin/app"], &[]);
    root_app(&mut system, "/usr/bin/app");
    system.include("/usr/bin/app", "other");
    let error = system.try_assemble("/usr/bin/app").unwrap_err().to_string();
    assert!(
        error.contains("from/other") && error.contains("usr/bin/app (from the app)"),
        "{error}"
    );
    system.includes.clear();
    system.include("/data", "one");
    system.include("/data", "two");
    let error = system.try_assemble("/usr/bin/app").unwrap_err().to_string();
    assert!(
        error.contains("from/one") && error.contains("from/two"),
        "{error}"
    );
}

#[test]
fn an_include_with_the_bytes_that_are_there_is_welcome() {
    let mut system = System::new(&["/usr/bin/app"], &[]);
    root_app(&mut system, "/usr/bin/app");
    // The files of the system hold their own path.
    system.include("/usr/bin/app", "/usr/bin/app");
    let assembled = system.assemble("/usr/bin/app");
    assert_eq!(
        entry(&assembled, "/usr/bin/app").unwrap().origin,
        Origin::App
    );
}

#[test]
fn a_library_may_be_included_by_the_name_of_its_link() {
    let mut system = System::new(
        &["/usr/bin/app", "/lib/libz.so.1.2"],
        &[("/lib/libz.so.1", "libz.so.1.2")],
    );
    root_app(&mut system, "/usr/bin/app");
    system.loaded(&["/lib/libz.so.1"], None, "/lib/libz.so.1", Rule::Path);
    system.include("/lib/libz.so.1", "/lib/libz.so.1.2");
    let assembled = system.assemble("/usr/bin/app");
    assert!(matches!(
        entry(&assembled, "/lib/libz.so.1").unwrap().kind,
        EntryKind::Symlink(_)
    ));
    system.includes.clear();
    system.include("/lib/libz.so.1", "other");
    assert!(system.try_assemble("/usr/bin/app").is_err());
}

#[test]
fn stripped_objects_are_smaller_and_failures_are_told() {
    let mut system = System::new(&["/usr/bin/app", "/usr/lib/libx.so"], &[]);
    root_app(&mut system, "/usr/bin/app");
    system.loaded(&["/usr/lib/libx.so"], Some(0), "libx.so", Rule::Cache);
    let app = "/usr/bin/app";
    let app = App {
        path: app.into(),
        trace: trace(&system.sysroot, Path::new(app)).unwrap(),
        kind: AppKind::Elf,
        roots: Vec::new(),
    };
    let strip: StripFunction = |bytes| {
        if bytes.ends_with(b".so") {
            return Err("odd".into());
        }
        Ok(bytes[..3].to_vec())
    };
    let assembled = assemble(&Assembly {
        sysroot: &system.sysroot,
        base: &system.base,
        app: &app,
        closure: &system.closure,
        includes: Vec::new(),
        strip: Some(strip),
    })
    .unwrap();
    let size = |path| match &entry(&assembled, path).unwrap().kind {
        EntryKind::File(content) => content.size(),
        other => panic!("{other:?}"),
    };
    assert_eq!((size("/usr/bin/app"), size("/usr/lib/libx.so")), (3, 16));
    assert!(assembled.notices[0].contains("libx.so is not stripped: odd"));
}

#[test]
fn a_cache_is_planned_only_for_directories_that_the_loader_does_not_search() {
    let mut system = System::new(
        &[
            "/usr/bin/app",
            "/usr/lib/liba.so",
            "/opt/l/libb.so",
            "/opt/l/glibc-hwcaps/x86-64-v3/libb.so",
        ],
        &[("/lib", "usr/lib")],
    );
    root_app(&mut system, "/usr/bin/app");
    system.loader(Flavour::Glibc);
    system.loaded(&["/usr/lib/liba.so"], Some(0), "liba.so", Rule::Cache);
    assert_eq!(
        loader::plan(
            &system.closure,
            &Placement::Kept { why: None },
            &Rootfs::new()
        ),
        Configuration::default()
    );
    system.loaded(&["/opt/l/libb.so"], Some(0), "libb.so", Rule::Cache);
    let variant = "/opt/l/glibc-hwcaps/x86-64-v3/libb.so";
    system.loaded(&[variant], Some(0), "libb.so", Rule::Cache);
    let plan = loader::plan(
        &system.closure,
        &Placement::Kept { why: None },
        &Rootfs::new(),
    );
    assert_eq!(plan.directories, [PathBuf::from("/opt/l")]);
    let (path, libraries) = &plan.caches[0];
    assert_eq!(path, Path::new(DEFAULT_CACHE));
    let found: Vec<_> = libraries
        .iter()
        .map(|library| {
            (
                library.path.to_str().unwrap(),
                library.variant.as_ref().map(|v| v.to_str().unwrap()),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("/usr/lib/liba.so", None),
            ("/opt/l/libb.so", None),
            (variant, Some("x86-64-v3"))
        ]
    );
}

#[test]
fn musl_gets_the_directories_of_the_library_path_before_its_own() {
    let mut system = System::new(
        &["/usr/bin/app", "/opt/l/libb.so", "/etc/ld-musl-x86_64.path"],
        &[],
    );
    root_app(&mut system, "/usr/bin/app");
    system.loader(Flavour::Musl);
    let file = trace(&system.sysroot, Path::new("/etc/ld-musl-x86_64.path")).unwrap();
    system.closure.loader_files.push(file);
    let size =
        |assembled: &Assembled| match &entry(assembled, "/etc/ld-musl-x86_64.path").unwrap().kind {
            EntryKind::File(content) => content.clone(),
            other => panic!("{other:?}"),
        };
    assert!(matches!(
        size(&system.assemble("/usr/bin/app")),
        Content::Host { .. }
    ));
    let rule = Rule::LibraryPath {
        directory: "/opt/l".into(),
    };
    system.loaded(&["/opt/l/libb.so"], Some(0), "libb.so", rule);
    let written = size(&system.assemble("/usr/bin/app"));
    assert_eq!(written, Content::Bytes(b"/opt/l\n/lib\n/usr/lib\n".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_same_app_built_in_another_directory_gives_the_same_tree(
        directories in prop::collection::vec("[a-z]{1,6}(/[a-z]{1,6}){0,3}", 2),
        library in "[a-z]{1,5}(/[a-z]{1,5}){0,2}",
    ) {
        let mut trees = Vec::new();
        for directory in directories {
            // Under /srv no directory is a system's.
            let at = |rest: &str| format!("/srv/{directory}/{rest}");
            let (app, lib) = (at("bin/app"), at(&format!("{library}/lib.so.1")));
            let mut system = System::new(&[&app, &lib], &[(&at(&format!("{library}/lib.so")), "lib.so.1")]);
            for file in [&app, &lib] {
                // Everything here holds its path; the same bytes are asked for.
                std::fs::write(system.root.path().join(&file[1..]), "same").unwrap();
            }
            root_app(&mut system, &app);
            let element = format!("$ORIGIN/../{library}");
            let found = at(&format!("bin/../{library}/lib.so"));
            system.loaded(&[&found], Some(0), "lib.so", origin_of(0, &element));
            let assembled = system.assemble(&app);
            prop_assert!(assembled.notices.is_empty(), "{:?}", assembled.notices);
            trees.push((lines(&assembled), assembled.entrypoint));
        }
        prop_assert_eq!(&trees[0], &trees[1]);
    }
}
