//! Other systems: sysroots of objects that were never linked, for every loader and machine.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use distrobuild::elf::cache::{Cache, CacheEntry};
use distrobuild::elf::{Closure, Finding, Flavour, Notice, Resolver, Root, Rule, resolve};
use distrobuild::sysroot::Directory;

use crate::builder::Elf;
use crate::workshop::found;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";
const NODEFLIB: u64 = 0x800;

struct System(tempfile::TempDir);

impl System {
    /// A system with a loader.
    fn new(loader: &str, elf: &Elf) -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        system.put(loader, elf);
        system
    }

    fn glibc() -> Self {
        Self::new(LOADER, &Elf::glibc(40, &["/lib64/", "/usr/lib64/"]))
    }

    fn musl() -> Self {
        Self::new(MUSL, &Elf::musl())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn put(&self, path: &str, elf: &Elf) {
        elf.write(&self.at(path));
    }

    fn text(&self, path: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), bytes).unwrap();
    }

    fn cache(&self, entries: &[(&str, &str)]) {
        let entries: Vec<CacheEntry> = entries
            .iter()
            .map(|(soname, path)| CacheEntry {
                soname: soname.as_bytes().to_vec(),
                path: path.as_bytes().to_vec(),
                flags: 0x0303,
                hwcap: None,
            })
            .collect();
        self.text("/etc/ld.so.cache", &Cache::write(&entries));
    }

    fn resolve(&self) -> Closure {
        self.resolve_with(&[])
    }

    fn resolve_with(&self, library_path: &[&str]) -> Closure {
        let resolver = Resolver {
            library_path: library_path.iter().map(PathBuf::from).collect(),
            ..Resolver::default()
        };
        let roots = [Root::Program {
            path: "/app".into(),
        }];
        resolve(&Directory::new(self.0.path()).unwrap(), &roots, &resolver).unwrap()
    }
}

fn at(closure: &Closure, name: &str) -> Option<String> {
    found(closure, name).map(|path| path.display().to_string())
}

fn rule(closure: &Closure, name: &str) -> Rule {
    closure
        .objects
        .iter()
        .flat_map(|object| &object.requests)
        .find(|request| request.name == name)
        .unwrap()
        .rule
        .clone()
}

#[test]
fn the_directories_are_those_in_the_loader_of_the_system() {
    for (machine, wide, big) in [
        (62, true, false),
        (183, true, false),
        (20, false, true),
        (40, false, false),
    ] {
        let build = |elf: Elf| elf.for_machine(machine, wide, big);
        let system = System::new(
            "/odd/ld.so.1",
            &build(Elf::glibc(40, &["/odd/lib/", "/odd/more/"])),
        );
        system.put(
            "/app",
            &build(Elf::program("/odd/ld.so.1").needs("liba.so")),
        );
        system.put("/odd/more/liba.so", &build(Elf::library("liba.so")));
        system.put("/lib/liba.so", &build(Elf::library("liba.so")));
        let closure = system.resolve();
        assert_eq!(
            at(&closure, "liba.so").as_deref(),
            Some("/odd/more/liba.so")
        );
        assert_eq!(closure.loaders.len(), 1);
        assert_eq!(closure.loaders[0].flavour, Flavour::Glibc);
        assert_eq!(
            closure.loaders[0].directories,
            ["/odd/lib", "/odd/more"].map(PathBuf::from)
        );
        assert_eq!(
            closure.loaders[0].cache.as_deref(),
            Some(Path::new("/etc/ld.so.cache"))
        );
    }
}

#[test]
fn with_a_cache_the_conf_does_not_count() {
    let system = System::glibc();
    system.put(
        "/app",
        &Elf::program(LOADER).needs("liba.so").needs("libb.so"),
    );
    system.put("/opt/one/liba.so", &Elf::library("liba.so"));
    system.put("/opt/two/libb.so", &Elf::library("libb.so"));
    system.text("/etc/ld.so.conf", b"/opt/two\n");
    system.cache(&[("liba.so", "/opt/one/liba.so")]);
    let closure = system.resolve();
    assert_eq!(at(&closure, "liba.so").as_deref(), Some("/opt/one/liba.so"));
    assert_eq!(rule(&closure, "liba.so"), Rule::Cache);
    assert_eq!(closure.missing[0].name, "libb.so");
    assert_eq!(
        closure.missing[0].searched,
        ["/etc/ld.so.cache", "/lib64", "/usr/lib64"]
    );
}

#[test]
fn without_a_cache_the_conf_is_read_as_ldconfig_reads_it() {
    let system = System::glibc();
    system.put(
        "/app",
        &Elf::program(LOADER).needs("liba.so.1").needs("libdev.so"),
    );
    system.put("/opt/two/liba.so.1", &Elf::library("liba.so.1"));
    system.put("/opt/one/liba.so.1.2", &Elf::library("liba.so.1"));
    symlink("liba.so.1.2", system.at("/opt/one/liba.so.1")).unwrap();
    // ldconfig lists this file as libdev.so.1 only.
    system.put("/opt/one/libdev.so", &Elf::library("libdev.so.1"));
    system.text("/etc/ld.so.conf", b"include conf.d/*.conf\n/opt/two\n");
    system.text("/etc/conf.d/x.conf", b"/opt/one # first\n");
    let closure = system.resolve();
    assert_eq!(
        at(&closure, "liba.so.1").as_deref(),
        Some("/opt/one/liba.so.1")
    );
    assert!(matches!(rule(&closure, "liba.so.1"), Rule::Conf { .. }));
    assert_eq!(closure.missing[0].name, "libdev.so");
}

#[test]
fn a_stale_entry_of_the_cache_falls_through_to_the_directories() {
    let system = System::glibc();
    system.put("/app", &Elf::program(LOADER).needs("liba.so"));
    system.put("/usr/lib64/liba.so", &Elf::library("liba.so"));
    system.cache(&[("liba.so", "/opt/gone/liba.so")]);
    let closure = system.resolve();
    assert_eq!(
        at(&closure, "liba.so").as_deref(),
        Some("/usr/lib64/liba.so")
    );
    assert!(matches!(rule(&closure, "liba.so"), Rule::Default { .. }));
}

#[test]
fn a_cache_that_is_none_is_ignored_with_a_warning() {
    let system = System::glibc();
    system.put("/app", &Elf::program(LOADER).needs("liba.so"));
    system.put("/lib64/liba.so", &Elf::library("liba.so"));
    system.text("/etc/ld.so.cache", b"no cache");
    let closure = system.resolve();
    assert!(at(&closure, "liba.so").is_some());
    assert!(matches!(&closure.notices[..], [Notice::Warning(text)] if text.contains("ldconfig")));
}

#[test]
fn nodeflib_refuses_cache_entries_in_the_directories_of_the_system_alone() {
    let system = System::glibc();
    let mut app = Elf::program(LOADER).needs("liba.so").needs("libb.so");
    app.flags_1 = NODEFLIB;
    system.put("/app", &app);
    system.put("/opt/liba.so", &Elf::library("liba.so"));
    system.put("/lib64/libb.so", &Elf::library("libb.so"));
    system.cache(&[("liba.so", "/opt/liba.so"), ("libb.so", "/lib64/libb.so")]);
    let closure = system.resolve();
    assert_eq!(at(&closure, "liba.so").as_deref(), Some("/opt/liba.so"));
    assert_eq!(closure.missing[0].name, "libb.so");
}

#[test]
fn an_object_with_both_paths_has_no_rpath_but_what_is_above_it_still_counts() {
    let system = System::glibc();
    system.put("/app", &Elf::program(LOADER).needs("liba.so").rpath("/r"));
    system.put(
        "/r/liba.so",
        &Elf::library("liba.so")
            .needs("libb.so")
            .rpath("/x")
            .runpath("/u"),
    );
    system.put(
        "/u/libb.so",
        &Elf::library("libb.so").needs("libc1.so").needs("libd.so"),
    );
    system.put("/x/libc1.so", &Elf::library("libc1.so"));
    system.put("/r/libd.so", &Elf::library("libd.so"));
    let closure = system.resolve();
    assert_eq!(at(&closure, "libd.so").as_deref(), Some("/r/libd.so"));
    assert_eq!(closure.missing[0].name, "libc1.so");
}

#[test]
fn variants_for_other_cpus_are_packed_beside_the_baseline_with_what_they_need() {
    let system = System::glibc();
    system.put("/app", &Elf::program(LOADER).needs("liba.so"));
    system.put("/lib64/liba.so", &Elf::library("liba.so"));
    system.put(
        "/lib64/glibc-hwcaps/x86-64-v3/liba.so",
        &Elf::library("liba.so").needs("libfast.so"),
    );
    system.put("/usr/lib64/libfast.so", &Elf::library("libfast.so"));
    // Never reached: another directory with the library comes before.
    system.put(
        "/usr/lib64/glibc-hwcaps/x86-64-v4/liba.so",
        &Elf::library("liba.so"),
    );
    let closure = system.resolve();
    let paths: Vec<String> = closure
        .objects
        .iter()
        .map(|object| object.path.display().to_string())
        .collect();
    assert_eq!(
        paths,
        [
            "/app",
            LOADER,
            "/lib64/liba.so",
            "/lib64/glibc-hwcaps/x86-64-v3/liba.so",
            "/usr/lib64/libfast.so"
        ]
    );
}

#[test]
fn a_variant_without_a_baseline_is_a_missing_library() {
    let system = System::glibc();
    system.put("/app", &Elf::program(LOADER).needs("liba.so"));
    let path = "/lib64/glibc-hwcaps/x86-64-v2/liba.so";
    system.put(path, &Elf::library("liba.so"));
    let closure = system.resolve();
    assert_eq!(closure.missing[0].name, "liba.so");
    assert_eq!(closure.missing[0].unsuitable[0].0, Path::new(path));
    assert!(closure.missing[0].unsuitable[0].1.contains("x86-64-v2"));
}

#[test]
fn the_old_subdirectories_count_up_to_2_36() {
    for (minor, wanted) in [(36, "/lib64/tls/x86_64/liba.so"), (37, "/lib64/liba.so")] {
        let system = System::new(LOADER, &Elf::glibc(minor, &["/lib64/"]));
        system.put("/app", &Elf::program(LOADER).needs("liba.so"));
        system.put("/lib64/tls/x86_64/liba.so", &Elf::library("liba.so"));
        system.put("/lib64/liba.so", &Elf::library("liba.so"));
        assert_eq!(at(&system.resolve(), "liba.so").as_deref(), Some(wanted));
    }
    let system = System::new(LOADER, &Elf::glibc(36, &["/lib64/"]));
    system.put("/app", &Elf::program(LOADER).needs("liba.so"));
    system.put("/lib64/haswell/liba.so", &Elf::library("liba.so"));
    system.put("/lib64/liba.so", &Elf::library("liba.so"));
    let closure = system.resolve();
    assert_eq!(closure.objects.len(), 4);
    assert_eq!(closure.objects[2].path, Path::new("/lib64/liba.so"));
}

#[test]
fn the_name_services_are_modules_before_2_34() {
    for (versions, wanted) in [
        (&["GLIBC_2.2.5", "GLIBC_2.31"][..], true),
        (&["GLIBC_2.34"], false),
    ] {
        let system = System::glibc();
        system.put(
            "/app",
            &Elf::program(LOADER)
                .needs("libc.so.6")
                .imports("getaddrinfo"),
        );
        system.put(
            "/lib64/libc.so.6",
            &Elf::library("libc.so.6").defines(versions),
        );
        system.put(
            "/lib64/libnss_files.so.2",
            &Elf::library("libnss_files.so.2"),
        );
        system.put(
            "/lib64/libnss_dns.so.2",
            &Elf::library("libnss_dns.so.2").needs("libresolv.so.2"),
        );
        system.put("/lib64/libresolv.so.2", &Elf::library("libresolv.so.2"));
        let closure = system.resolve();
        assert_eq!(at(&closure, "libresolv.so.2").is_some(), wanted);
        assert_eq!(at(&closure, "libnss_files.so.2").is_some(), wanted);
        assert!(closure.notices.is_empty());
    }
}

#[test]
fn libraries_that_the_system_preloads_give_a_warning() {
    let system = System::glibc();
    system.put("/app", &Elf::program(LOADER));
    system.text("/etc/ld.so.preload", b"/lib64/libsnoop.so\n");
    system.put("/lib64/libsnoop.so", &Elf::library("libsnoop.so"));
    let closure = system.resolve();
    assert_eq!(closure.objects.len(), 2);
    assert!(matches!(&closure.notices[..], [Notice::Warning(text)] if text.contains("preload")));
}

#[test]
fn no_link_leads_out_of_the_system() {
    let system = System::glibc();
    let outside = tempfile::tempdir().unwrap();
    Elf::library("liba.so").write(&outside.path().join("liba.so"));
    system.put(
        "/app",
        &Elf::program(LOADER).needs("liba.so").needs("libb.so"),
    );
    symlink(outside.path().join("liba.so"), system.at("/lib64/liba.so")).unwrap();
    symlink(
        "../../../../../../../../opt/libb.so",
        system.at("/lib64/libb.so"),
    )
    .unwrap();
    system.put("/opt/libb.so", &Elf::library("libb.so"));
    let closure = system.resolve();
    assert_eq!(closure.missing[0].name, "liba.so");
    assert_eq!(at(&closure, "libb.so").as_deref(), Some("/lib64/libb.so"));
}

#[test]
fn musl_inherits_runpath_and_searches_its_own_directories_last() {
    let system = System::musl();
    system.put("/app", &Elf::program(MUSL).needs("liba.so").runpath("/r"));
    system.put(
        "/r/liba.so",
        &Elf::library("liba.so").needs("libb.so").needs("libd.so"),
    );
    system.put("/r/libb.so", &Elf::library("libb.so"));
    system.put("/usr/local/lib/libd.so", &Elf::library("libd.so"));
    let closure = system.resolve();
    assert_eq!(at(&closure, "libb.so").as_deref(), Some("/r/libb.so"));
    assert_eq!(
        rule(&closure, "libd.so"),
        Rule::Default {
            directory: "/usr/local/lib".into()
        }
    );
    assert_eq!(closure.loaders[0].flavour, Flavour::Musl);
    assert!(closure.loader_files.is_empty());
}

#[test]
fn musl_takes_the_library_path_before_all_else() {
    let system = System::musl();
    system.put("/app", &Elf::program(MUSL).needs("liba.so").rpath("/r"));
    system.put("/r/liba.so", &Elf::library("liba.so"));
    system.put("/env/liba.so", &Elf::library("liba.so"));
    let closure = system.resolve_with(&["/env"]);
    assert_eq!(at(&closure, "liba.so").as_deref(), Some("/env/liba.so"));
}

#[test]
fn the_path_file_of_musl_replaces_its_directories_and_goes_into_the_image() {
    let system = System::musl();
    system.put(
        "/app",
        &Elf::program(MUSL).needs("liba.so").needs("libb.so"),
    );
    system.put("/opt/liba.so", &Elf::library("liba.so"));
    system.put("/lib/libb.so", &Elf::library("libb.so"));
    system.text("/etc/ld-musl-x86_64.path", b"/opt\n/opt/two");
    let closure = system.resolve();
    assert_eq!(
        rule(&closure, "liba.so"),
        Rule::MuslPath {
            directory: "/opt".into()
        }
    );
    assert_eq!(closure.missing[0].name, "libb.so");
    assert_eq!(
        closure.loader_files[0].target.as_path(),
        Path::new("/etc/ld-musl-x86_64.path")
    );
}

#[test]
fn musl_is_its_own_libc_whatever_the_suffix() {
    let system = System::musl();
    let mut app = Elf::program(MUSL);
    for name in [
        "libc.so.6",
        "libm.so.6",
        "libpthread.so.0",
        "libc.musl-x86_64.so.1",
    ] {
        app = app.needs(name);
        system.put(&format!("/lib/{name}"), &Elf::library(name));
    }
    system.put("/app", &app);
    let closure = system.resolve();
    assert_eq!(closure.objects.len(), 2);
    assert_eq!(rule(&closure, "libm.so.6"), Rule::MuslItself);
}

#[test]
fn musl_does_not_match_sonames_but_the_names_that_were_searched() {
    let system = System::musl();
    let app = Elf::program(MUSL)
        .needs("/opt/liba.so")
        .needs("libreal.so")
        .needs("liba.so");
    system.put("/app", &app);
    system.put("/opt/liba.so", &Elf::library("libreal.so"));
    let closure = system.resolve();
    let missing: Vec<_> = closure
        .missing
        .iter()
        .map(|missing| &missing.name)
        .collect();
    assert_eq!(missing, ["libreal.so", "liba.so"]);
}

#[test]
fn musl_does_not_pass_over_a_file_of_another_class_or_machine() {
    for (machine, wide) in [(3, false), (183, true)] {
        let system = System::musl();
        system.put("/app", &Elf::program(MUSL).needs("liba.so"));
        system.put(
            "/lib/liba.so",
            &Elf::library("liba.so").for_machine(machine, wide, false),
        );
        system.put("/usr/lib/liba.so", &Elf::library("liba.so"));
        let closure = system.resolve();
        assert_eq!(closure.rejected[0].path, Path::new("/lib/liba.so"));
        assert_eq!(at(&closure, "liba.so"), None);
    }
}

#[test]
fn musl_ignores_a_path_with_an_unknown_token() {
    let system = System::musl();
    system.put(
        "/app",
        &Elf::program(MUSL).needs("liba.so").runpath("/r:/$LIB"),
    );
    system.put("/r/liba.so", &Elf::library("liba.so"));
    assert_eq!(system.resolve().missing[0].name, "liba.so");
}

#[test]
fn musl_gives_up_at_an_error_that_is_no_absence() {
    let system = System::musl();
    system.put("/app", &Elf::program(MUSL).needs("liba.so").runpath("/r"));
    std::fs::create_dir_all(system.at("/r")).unwrap();
    symlink("liba.so", system.at("/r/liba.so")).unwrap();
    system.put("/lib/liba.so", &Elf::library("liba.so"));
    let closure = system.resolve();
    assert_eq!(closure.rejected[0].path, Path::new("/r/liba.so"));
}

#[test]
fn the_content_of_the_interpreter_decides_whose_rules_count() {
    let system = System::musl();
    std::fs::create_dir_all(system.at("/lib64")).unwrap();
    symlink("/lib/ld-musl-x86_64.so.1", system.at(LOADER)).unwrap();
    system.put(
        "/app",
        &Elf::program(LOADER)
            .needs("libc.so.6")
            .needs("liba.so")
            .runpath("/r"),
    );
    system.put("/r/liba.so", &Elf::library("liba.so").needs("libb.so"));
    system.put("/r/libb.so", &Elf::library("libb.so"));
    let closure = system.resolve();
    assert!(closure.missing.is_empty());
    assert_eq!(closure.loaders[0].flavour, Flavour::Musl);
    assert_eq!(closure.objects[1].trace.links.len(), 1);
}

#[test]
fn an_interpreter_for_another_machine_is_refused() {
    let system = System::new(
        LOADER,
        &Elf::glibc(40, &["/lib64/"]).for_machine(183, true, false),
    );
    system.put("/app", &Elf::program(LOADER));
    let closure = system.resolve();
    assert_eq!(closure.rejected[0].path, Path::new(LOADER));
    assert_eq!(closure.objects[1].requests[0].finding, Finding::Interpreter);
}

#[test]
fn musl_throws_a_glibc_away_that_comes_under_another_name() {
    let system = System::musl();
    system.put("/app", &Elf::program(MUSL).needs("/opt/other.so"));
    // Both symbols are only imported here: that is no libc, so it is mapped.
    let other = Elf::library("libc.so.6")
        .defines(&["GLIBC_2.34"])
        .imports("__libc_start_main")
        .imports("stdin");
    system.put("/opt/other.so", &other);
    let closure = system.resolve();
    assert_eq!(
        at(&closure, "/opt/other.so").as_deref(),
        Some("/opt/other.so")
    );
    assert_eq!(rule(&closure, "/opt/other.so"), Rule::Path);
    let mut libc = other;
    libc.defined = true;
    system.put("/opt/other.so", &libc);
    assert_eq!(rule(&system.resolve(), "/opt/other.so"), Rule::MuslItself);
}

#[test]
fn a_broken_root_is_an_error_that_names_it() {
    let system = System::glibc();
    let host = Directory::new(system.0.path()).unwrap();
    let error = |root: Root| {
        resolve(&host, &[root], &Resolver::default())
            .unwrap_err()
            .to_string()
    };
    let program = |path: &str| Root::Program { path: path.into() };
    system.text("/text", b"#!/bin/sh\n");
    system.put("/lib64/liba.so", &Elf::library("liba.so"));
    for (root, wanted) in [
        (program("/gone"), "cannot find"),
        (program("/lib64"), "cannot open"),
        (program("/text"), "not an ELF"),
        (program("/lib64/liba.so"), "shared library"),
    ] {
        let Root::Program { path } = &root else {
            panic!()
        };
        let shown = system.at(path.to_str().unwrap()).canonicalize();
        let text = error(root);
        assert!(text.contains(wanted), "{text}");
        if let Ok(shown) = shown {
            assert!(text.contains(shown.to_str().unwrap()), "{text}");
        }
    }
}
