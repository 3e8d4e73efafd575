#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::debian::deb::fixture::Package;
use crate::debian::{Alternative, Omission, Pool};
use crate::elf::cache::Cache;
use crate::layer::Digest;

/// What is laid out in a test.
struct Case {
    packages: Vec<(String, String, Unpacked)>,
    recipe: Recipe,
    foundation: Rootfs,
}

impl Case {
    fn of(packages: &[(&str, Package)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pool = Pool::open(None).unwrap();
        let mut unpacked: Vec<(String, String, Unpacked)> = packages
            .iter()
            .map(|(name, package)| {
                let bytes = package.build();
                let deb = directory.path().join("x.deb");
                std::fs::write(&deb, &bytes).unwrap();
                let unpacked = pool.get(Digest::of(&bytes), &deb, name).unwrap();
                ((*name).to_owned(), "1.0".to_owned(), unpacked)
            })
            .collect();
        unpacked.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            packages: unpacked,
            recipe: recipe(),
            foundation: Rootfs::new(),
        }
    }

    fn omit(mut self, paths: &[&str], keep: &[&str]) -> Self {
        let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        self.recipe.omissions.push(Omission {
            paths: owned(paths),
            keep: owned(keep),
            because: "nobody reads it".to_owned(),
        });
        self
    }

    fn alternative(mut self, link: &str, target: &str) -> Self {
        self.recipe.alternatives.push(Alternative {
            link: link.to_owned(),
            target: target.to_owned(),
            because: "it is looked for there".to_owned(),
        });
        self
    }

    fn result(&self) -> Result<Arranged, ArrangeError> {
        let packages: Vec<Laid<'_>> = self
            .packages
            .iter()
            .map(|(name, version, unpacked)| Laid {
                name,
                version,
                unpacked,
            })
            .collect();
        arrange(&Arrangement {
            packages: &packages,
            recipe: &self.recipe,
            architecture: Architecture::Amd64,
            foundation: &self.foundation,
        })
    }

    fn arranged(&self) -> Arranged {
        self.result().unwrap()
    }

    fn error(&self) -> String {
        self.result().unwrap_err().to_string()
    }
}

fn recipe() -> Recipe {
    Recipe {
        reference: "debian:bookworm/cc".parse().unwrap(),
        description: "a test".to_owned(),
        packages: Vec::new(),
        unneeded: Vec::new(),
        exclusions: Vec::new(),
        omissions: Vec::new(),
        alternatives: Vec::new(),
        archives: Vec::new(),
        architectures: Vec::new(),
        env: Vec::new(),
        user: String::new(),
        distroless: Vec::new(),
        not_as_distroless: Vec::new(),
    }
}

fn package(name: &str) -> Package {
    Package::new(name, "1.0").file(&format!("./usr/share/doc/{name}/copyright"), "free")
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn kind<'a>(arranged: &'a Arranged, at: &str) -> Option<&'a EntryKind> {
    arranged.rootfs.get(&path(at)).map(|entry| &entry.kind)
}

fn says(arranged: &Arranged, at: &str) -> String {
    match kind(arranged, at) {
        Some(EntryKind::Symlink(target)) => target.display().to_string(),
        other => panic!("{at}: {other:?}"),
    }
}

fn bytes(arranged: &Arranged, at: &str) -> Vec<u8> {
    match kind(arranged, at) {
        Some(EntryKind::File(content)) => read(content, "test").unwrap(),
        other => panic!("{at}: {other:?}"),
    }
}

fn text(arranged: &Arranged, at: &str) -> String {
    String::from_utf8(bytes(arranged, at)).unwrap()
}

#[test]
fn whatever_a_package_spells_it_lands_in_usr() {
    let arranged = Case::of(&[
        (
            "a",
            package("a")
                .file("./lib/a/one", "1")
                .program("./bin/one", "x"),
        ),
        (
            "b",
            package("b")
                .file("./usr/lib/a/two", "2")
                .symlink("./lib64/ld.so", "/lib/a/one")
                .symlink("./lib/a/three", "../../usr/lib/a/two")
                .symlink("./bin", "usr/bin"),
        ),
    ])
    .arranged();
    for (alias, real) in [
        ("/bin", "usr/bin"),
        ("/lib", "usr/lib"),
        ("/lib64", "usr/lib64"),
    ] {
        assert_eq!(says(&arranged, alias), real);
    }
    assert_eq!(kind(&arranged, "/sbin"), None);
    let follow = |at: &str| arranged.rootfs.follow(Path::new(at));
    assert_eq!(follow("/lib64/ld.so"), Some(path("/usr/lib/a/one")));
    assert_eq!(follow("/lib/a/three"), Some(path("/usr/lib/a/two")));
    assert_eq!(follow("/bin/one"), Some(path("/usr/bin/one")));
    assert!(
        arranged
            .rootfs
            .iter()
            .all(|(_, entry)| entry.origin == Origin::Base)
    );
}

#[test]
fn one_file_under_both_spellings_is_one_file_and_two_files_are_a_conflict() {
    let both = package("a").file("./lib/x", "1");
    assert!(
        Case::of(&[("a", both.clone().file("./usr/lib/x", "1"))])
            .result()
            .is_ok()
    );
    let told = Case::of(&[("a", both.clone().file("./usr/lib/x", "2"))]).error();
    assert!(
        told.contains("/usr/lib/x comes from a and from a"),
        "{told}"
    );
    let told = Case::of(&[("a", both), ("b", package("b").file("./usr/lib/x", "2"))]).error();
    assert!(
        told.contains("/usr/lib/x comes from a and from b"),
        "{told}"
    );
}

#[test]
fn what_is_omitted_takes_the_directories_along_that_held_nothing_else() {
    let arranged = Case::of(&[(
        "a",
        package("a")
            .directory("./usr/share/man")
            .file("./usr/share/man/man1/a.1", "how to")
            .file("./usr/share/doc/a/NEWS", "new")
            .directory("./usr/share/doc/empty")
            .directory("./srv"),
    )])
    .omit(&["/usr/share/man/**"], &[])
    .omit(&["/usr/share/doc/**"], &["/usr/share/doc/*/NEWS"])
    .arranged();
    assert_eq!(kind(&arranged, "/usr/share/man"), None);
    assert_eq!(kind(&arranged, "/usr/share/doc/empty"), None);
    assert_eq!(text(&arranged, "/usr/share/doc/a/NEWS"), "new");
    assert_eq!(kind(&arranged, "/srv"), Some(&EntryKind::Directory));
}

#[test]
fn copyright_files_come_whatever_is_omitted_and_however_they_are_reached() {
    let arranged = Case::of(&[
        (
            "gcc",
            package("gcc").file("./usr/share/doc/gcc/README", "x"),
        ),
        (
            "gomp",
            Package::new("gomp", "1.0").symlink("./usr/share/doc/gomp", "gcc"),
        ),
        (
            "lost",
            Package::new("lost", "1.0").symlink("./usr/share/doc/lost", "elsewhere"),
        ),
    ])
    .omit(&["/usr/share/doc/**"], &[])
    .arranged();
    let follow = |at: &str| arranged.rootfs.follow(Path::new(at));
    let copyright = Some(path("/usr/share/doc/gcc/copyright"));
    assert_eq!(follow("/usr/share/doc/gomp/copyright"), copyright);
    assert_eq!(follow("/usr/share/doc/gcc/copyright"), copyright);
    assert_eq!(kind(&arranged, "/usr/share/doc/gcc/README"), None);
    assert_eq!(kind(&arranged, "/usr/share/doc/lost"), None);
    let notice = &arranged.notices[0];
    assert!(notice.contains("lost has no copyright file"), "{notice}");
    assert_eq!(arranged.notices.len(), 1);
}

#[test]
fn a_path_below_a_link_of_another_package_lands_where_it_leads() {
    let arranged = Case::of(&[
        (
            "a",
            package("a")
                .symlink("./usr/share/x", "../lib/y")
                .directory("./usr/lib/y"),
        ),
        (
            "b",
            package("b")
                .directory("./usr/share/x")
                .file("./usr/share/x/f", "f"),
        ),
    ])
    .arranged();
    assert_eq!(text(&arranged, "/usr/lib/y/f"), "f");
    assert_eq!(says(&arranged, "/usr/share/x"), "../lib/y");
    let sums = text(&arranged, "/var/lib/dpkg/status.d/b.md5sums");
    assert!(sums.contains("  usr/share/x/f\n"), "{sums}");
    let looped = Case::of(&[
        ("a", package("a").symlink("./x", "y").symlink("./y", "x")),
        ("b", package("b").file("./x/f", "f")),
    ]);
    assert!(looped.error().contains("too many symbolic links"));
    let outside = Case::of(&[
        ("a", package("a").symlink("./x", "../../../../tmp/out")),
        ("b", package("b").file("./x/f", "f")),
    ]);
    assert_eq!(text(&outside.arranged(), "/tmp/out/f"), "f");
}

#[test]
fn the_foundation_wins_and_its_files_are_not_summed() {
    let mut case = Case::of(&[(
        "a",
        package("a")
            .file("./etc/issue", "Debian")
            .file("./etc/other", "x")
            .directory("./var/run")
            .file("./var/run/pid", "1"),
    )]);
    let own = Entry::file(Content::Bytes(b"ours".into()), 0o600, Origin::Base);
    case.foundation.insert(path("/etc/issue"), own).unwrap();
    let link = Entry::symlink("/run", Origin::Base);
    case.foundation.insert(path("/var/run"), link).unwrap();
    let arranged = case.arranged();
    assert_eq!(text(&arranged, "/etc/issue"), "ours");
    assert_eq!(text(&arranged, "/run/pid"), "1");
    let sums = text(&arranged, "/var/lib/dpkg/status.d/a.md5sums");
    assert!(!sums.contains("etc/issue"), "{sums}");
    assert!(sums.contains("  etc/other\n"), "{sums}");
    let directory = Entry::directory(0o755, Origin::Base);
    case.foundation.insert(path("/bin"), directory).unwrap();
    assert!(case.error().contains("/bin"));
}

#[test]
fn the_status_is_the_stanza_and_the_sums_are_those_of_files_that_are_there() {
    let arranged = Case::of(&[(
        "a",
        package("a")
            .file("./lib/kept", "1")
            .file("./lib/omitted", "2")
            .hard_link("./lib/same", "./lib/kept"),
    )])
    .omit(&["/usr/lib/omitted"], &[])
    .arranged();
    assert_eq!(
        text(&arranged, "/var/lib/dpkg/status.d/a"),
        "Package: a\nVersion: 1.0\nArchitecture: amd64\nDescription: a test\n"
    );
    let sums = text(&arranged, "/var/lib/dpkg/status.d/a.md5sums");
    let names: Vec<&str> = sums
        .lines()
        .map(|line| line.split_once("  ").unwrap().1)
        .collect();
    assert_eq!(names, ["lib/kept", "usr/share/doc/a/copyright"]);
}

#[test]
fn configuration_files_that_are_there_stand_in_the_status_with_their_sums() {
    let package = |name: &str| {
        let conffiles = "/etc/omitted\n/etc/ours\n/etc/there\n";
        package(name)
            .control_file("./conffiles", conffiles)
            .file("./etc/there", "abc")
            .file("./etc/ours", "theirs")
            .file("./etc/omitted", "x")
    };
    let mut case = Case::of(&[("a", package("a"))]).omit(&["/etc/omitted"], &[]);
    let own = Entry::file(Content::Bytes(b"ours".into()), 0o644, Origin::Base);
    case.foundation.insert(path("/etc/ours"), own).unwrap();
    let arranged = case.arranged();
    // From md5sum(1).
    assert!(text(&arranged, "/var/lib/dpkg/status.d/a").ends_with(
        "\nDescription: a test\nConffiles:\n /etc/there 900150983cd24fb0d6963f7d28e17f72\n"
    ));
}

#[test]
fn a_package_that_is_not_what_the_index_says_is_refused() {
    let mut wrong = Case::of(&[("a", package("b"))]);
    assert!(
        wrong.error().contains("Package is \"b\""),
        "{}",
        wrong.error()
    );
    wrong.packages[0].0 = "../b".to_owned();
    assert!(
        wrong.error().contains("no package name"),
        "{}",
        wrong.error()
    );
    let mut wrong = Case::of(&[("a", package("a"))]);
    wrong.packages[0].1 = "1.1".to_owned();
    assert!(
        wrong.error().contains("Version is \"1.0\""),
        "{}",
        wrong.error()
    );
    for (change, why) in [
        (
            "Package: a\nVersion: 1.0\nArchitecture: i386\n",
            "Architecture is \"i386\"",
        ),
        ("Package: a\nVersion: 1.0\n", "Architecture is missing"),
        (
            "Package: a\nVersion: 1.0\nArchitecture: all\n\nPackage: x\nVersion: 1\n",
            "more than one paragraph",
        ),
    ] {
        let mut wrong = Case::of(&[("a", package("a"))]);
        wrong.packages[0].2.control = change.to_owned();
        assert!(wrong.error().contains(why), "{}", wrong.error());
    }
}

#[test]
fn setuid_bits_go_with_a_notice_and_those_of_directories_stay() {
    let arranged = Case::of(&[(
        "a",
        package("a")
            .raw(b'0', "./usr/bin/su", "", 0o4755, b"x")
            .raw(b'5', "./var/mail", "", 0o2775, b""),
    )])
    .arranged();
    let mode = |at: &str| arranged.rootfs.get(&path(at)).unwrap().mode;
    assert_eq!(mode("/usr/bin/su"), 0o755);
    assert_eq!(mode("/var/mail"), 0o2775);
    assert!(
        arranged.notices[0].contains("/usr/bin/su of a"),
        "{:?}",
        arranged.notices
    );
}

#[test]
fn hard_links_are_kept_among_what_is_left() {
    let case = Case::of(&[(
        "a",
        package("a")
            .file("./usr/m", "x")
            .hard_link("./usr/a", "./usr/m")
            .hard_link("./usr/z", "./usr/m"),
    )]);
    let arranged = case.arranged();
    assert_eq!(text(&arranged, "/usr/a"), "x");
    for other in ["/usr/m", "/usr/z"] {
        assert_eq!(
            kind(&arranged, other),
            Some(&EntryKind::HardLink(path("/usr/a")))
        );
    }
    let arranged = case.omit(&["/usr/a"], &[]).arranged();
    assert_eq!(text(&arranged, "/usr/m"), "x");
    assert_eq!(
        kind(&arranged, "/usr/z"),
        Some(&EntryKind::HardLink(path("/usr/m")))
    );
}

/// A PEM file with a sequence of one number: enough of a certificate for who does not parse it.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQc=\n-----END CERTIFICATE-----\n";

#[test]
fn the_bundle_is_the_certificates_behind_each_other_and_these_go() {
    let arranged = Case::of(&[(
        "ca-certificates",
        package("ca-certificates")
            .directory("./usr/share/ca-certificates/mozilla")
            .file(
                "./usr/share/ca-certificates/mozilla/B.crt",
                format!("B\n{PEM}"),
            )
            .file("./usr/share/ca-certificates/mozilla/A.crt", PEM.trim_end()),
    )])
    .arranged();
    assert_eq!(
        text(&arranged, "/etc/ssl/certs/ca-certificates.crt"),
        format!("{PEM}B\n{PEM}")
    );
    assert_eq!(kind(&arranged, "/usr/share/ca-certificates"), None);
    assert_eq!(kind(&arranged, "/etc/ssl/certs/java/cacerts"), None);
    for (bad, why) in [
        ("", "no BEGIN"),
        ("-----BEGIN CERTIFICATE-----\nMAMCAQc=\n", "no END"),
        (&PEM.replace("MAM", "!!!"), "no base64"),
        (&PEM.replace("MAMC", "AAMC"), "something else"),
        (&format!("{PEM}{PEM}"), "more than one"),
    ] {
        let told = Case::of(&[(
            "a",
            package("a").file("./usr/share/ca-certificates/x.crt", bad),
        )])
        .error();
        assert!(told.contains(why) && told.contains("x.crt"), "{told}");
    }
}

#[test]
fn java_finds_its_trust_store_where_it_looks_for_it() {
    let jre = package("jre").symlink(
        "./usr/lib/jvm/17/lib/security/cacerts",
        "/etc/ssl/certs/java/cacerts",
    );
    let authorities = package("ca-certificates")
        .file("./usr/share/ca-certificates/mozilla/The Root, (1).crt", PEM);
    let arranged = Case::of(&[("jre", jre.clone()), ("ca-certificates", authorities)]).arranged();
    let store = bytes(&arranged, "/etc/ssl/certs/java/cacerts");
    let mut expected = b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01\0\0\0\x02".to_vec();
    expected.extend(b"\0\x18debian:the_root__=1=.pem\0\0\0\0\0\0\0\0\0\x05X.509");
    expected.extend(b"\0\0\0\x05\x30\x03\x02\x01\x07");
    assert_eq!(store[..store.len() - 20], expected);
    // sha1sum(1) of the password in UTF-16, the whitener and what stands before.
    let digest: String = store[store.len() - 20..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(digest, "743cc7f03e2e2565f28d7f4ebfdacc01475a369f");
    let without = Case::of(&[("jre", jre)]).arranged();
    assert!(
        without.notices[0].contains("cacerts"),
        "{:?}",
        without.notices
    );
}

#[test]
fn alternatives_lead_to_the_last_match_and_never_replace_a_file() {
    let arranged = Case::of(&[(
        "a",
        package("a")
            .program("./usr/lib/jvm/java-11-amd64/bin/java", "11")
            .program("./usr/lib/jvm/java-17-amd64/bin/java", "17")
            .program("./usr/bin/own", "own"),
    )])
    .alternative("/usr/bin/java", "/usr/lib/jvm/java-*-{arch}/bin/java")
    .alternative("/bin/own", "/usr/lib/jvm/java-*-{arch}/bin/java")
    .alternative("/usr/bin/none", "/usr/lib/missing")
    .alternative("/usr/bin/nothing", "/usr/lib/missing-*")
    .alternative("/usr/bin/plain", "/bin/own")
    .arranged();
    assert_eq!(
        says(&arranged, "/usr/bin/java"),
        "/usr/lib/jvm/java-17-amd64/bin/java"
    );
    assert_eq!(text(&arranged, "/usr/bin/own"), "own");
    assert_eq!(says(&arranged, "/usr/bin/plain"), "/usr/bin/own");
    assert_eq!(kind(&arranged, "/usr/bin/none"), None);
    assert_eq!(kind(&arranged, "/usr/bin/nothing"), None);
    let case = Case::of(&[("a", package("a"))]).alternative("/usr/bin/x", "/usr/[");
    assert!(
        case.error().contains("debian:bookworm/cc"),
        "{}",
        case.error()
    );
}

/// A shared library with this soname.
fn library(soname: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("x.so");
    let status = Command::new("cc")
        .args(["-shared", "-nostdlib", "-x", "c", "/dev/null"])
        .arg(format!("-Wl,-soname,{soname}"))
        .arg("-o")
        .arg(&output)
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(output).unwrap()
}

#[test]
fn the_loader_finds_libraries_through_the_cache() {
    let triplet = "./usr/lib/x86_64-linux-gnu";
    let libx = library("libx.so.1");
    let extra = package("extra")
        .file("./etc/ld.so.conf.d/extra.conf", "/opt/extra\n")
        .file("./opt/extra/libx.so.1.9", &libx)
        .file("./opt/extra/notes.txt", "x")
        .file("./opt/extra/libtext.so", "not ELF");
    let libc = package("libc")
        .file(&format!("{triplet}/libc.so.6"), library("libc.so.6"))
        .file(&format!("{triplet}/libx.so.1.2"), &libx)
        .symlink(&format!("{triplet}/libx.so"), "libx.so.1.2")
        .file(
            &format!("{triplet}/glibc-hwcaps/x86-64-v3/libx.so.1.2"),
            &libx,
        );
    let arranged = Case::of(&[("extra", extra.clone()), ("libc", libc)]).arranged();
    let cache = Cache::parse(&bytes(&arranged, "/etc/ld.so.cache")).unwrap();
    let told: Vec<(String, Option<String>)> = cache
        .entries()
        .iter()
        .map(|entry| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(&entry.path), entry.hwcap.as_deref().map(text))
        })
        .collect();
    let dir = "/lib/x86_64-linux-gnu";
    let expected = [
        (
            format!("{dir}/glibc-hwcaps/x86-64-v3/libx.so.1.2"),
            Some("x86-64-v3".to_owned()),
        ),
        ("/opt/extra/libx.so.1".to_owned(), None),
        (format!("{dir}/libx.so.1"), None),
        (format!("{dir}/libc.so.6"), None),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        says(&arranged, "/usr/lib/x86_64-linux-gnu/libx.so.1"),
        "libx.so.1.2"
    );
    assert_eq!(says(&arranged, "/opt/extra/libx.so.1"), "libx.so.1.9");
    let without = Case::of(&[("extra", extra)]).arranged();
    assert_eq!(kind(&without, "/etc/ld.so.cache"), None);
    assert_eq!(kind(&without, "/opt/extra/libx.so.1"), None);
}

#[test]
fn a_soname_that_leads_elsewhere_makes_no_link() {
    let triplet = "./usr/lib/x86_64-linux-gnu";
    let libc = package("libc")
        .file(&format!("{triplet}/libc.so.6"), library("libc.so.6"))
        .file(
            &format!("{triplet}/libx.so"),
            library("../../../etc/passwd"),
        )
        .file(&format!("{triplet}/liby.so"), library(".."));
    let arranged = Case::of(&[("libc", libc)]).arranged();
    assert_eq!(kind(&arranged, "/etc/passwd"), None);
    let cache = Cache::parse(&bytes(&arranged, "/etc/ld.so.cache")).unwrap();
    assert!(
        cache
            .entries()
            .iter()
            .all(|entry| !entry.soname.starts_with(b".."))
    );
}

#[test]
fn shells_package_managers_and_coreutils_are_found() {
    let arranged = Case::of(&[(
        "a",
        package("a")
            .program("./bin/dash", "x")
            .symlink("./bin/sh", "dash")
            .symlink("./usr/bin/innocent", "dash")
            .symlink("./usr/bin/vi", "/opt/busybox")
            .program("./usr/bin/apt-get", "x")
            .program("./usr/local/bin/[", "x")
            .program("./usr/sbin/fine", "x")
            .program("./usr/lib/hidden/zsh", "x")
            .file(
                "./usr/share/bash-completion/completions/sh",
                "not executable",
            )
            .file("./usr/lib/python3/cat", "x"),
    )])
    .arranged();
    let found: Vec<(String, &str)> = forbidden(&arranged.rootfs)
        .into_iter()
        .map(|(path, what)| (path.to_string(), what))
        .collect();
    let expected = [
        ("/usr/bin/apt-get", "a package manager"),
        ("/usr/bin/dash", "a shell"),
        ("/usr/bin/innocent", "a shell"),
        ("/usr/bin/sh", "a shell"),
        ("/usr/bin/vi", "a shell"),
        ("/usr/lib/hidden/zsh", "a shell"),
        ("/usr/local/bin/[", "a program of coreutils"),
    ];
    assert_eq!(found, expected.map(|(path, what)| (path.to_owned(), what)));
}

/// A few members below few names, so that packages meet.
fn members() -> impl Strategy<Value = Vec<(u8, String, String)>> {
    let path = "\\./(lib|usr/lib|usr|a|b)(/[abc]){1,2}";
    prop::collection::vec((0..4_u8, path, "(\\.\\./){0,2}(lib|a|b/c|/usr)"), 0..8)
}

proptest! {
    #[test]
    fn any_packages_are_laid_out_whole_or_refused(one in members(), other in members()) {
        let build = |name: &str, members: &[(u8, String, String)]| {
            let mut package = package(name);
            for (kind, path, target) in members {
                package = match kind {
                    0 => package.directory(path),
                    1 => package.symlink(path, target),
                    2 => package.file(path, "x"),
                    _ => package.file(path, "y"),
                };
            }
            let bytes = package.build();
            let mut sink = crate::debian::Discard;
            crate::debian::read_deb(&bytes[..], name, &mut sink).ok().map(|_| package)
        };
        let (Some(one), Some(other)) = (build("a", &one), build("b", &other)) else {
            return Ok(());
        };
        let case = Case::of(&[("a", one), ("b", other)]).omit(&["/usr/lib/a/**", "/b/a"], &[]);
        if let Ok(arranged) = case.result() {
            let again = case.arranged();
            prop_assert!(arranged.rootfs.iter().eq(again.rootfs.iter()));
            for (path, entry) in arranged.rootfs.iter() {
                prop_assert_eq!(&arranged.rootfs.canonical(path).unwrap(), path);
                prop_assert_eq!(entry.mode & 0o4000, 0);
                if let EntryKind::HardLink(target) = &entry.kind {
                    prop_assert!(target < path);
                }
            }
            for name in ["a", "b"] {
                let status = path(&format!("/var/lib/dpkg/status.d/{name}"));
                prop_assert!(arranged.rootfs.get(&status).is_some());
            }
        }
    }
}
