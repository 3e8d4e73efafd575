#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::rootfs::{EntryKind, Rootfs};
use crate::sysroot::{Assembled, Directory};

const SUM: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "ffffffffffffffffffffffffffffffff";
const LIBC: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// A system in a directory, and what an image has of it.
struct System {
    root: TempDir,
    taken: BTreeMap<ImagePath, Taken>,
    image: Rootfs,
}

impl System {
    fn new(files: &[(&str, &str)]) -> Self {
        let system = Self {
            root: tempfile::tempdir().unwrap(),
            taken: BTreeMap::new(),
            image: Rootfs::new(),
        };
        for (name, content) in files {
            system.write(name, content.as_bytes());
        }
        system
    }

    /// A Debian with merged `/usr` whose one package owns libc and two more files.
    fn debian() -> Self {
        let list = format!("/.\n{}\n/usr/bin/ldd\n/etc/ld.conf\n", &LIBC[4..]);
        let sums = format!(
            "{SUM}  {}\n{OTHER}  usr/bin/ldd\nshort  usr/bin/ldd\n{SUM}  usr/share/doc/libc6/copyright\n",
            &LIBC[5..]
        );
        let system = Self::new(&[
            (
                "/var/lib/dpkg/status",
                "Package: libc6\nStatus: install ok installed\nPriority: optional\n\
                 Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\n\
                 Architecture: amd64\nSource: glibc\nVersion: 2.36-9+deb12u14\n\
                 Depends: libgcc-s1,\n libcrypt1 (>= 1:4.4)\nConffiles:\n /etc/ld.conf abc\n\
                 Description: GNU C Library\n Version: not this one\n",
            ),
            ("/var/lib/dpkg/info/libc6:amd64.list", &list),
            ("/var/lib/dpkg/info/libc6:amd64.md5sums", &sums),
            ("/usr/share/doc/libc6/copyright", "free\n"),
            (LIBC, "libc"),
            ("/usr/bin/ldd", "ldd"),
            (
                "/usr/lib/os-release",
                "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
                 VERSION_ID=\"12\"\nVERSION=\"12.13 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
            ),
            ("/etc/debian_version", "12.13\n"),
        ]);
        system.link("/lib", "usr/lib");
        system.link("/etc/os-release", "../usr/lib/os-release");
        system
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name.strip_prefix('/').unwrap())
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), content).unwrap();
    }

    fn link(&self, name: &str, target: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        symlink(target, self.at(name)).unwrap();
    }

    /// The image has this file, where it is in the system.
    fn take(mut self, name: &str, origin: Origin, is_unchanged: bool) -> Self {
        let taken = Taken {
            place: path(name),
            origin,
            is_unchanged,
        };
        self.taken.insert(path(name), taken);
        self
    }

    /// The base of the image has this file.
    fn base(mut self, name: &str, content: &str) -> Self {
        let content = Content::Bytes(content.as_bytes().to_vec().into());
        let entry = Entry::file(content, 0o644, Origin::Base);
        self.image.insert(path(name), entry).unwrap();
        self
    }

    fn records(&self) -> Vec<Record> {
        let sysroot = Directory::new(self.root.path()).unwrap();
        let paths: Vec<ImagePath> = self.taken.keys().cloned().collect();
        let owners = crate::packages::owners(&sysroot, &paths);
        records(&sysroot, &Assembled(&self.image), &self.taken, &owners)
    }

    /// The records by their paths.
    fn texts(&self) -> BTreeMap<String, String> {
        let text = |record: &Record| match &record.entry.kind {
            EntryKind::File(Content::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            EntryKind::File(Content::Host { path, .. }) => fs::read_to_string(path).unwrap(),
            other => panic!("{other:?}"),
        };
        let records = self.records();
        let told = records.iter().map(|r| (r.path.to_string(), text(r)));
        told.collect()
    }
}

const RECORD: &str = "/var/lib/dpkg/status.d/libc6";
const SUMS: &str = "/var/lib/dpkg/status.d/libc6.md5sums";
const COPYRIGHT: &str = "/usr/share/doc/libc6/copyright";

#[test]
fn a_record_of_dpkg_has_the_fields_that_scanners_read_and_no_others() {
    let texts = System::debian().take(LIBC, Origin::Library, true).texts();
    assert_eq!(
        texts[RECORD],
        "Package: libc6\nSource: glibc\nVersion: 2.36-9+deb12u14\nArchitecture: amd64\n\
         Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\n\
         Depends: libgcc-s1, libcrypt1 (>= 1:4.4)\n"
    );
}

#[test]
fn sums_are_those_of_the_files_in_the_image_as_it_spells_them() {
    let debian = System::debian().take(LIBC, Origin::Library, true);
    let texts = debian.texts();
    let libc = &LIBC[1..];
    let copyright = format!("{SUM}  usr/share/doc/libc6/copyright\n");
    // The list has it below /lib, which is a link.
    assert_eq!(texts[SUMS], format!("{SUM}  {libc}\n{copyright}"));
    let texts = debian.take("/usr/bin/ldd", Origin::App, true).texts();
    let both = format!("{OTHER}  usr/bin/ldd\n{SUM}  {libc}\n{copyright}");
    assert_eq!(texts[SUMS], both);
}

#[test]
fn a_file_that_was_changed_has_no_sum_and_its_package_a_record() {
    let debian = System::debian().take(LIBC, Origin::Library, false);
    let texts = debian.texts();
    assert_eq!(
        texts[SUMS],
        format!("{SUM}  usr/share/doc/libc6/copyright\n")
    );
    assert!(texts.contains_key(RECORD));
    fs::remove_file(debian.at(COPYRIGHT)).unwrap();
    assert!(!debian.texts().contains_key(SUMS));
}

#[test]
fn configuration_files_are_recorded_as_dpkg_has_them_and_belong_to_their_package() {
    let debian = System::debian().take("/etc/ld.conf", Origin::Runtime, true);
    let status = fs::read_to_string(debian.at("/var/lib/dpkg/status")).unwrap();
    let listed = format!(" /etc/ld.conf {SUM} obsolete\n /etc/other.conf {OTHER}\n");
    let status = status.replace(" /etc/ld.conf abc\n", &listed);
    debian.write("/var/lib/dpkg/status", status.as_bytes());
    debian.write("/etc/ld.conf", b"as the administrator has it");
    let texts = debian.texts();
    let record = &texts[RECORD];
    let end = format!("libcrypt1 (>= 1:4.4)\nConffiles:\n /etc/ld.conf {SUM}\n");
    assert!(record.ends_with(&end), "{record}");
    // In the image the record alone tells whose it is.
    let image = System::new(&[(RECORD, record), (SUMS, &texts[SUMS]), ("/etc/ld.conf", "")]);
    let sysroot = Directory::new(image.root.path()).unwrap();
    let owners = crate::packages::owners(&sysroot, &[path("/etc/ld.conf")]);
    assert_eq!(owners.packages[0].package.name, "libc6");
    assert_eq!(owners.owners.get(&path("/etc/ld.conf")), Some(&0));
    let changed = System::debian().take("/etc/ld.conf", Origin::Runtime, false);
    assert!(!changed.texts()[RECORD].contains("Conffiles"));
}

#[test]
fn a_package_without_sums_or_copyright_has_a_record_all_the_same() {
    let debian = System::debian().take(LIBC, Origin::Library, true);
    fs::remove_file(debian.at("/var/lib/dpkg/info/libc6:amd64.md5sums")).unwrap();
    fs::remove_file(debian.at(COPYRIGHT)).unwrap();
    let names: Vec<String> = debian.texts().into_keys().collect();
    assert_eq!(names, ["/etc/debian_version", "/etc/os-release", RECORD]);
}

#[test]
fn a_diverted_file_has_the_sum_that_its_package_gives_under_the_first_name() {
    let away = "/usr/bin/ldd.distrib";
    let debian = System::debian().take(away, Origin::Library, true);
    debian.write(away, b"ldd");
    debian.write(
        "/var/lib/dpkg/diversions",
        b"/usr/bin/ldd\n/usr/bin/ldd.distrib\nother\n",
    );
    assert!(debian.texts()[SUMS].starts_with(&format!("{OTHER}  usr/bin/ldd.distrib\n")));
    // What the other package put in its place is not libc6's.
    let debian = debian.take("/usr/bin/ldd", Origin::Library, true);
    assert!(!debian.texts()[SUMS].contains("bin/ldd\n"));
}

#[test]
fn copyright_files_are_found_through_links_between_packages_but_no_others() {
    let debian = System::debian().take(LIBC, Origin::Library, true);
    fs::remove_dir_all(debian.at("/usr/share/doc/libc6")).unwrap();
    debian.write("/usr/share/doc/glibc-base/copyright", b"shared\n");
    debian.link("/usr/share/doc/libc6", "glibc-base");
    let texts = debian.texts();
    assert_eq!(texts[COPYRIGHT], "shared\n");
    // The package's own list does not have it: it is another's.
    assert!(!texts[SUMS].contains("copyright"));
    debian.write("/etc/shadow", b"secret\n");
    for target in ["/etc", "../../../etc", "../../../../../../etc", "nowhere"] {
        fs::remove_file(debian.at("/usr/share/doc/libc6")).unwrap();
        debian.link("/usr/share/doc/libc6", target);
        let _ = fs::remove_file(debian.at("/etc/copyright"));
        debian.link("/etc/copyright", "shadow");
        assert!(!debian.texts().contains_key(COPYRIGHT), "{target}");
    }
}

#[test]
fn a_copyright_file_that_the_image_has_stays() {
    let debian = System::debian()
        .take(LIBC, Origin::Library, true)
        .base(COPYRIGHT, "of the base\n");
    let texts = debian.texts();
    assert!(!texts.contains_key(COPYRIGHT));
    assert!(!texts[SUMS].contains("copyright"));
}

#[test]
fn an_oversized_copyright_file_is_left_out() {
    let debian = System::debian().take(LIBC, Origin::Library, true);
    let file = fs::File::create(debian.at(COPYRIGHT)).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(!debian.texts().contains_key(COPYRIGHT));
}

#[test]
fn two_architectures_of_a_package_share_its_record() {
    let other = "/usr/lib/i386-linux-gnu/libc.so.6";
    let debian =
        System::debian()
            .take(LIBC, Origin::Library, true)
            .take(other, Origin::Library, true);
    let status = fs::read_to_string(debian.at("/var/lib/dpkg/status")).unwrap();
    let both = format!(
        "{status}\nPackage: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 2.36-8\n"
    );
    debian.write("/var/lib/dpkg/status", both.as_bytes());
    debian.write("/var/lib/dpkg/info/libc6:i386.list", other.as_bytes());
    let sum = format!("{OTHER}  {}\n", &other[1..]);
    debian.write("/var/lib/dpkg/info/libc6:i386.md5sums", sum.as_bytes());
    let texts = debian.texts();
    assert!(texts[RECORD].contains("amd64"));
    let second = "\n\nPackage: libc6\nVersion: 2.36-8\nArchitecture: i386\n";
    assert!(texts[RECORD].ends_with(second), "{}", texts[RECORD]);
    assert!(texts[SUMS].contains(&sum) && texts[SUMS].contains(&LIBC[1..]));
}

#[test]
fn what_is_no_longer_installed_is_not_recorded() {
    for state in ["deinstall ok config-files", "purge ok not-installed"] {
        let debian = System::debian().take("/etc/ld.conf", Origin::Library, true);
        let status = fs::read_to_string(debian.at("/var/lib/dpkg/status")).unwrap();
        let status = status.replace("install ok installed", state);
        debian.write("/var/lib/dpkg/status", status.as_bytes());
        assert_eq!(debian.texts(), BTreeMap::new(), "{state}");
    }
}

#[test]
fn a_base_that_tells_of_the_package_stays_as_it_is() {
    let same = "Package: libc6\nVersion: 2.36-9+deb12u14\nArchitecture: amd64\n";
    let debian = System::debian().take(LIBC, Origin::Library, true);
    assert_eq!(debian.base(RECORD, same).texts(), BTreeMap::new());
    let older = "Package: libc6\nVersion: 2.36-9+deb12u13\nArchitecture: amd64\n";
    let debian = System::debian().take(LIBC, Origin::Library, true);
    let texts = debian.base(RECORD, older).texts();
    // Files of both are in the image: a scanner has to see both versions.
    assert!(texts["/var/lib/dpkg/status.d/libc6:amd64"].contains("deb12u14"));
    assert!(texts.contains_key("/var/lib/dpkg/status.d/libc6:amd64.md5sums"));
    assert!(!texts.contains_key(RECORD));
}

#[test]
fn a_record_stands_in_the_lowest_layer_of_its_package_but_never_in_the_base() {
    for (origins, layer) in [
        ([Origin::App, Origin::Runtime], Origin::Runtime),
        ([Origin::Include, Origin::Library], Origin::Library),
        ([Origin::Base, Origin::App], Origin::Library),
    ] {
        let debian =
            System::debian()
                .take(LIBC, origins[0], true)
                .take("/usr/bin/ldd", origins[1], true);
        for record in debian.records() {
            assert_eq!(record.entry.origin, layer, "{}", record.path);
        }
    }
}

/// A system with a package of this name: that of the file does not matter.
fn named(name: &str) -> System {
    let system = System::debian().take("/usr/bin/tool", Origin::Library, true);
    let paragraph = format!("Package: {name}\nVersion: 1\nArchitecture: amd64\n");
    system.write("/var/lib/dpkg/status.d/tool", paragraph.as_bytes());
    let sums = format!("{SUM}  usr/bin/tool\n");
    system.write("/var/lib/dpkg/status.d/tool.md5sums", sums.as_bytes());
    system
}

#[test]
fn a_name_that_is_no_packages_name_never_becomes_a_path() {
    let texts = named("g++-12").texts();
    assert!(texts.contains_key("/var/lib/dpkg/status.d/g++-12"));
    assert!(texts.contains_key("/var/lib/dpkg/status.d/g++-12.md5sums"));
    for name in [
        "..",
        ".",
        "-x",
        ".hidden",
        "x.md5sums",
        "x y",
        "x:amd64",
        "ü",
        "a/b",
        "/etc/passwd",
        "a/../b",
        "../../../etc/cron.d/x",
        "",
    ] {
        assert_eq!(named(name).texts(), BTreeMap::new(), "{name}");
    }
}

const ALPINE: &str = "C:Q1abc=\nP:musl\nV:1.2.5-r1\nA:x86_64\nS:1\nI:2\nT:the library\nU:https://musl\n\
L:MIT\no:musl\nm:Someone <a@b>\nt:17\nc:abc\nD:so:x\np:so:libc.musl-x86_64.so.1=1\n\
F:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1sum=\nR:libc.musl-x86_64.so.1\nZ:Q1link=\n\
F:usr\nF:usr/bin\nR:ldd\na:0:0:755\nZ:Q1ldd=\n\n\
C:Q1z=\nP:zlib\nV:1.3-r0\nA:x86_64\nF:lib\nR:libz.so.1\nZ:Q1libz=\n\n";

fn alpine(database: &str) -> System {
    System::new(&[
        (database, ALPINE),
        (
            "/etc/os-release",
            "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.22.1\n",
        ),
    ])
}

#[test]
fn a_database_of_apk_has_the_packages_and_files_of_the_image() {
    let loader = "/lib/ld-musl-x86_64.so.1";
    let alpine = alpine("/lib/apk/db/installed")
        .take(loader, Origin::Library, true)
        .take("/usr/bin/ldd", Origin::App, false);
    let expected = "C:Q1abc=\nP:musl\nV:1.2.5-r1\nA:x86_64\nL:MIT\no:musl\nm:Someone <a@b>\n\
D:so:x\np:so:libc.musl-x86_64.so.1=1\nF:lib\nR:ld-musl-x86_64.so.1\nZ:Q1sum=\nF:usr/bin\nR:ldd\n\n";
    assert_eq!(alpine.texts()["/lib/apk/db/installed"], expected);
    assert!(alpine.texts()["/etc/os-release"].contains("ID=alpine\nVERSION_ID=3.22.1\n"));
    // It changes with every package of the image: lower layers stay.
    let records = alpine.records();
    let database = records
        .iter()
        .find(|r| r.path.as_path().ends_with("installed"));
    assert_eq!(database.unwrap().entry.origin, Origin::App);
}

#[test]
fn a_database_of_apk_stands_where_the_system_has_it() {
    let alpine =
        alpine("/usr/lib/apk/db/installed").take("/usr/lib/libz.so.1", Origin::Library, true);
    alpine.link("/lib", "usr/lib");
    let texts = alpine.texts();
    let text = &texts["/usr/lib/apk/db/installed"];
    assert!(
        text.contains("F:usr/lib\nR:libz.so.1\nZ:Q1libz=\n"),
        "{text}"
    );
    assert_eq!(texts.len(), 2, "{texts:?}");
}

#[test]
fn a_database_of_apk_in_the_base_is_kept_and_added_to_once() {
    let base = "P:busybox\nV:1\nA:x86_64\n\n";
    let database = "/lib/apk/db/installed";
    let alpine = alpine(database)
        .take("/lib/libz.so.1", Origin::Library, true)
        .base(database, base);
    let text = alpine.texts().remove(database).unwrap();
    assert!(
        text.starts_with(base) && text.contains("P:zlib\n"),
        "{text}"
    );
    let again = self::alpine(database)
        .take("/lib/libz.so.1", Origin::Library, true)
        .base(database, &text);
    assert!(!again.texts().contains_key(database));
}

const OS_RELEASE: &str = "/etc/os-release";
const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n";

#[test]
fn the_system_is_named_where_the_base_names_none() {
    let debian = || System::debian().take(LIBC, Origin::Library, true);
    for texts in [
        debian().texts(),
        debian().base(OS_RELEASE, "ID=distrobuild\n").texts(),
        debian()
            .base("/usr/lib/os-release", "ID=distrobuild\n")
            .texts(),
    ] {
        assert_eq!(texts[OS_RELEASE], DEBIAN);
        // The point release is a matter of base-files, which the image does not have.
        assert_eq!(texts["/etc/debian_version"], "12\n");
    }
    let mine = debian().base(OS_RELEASE, "ID=\"mine\"\n").texts();
    assert!(!mine.contains_key(OS_RELEASE) && !mine.contains_key("/etc/debian_version"));
    let same = debian().base(OS_RELEASE, "ID='debian'\n").texts();
    assert!(!same.contains_key(OS_RELEASE));
    assert_eq!(same["/etc/debian_version"], "12\n");
}

#[test]
fn nothing_is_named_where_no_package_is_recorded() {
    let debian = System::debian().take("/usr/local/bin/mine", Origin::App, true);
    assert_eq!(debian.records(), []);
}

#[test]
fn releases_are_told_as_trivy_looks_for_them() {
    let named = |release: &str| {
        let system = System::debian().take(LIBC, Origin::Library, true);
        fs::remove_file(system.at(OS_RELEASE)).unwrap();
        system.write(OS_RELEASE, release.as_bytes());
        system
    };
    let ubuntu = named(
        "PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\n\
         VERSION=\"24.04.3 LTS (Noble Numbat)\"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n",
    )
    .texts();
    assert_eq!(
        ubuntu["/etc/lsb-release"],
        "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=24.04\nDISTRIB_CODENAME=noble\n"
    );
    assert!(!ubuntu[OS_RELEASE].contains("24.04.3"), "{ubuntu:?}");
    let sid = named("NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=forky\nID=debian\n");
    sid.write("/etc/debian_version", b"forky/sid\n");
    assert_eq!(sid.texts()["/etc/debian_version"], "forky/sid\n");
    let hostile = named("ID=debian\nVERSION_ID=\"12$(reboot)\"\nNAME=\"\x1b[2J\"\n").texts();
    assert_eq!(hostile[OS_RELEASE], "PRETTY_NAME=debian\nID=debian\n");
}

#[test]
fn what_else_a_system_has_does_not_change_a_record() {
    let one = System::debian().take(LIBC, Origin::Library, true);
    let other = System::debian().take(LIBC, Origin::Library, true);
    other.write("/var/lib/dpkg/info/bash.list", b"/bin/bash\n");
    other.write("/etc/debian_version", b"12.14\n");
    let status = fs::read_to_string(other.at("/var/lib/dpkg/status")).unwrap();
    let more = format!("Package: bash\nVersion: 5\nArchitecture: amd64\n\n{status}");
    other.write("/var/lib/dpkg/status", more.as_bytes());
    let release = fs::read_to_string(other.at("/usr/lib/os-release")).unwrap();
    let release = release.replace("12.13", "12.14");
    other.write("/usr/lib/os-release", release.as_bytes());
    assert_eq!(one.texts(), other.texts());
}

/// Whether a record of this path may be made, whatever the database says.
fn is_expected(path: &Path) -> bool {
    let parents = ["/var/lib/dpkg/status.d", "/lib/apk/db", "/etc"];
    parents
        .iter()
        .any(|parent| path.parent() == Some(Path::new(parent)))
        || (path.starts_with("/usr/share/doc/") && path.components().count() == 6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_databases_give_well_formed_records_or_none(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        field in "(Package|Version|Maintainer|Depends): ?[ -~\\t\\r/.]{0,20}",
    ) {
        let spoil = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            for (at, value) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            bytes
        };
        let system = System::debian()
            .take(LIBC, Origin::Library, true)
            .take("/lib/ld-musl-x86_64.so.1", Origin::Library, true);
        for name in [
            "/var/lib/dpkg/status",
            "/var/lib/dpkg/info/libc6:amd64.md5sums",
            "/usr/lib/os-release",
        ] {
            let text = fs::read_to_string(system.at(name)).unwrap();
            let text = text.replacen("Architecture", &format!("{field}\nArchitecture"), 1);
            system.write(name, &spoil(&text));
        }
        system.write("/usr/lib/apk/db/installed", &spoil(ALPINE));
        for record in system.records() {
            prop_assert!(is_expected(record.path.as_path()) || record.path.as_path().starts_with("/usr/lib/apk"), "{}", record.path);
            let EntryKind::File(Content::Bytes(text)) = &record.entry.kind else { continue };
            let lines = text.split(|byte| *byte == b'\n');
            let is_clean = |line: &[u8]| !line.iter().any(u8::is_ascii_control);
            prop_assert!(lines.clone().all(is_clean), "{:?}", String::from_utf8_lossy(text));
            if record.path.as_path().extension().is_some_and(|end| end == "md5sums") {
                for line in lines.filter(|line| !line.is_empty()) {
                    prop_assert!(line[..32].iter().all(u8::is_ascii_hexdigit) && &line[32..34] == b"  ");
                }
            }
        }
    }
}
