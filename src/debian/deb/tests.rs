#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::fixture::{Package, archive, compressed, ended, entry, header};
use super::*;

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Vec<Vec<u8>>);

impl Sink for Kept {
    fn begin(&mut self, _size: u64) -> io::Result<()> {
        self.0.push(Vec::new());
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.last_mut().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unpack(bytes: &[u8]) -> Result<Deb, DebError> {
    read_deb(bytes, "sample", &mut Discard)
}

fn refusal(bytes: &[u8]) -> String {
    unpack(bytes).unwrap_err().to_string()
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn sample() -> Package {
    Package::new("sample", "1.0-1")
        .directory("./")
        .directory("./usr/")
        .file("./usr/b", "bees")
        .file("./usr/a", vec![7; 200_000])
        .hard_link("./usr/c", "./usr/a")
        .symlink("./usr/d", "../etc/d")
}

/// `sample` with a data archive of which `change` made something else.
fn with_data(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut package = sample();
    change(&mut package.data);
    package.build()
}

#[test]
fn every_compression_gives_the_same_package() {
    let known = unpack(&sample().build()).unwrap();
    assert_eq!(known.members.len(), 5);
    for ending in ["", ".gz", ".xz", ".zst"] {
        let mut kept = Kept::default();
        let bytes = sample().compression(ending).build();
        let deb = read_deb(&bytes[..], "sample", &mut kept).unwrap();
        assert_eq!(deb, known, "{ending}");
        assert_eq!(kept.0, [b"bees".to_vec(), vec![7; 200_000]]);
    }
}

#[test]
fn members_come_sorted_with_the_numbers_of_their_files() {
    let deb = unpack(&sample().build()).unwrap();
    let told: Vec<(String, Option<usize>)> = deb
        .members
        .iter()
        .map(|member| member.path.to_string())
        .zip(deb.files)
        .collect();
    let expected = [
        ("/usr", None),
        ("/usr/a", Some(1)),
        ("/usr/b", Some(0)),
        ("/usr/c", None),
        ("/usr/d", None),
    ];
    assert_eq!(told, expected.map(|(path, file)| (path.to_owned(), file)));
    let MemberKind::File { size, sha256 } = &deb.members[2].kind else {
        panic!("{:?}", deb.members[2]);
    };
    assert_eq!((*size, *sha256), (4, Digest::of(b"bees")));
    assert_eq!(deb.members[3].kind, MemberKind::HardLink(path("/usr/a")));
    assert_eq!(deb.members[4].kind, MemberKind::Symlink("../etc/d".into()));
}

#[test]
fn sums_are_made_where_the_package_has_none() {
    let package = sample()
        .file("./etc/conf", "x")
        .control_file("./conffiles", "/etc/conf\nremove-on-upgrade /etc/gone\n");
    let deb = unpack(&package.build()).unwrap();
    assert_eq!(deb.conffiles, [path("/etc/conf")]);
    // From md5sum(1).
    let line = "fc241ec2669cc09d984b5ce23f71ffca  usr/b\n";
    assert!(deb.md5sums.ends_with(line), "{}", deb.md5sums);
    assert_eq!(deb.md5sums.lines().count(), 2);
    let own = "0123456789abcdef0123456789abcdef  usr/b\n";
    let deb = unpack(&sample().control_file("./md5sums", own).build()).unwrap();
    assert_eq!(deb.md5sums, own);
}

#[test]
fn long_names_of_gnu_and_pax_are_read() {
    let long = format!("./usr/{}/{}", "d".repeat(120), "f".repeat(200));
    let deb = unpack(&sample().file(&long, "x").build()).unwrap();
    assert!(
        deb.members
            .iter()
            .any(|member| member.path == path(&long[1..]))
    );
    let bytes = with_data(|tar| {
        let record = "23 path=./usr/from-pax\n20 comment=whatever\n".as_bytes();
        entry(tar, b'x', "pax", "", 0, record);
        entry(tar, b'0', "./usr/cut", "", 0o644, b"x");
    });
    let deb = unpack(&bytes).unwrap();
    assert!(
        deb.members
            .iter()
            .any(|it| it.path == path("/usr/from-pax"))
    );
}

#[test]
fn what_leads_out_of_the_package_is_refused() {
    for (bad, why) in [
        ("../x", "`..`"),
        ("./usr/../../x", "`..`"),
        ("/etc/passwd", "absolute"),
        ("./usr/d/x", "lies below /usr/d"),
        ("./usr/d/y/z", "lies below /usr/d"),
        ("./usr/b/x", "lies below /usr/b"),
        ("./a\nb", "line feed"),
        ("./usr/b", "twice"),
        ("./usr", "twice"),
        ("", "empty"),
    ] {
        let told = refusal(&sample().file(bad, "x").build());
        assert!(told.contains(why), "{bad:?}: {told}");
        assert!(told.contains("sample"), "{told}");
    }
    let long = format!("./{}", "x".repeat(256));
    assert!(refusal(&sample().file(&long, "x").build()).contains("longer"));
    let pax = with_data(|tar| {
        entry(tar, b'x', "pax", "", 0, b"14 path=./a\0b\n");
        entry(tar, b'0', "./a", "", 0o644, b"x");
    });
    assert!(refusal(&pax).contains("NUL"));
}

#[test]
fn hard_links_lead_to_a_file_that_stands_before_them() {
    for (target, why) in [
        ("./usr/missing", "does not stand before it"),
        ("../etc/shadow", "`..`"),
        ("/etc/shadow", "absolute"),
        ("./usr/d", "no regular file"),
        ("./usr", "no regular file"),
        ("./usr/self", "does not stand before it"),
    ] {
        let told = refusal(&sample().hard_link("./usr/self", target).build());
        assert!(told.contains(why), "{target:?}: {told}");
    }
    let chain = sample().hard_link("./usr/x", "./usr/c").build();
    let last = unpack(&chain).unwrap().members.pop().unwrap();
    assert_eq!(last.kind, MemberKind::HardLink(path("/usr/a")));
}

#[test]
fn devices_pipes_and_sparse_files_are_refused() {
    for (kind, why) in [
        (b'3', "device"),
        (b'4', "device"),
        (b'6', "named pipe"),
        (b'S', "sparse"),
        (b'g', "type 'g'"),
        (b'Z', "type 'Z'"),
    ] {
        let told = refusal(&sample().raw(kind, "./dev/x", "", 0o644, b"").build());
        assert!(told.contains(why), "{told}");
        assert!(told.contains("./dev/x"), "{told}");
    }
    let sparse = with_data(|tar| {
        entry(tar, b'x', "pax", "", 0, b"22 GNU.sparse.major=1\n");
        entry(tar, b'0', "./a", "", 0o644, b"x");
    });
    assert!(refusal(&sparse).contains("sparse"));
    let full = sample().raw(b'2', "./usr/full", "x", 0o777, b"content");
    assert!(refusal(&full.build()).contains("content"));
}

#[test]
fn a_package_cut_anywhere_is_refused() {
    let bytes = sample().compression(".xz").build();
    for end in (0..bytes.len())
        .step_by(97)
        .chain(bytes.len() - 40..bytes.len() - 1)
    {
        assert!(unpack(&bytes[..end]).is_err(), "cut at {end}");
    }
    let told = refusal(&bytes[..bytes.len() / 2]);
    assert!(
        told.contains("ends within the part \"data.tar.xz\""),
        "{told}"
    );
    for ending in [".gz", ".zst", ""] {
        let bytes = sample().compression(ending).build();
        let told = refusal(&bytes[..bytes.len() - 20]);
        assert!(told.contains("ends within the part"), "{ending}: {told}");
    }
}

#[test]
fn parts_come_once_and_in_their_order() {
    let control = compressed(&ended(Vec::new()), ".gz");
    let good: [(&str, &[u8]); 2] = [("debian-binary", b"2.0\n"), ("control.tar.gz", &control)];
    let stanza = {
        let mut tar = Vec::new();
        entry(&mut tar, b'0', "control", "", 0o644, b"Package: x\n");
        compressed(&ended(tar), ".gz")
    };
    let data = compressed(&ended(Vec::new()), ".gz");
    let version = ("debian-binary", &b"2.0\n"[..]);
    let control: (&str, &[u8]) = ("control.tar.gz", &stanza);
    let data: (&str, &[u8]) = ("data.tar.gz", &data);
    assert!(unpack(&archive(&[version, control, data])).is_ok());
    assert!(
        unpack(&archive(&[
            version,
            ("_gpg", b"odd"),
            control,
            ("_x", b""),
            data
        ]))
        .is_ok()
    );
    for (parts, why) in [
        (vec![version, data, control], "control.tar is expected"),
        (vec![control, data], "debian-binary is expected"),
        (vec![version, control, data, data], "the end is expected"),
        (
            vec![version, control, control, data],
            "data.tar is expected",
        ),
        (vec![version, control], "no data.tar"),
        (vec![version], "no control.tar"),
        (vec![], "no debian-binary"),
        (good.to_vec(), "no file `control`"),
        (vec![("debian-binary", &b"3.0\n"[..]), control, data], "3.0"),
        (
            vec![version, ("control.tar.bz2", b""), data],
            "control.tar.bz2",
        ),
    ] {
        let told = refusal(&archive(&parts));
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn what_follows_the_end_is_refused() {
    let mut bytes = sample().build();
    bytes.extend_from_slice(b"rubbish");
    assert!(refusal(&bytes).contains("within the header"));
    let inside = with_data(|tar| {
        *tar = ended(std::mem::take(tar));
        header(tar, b'0', "./late", "", 0o644, 0);
    });
    assert!(refusal(&inside).contains("after the mark of its end"));
    let package = sample();
    let control = compressed(&ended(Vec::new()), "");
    let mut twice = compressed(&ended(package.data.clone()), ".zst");
    twice.extend(compressed(&ended(package.data), ".zst"));
    let mut tar = Vec::new();
    entry(&mut tar, b'0', "control", "", 0o644, b"Package: x\n");
    let told = refusal(&archive(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &[tar, control].concat()),
        ("data.tar.zst", &twice),
    ]));
    assert!(told.contains("bytes follow"), "{told}");
}

#[test]
fn sizes_that_are_wrong_do_no_harm() {
    let bytes = sample().compression("").build();
    for size in ["0", "1", "99", "9999999999", "-1", "+5", "0x10", ""] {
        let mut bad = bytes.clone();
        bad[8 + 48..8 + 58].copy_from_slice(format!("{size:<10}").as_bytes());
        assert!(unpack(&bad).is_err(), "{size}");
    }
    for size in [1_u64 << 32, (1 << 33) - 1] {
        let bytes = with_data(|tar| header(tar, b'0', "./huge", "", 0o644, size));
        assert!(refusal(&bytes).contains("ends within the content"));
        let bytes = with_data(|tar| header(tar, b'L', "./huge", "", 0o644, size));
        assert!(refusal(&bytes).contains("larger than any path"));
    }
}

#[test]
fn a_bomb_is_stopped() {
    let mut package = Package::new("bomb", "1").compression(".zst");
    entry(
        &mut package.data,
        b'0',
        "./zeros",
        "",
        0o644,
        &vec![0; 80 << 20],
    );
    let told = refusal(&package.build());
    assert!(told.contains("no real package has"), "{told}");
}

#[test]
fn a_hundred_thousand_members_are_read() {
    let mut package = Package::new("many", "1").compression(".zst");
    for number in 0..100_000 {
        let name = format!("./usr/{}/{number}", number % 100);
        entry(&mut package.data, b'2', &name, "x", 0o777, b"");
    }
    assert_eq!(unpack(&package.build()).unwrap().members.len(), 100_000);
}

#[test]
fn headers_that_follow_each_other_without_end_are_refused() {
    let bytes = with_data(|tar| {
        for _ in 0..10 {
            entry(tar, b'x', "pax", "", 0, b"");
        }
    });
    assert!(refusal(&bytes).contains("without end"));
}

#[test]
fn a_sink_that_is_full_stops_the_reading() {
    struct Full;
    impl Sink for Full {
        fn begin(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn write(&mut self, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn end(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let told = read_deb(&sample().build()[..], "sample", &mut Full).unwrap_err();
    assert!(matches!(told.fault, DebFault::Write(_)), "{told}");
}

proptest! {
    #[test]
    fn damage_anywhere_is_survived(
        at in 0..60_000_usize,
        value: u8,
        ending in prop_oneof![Just(""), Just(".gz"), Just(".xz"), Just(".zst")],
    ) {
        let mut bytes = sample().compression(ending).build();
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(deb) = unpack(&bytes) {
            for member in &deb.members {
                prop_assert!(member.path.as_bytes().starts_with(b"/"));
            }
            prop_assert!(deb.members.is_sorted_by(|a, b| a.path < b.path));
        }
    }
}
