#![allow(clippy::unwrap_used)]

use std::io::Write;

use proptest::prelude::*;

use super::parse::parse;
use super::*;

const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const SMALL: &str = "Package: a\nVersion: 1\nArchitecture: all\n";
/// What `xz` makes of [`SMALL`].
const SMALL_XZ: &str = "\
    fd377a585a000004e6d6b4460200210116000000742fe5a30100275061636b6167653a20610a5665\
    7273696f6e3a20310a4172636869746563747572653a20616c6c0a004f11bde1f105eeb200014028\
    d4524ae51fb6f37d010000000004595a";

/// A paragraph with all that each package has.
fn package(name: &str, version: &str, more: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}\
         Filename: pool/{name}.deb\nSize: 10\nSHA256: {SHA256}\n\n"
    )
}

fn names(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|it| it.name.as_str()).collect()
}

fn index(text: &str) -> Index {
    Index::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_package_is_read_with_all_its_fields() {
    let text = "Package: libx\nSource: x (1.0)\nVersion: 1:1.0-2+b1\nInstalled-Size: 12\n\
        Maintainer: N\u{e4}me <a@b>\nArchitecture: amd64\nMulti-Arch: same\nEssential: yes\n\
        Priority: standard\nDEPENDS: c (>= 2),\n d:any | e\nPre-Depends: b\n\
        Provides: libx-abi (= 3), y\nConflicts: z (<< 4)\nBreaks: w\nDescription: x\n  more\n .\n\
        Filename: ./pool/libx_1.0~rc+b1.deb\nSize: 5000000000\n\
        SHA256: E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\n";
    let [candidate] = index(text).get("libx").unwrap().try_into().unwrap();
    let shown =
        |list: &[super::super::Relation]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(candidate.version.to_string(), "1:1.0-2+b1");
    assert_eq!(candidate.architecture, "amd64");
    assert_eq!(candidate.multi_arch, MultiArch::Same);
    assert!(candidate.essential);
    assert_eq!(candidate.priority, Priority::Standard);
    assert_eq!(candidate.source.as_deref(), Some("x (1.0)"));
    let depends: Vec<String> = candidate.depends.iter().map(ToString::to_string).collect();
    assert_eq!(depends, ["b", "c (>= 2)", "d:any | e"]);
    assert_eq!(shown(&candidate.provides), ["libx-abi (= 3)", "y"]);
    assert_eq!(shown(&candidate.conflicts), ["z (<< 4)"]);
    assert_eq!(shown(&candidate.breaks), ["w"]);
    assert_eq!(
        (candidate.installed_size, candidate.size),
        (12, 5_000_000_000)
    );
    assert_eq!(candidate.path, "pool/libx_1.0~rc+b1.deb");
    assert_eq!(candidate.sha256.hex(), SHA256);
}

#[test]
fn all_versions_are_found_in_the_order_of_the_file() {
    let text = [("b", "1"), ("a", "1"), ("b", "3"), ("c", "1"), ("b", "2")];
    let index = index(
        &text
            .map(|(name, version)| package(name, version, ""))
            .concat(),
    );
    let versions: Vec<String> = index
        .get("b")
        .unwrap()
        .iter()
        .map(|it| it.version.to_string())
        .collect();
    assert_eq!(versions, ["1", "3", "2"]);
    assert_eq!(index.names().collect::<Vec<_>>(), ["a", "b", "b", "b", "c"]);
    assert_eq!(index.len(), 5);
    for absent in ["", "0", "aa", "bb", "d", "b\n"] {
        assert!(index.get(absent).unwrap().is_empty(), "{absent:?}");
    }
}

#[test]
fn providers_are_found_by_each_name_that_they_provide() {
    let index = index(
        &[
            package("z", "1", "Provides: mail, x:any (= 1)\n"),
            package("y", "1", "Provides:\n mail (= 2),\n other,,\n"),
            package("mail", "1", ""),
        ]
        .concat(),
    );
    assert_eq!(names(&index.providers("mail").unwrap()), ["y", "z"]);
    assert_eq!(index.provider_names("mail"), ["y", "z"]);
    assert_eq!(names(&index.providers("other").unwrap()), ["y"]);
    assert_eq!(names(&index.providers("x").unwrap()), ["z"]);
    assert!(index.providers("ma").unwrap().is_empty());
    assert!(index.providers("y").unwrap().is_empty());
}

#[test]
fn a_broken_package_is_refused_with_its_line_and_harms_no_other() {
    for (field, value, why) in [
        ("Filename", "../../etc/passwd", "no path"),
        ("Filename", "/etc/passwd", "no path"),
        ("Filename", "http://host/x.deb", "no path"),
        ("Filename", "a//b", "no path"),
        ("Filename", "a/%2e%2E/b", "no path"),
        ("Filename", "a/./b", "no path"),
        ("Filename", "a b", "no path"),
        ("Filename", "a?b", "no path"),
        ("Filename", "", "missing"),
        ("Size", "-1", "invalid digit"),
        ("Size", "", "missing"),
        ("SHA256", "12", "64 hexadecimal"),
        ("Version", "1 2", "no version"),
        ("Multi-Arch", "maybe", "none of"),
        ("Installed-Size", "big", "invalid digit"),
        ("Depends", "a (1)", "before the version"),
        ("Provides", "a (>= 1)", "with = only"),
    ] {
        let good = package("good", "1", "");
        let fields = [
            ("Package", "bad"),
            ("Version", "1"),
            ("Architecture", "all"),
            ("Filename", "a"),
            ("Size", "1"),
            ("SHA256", SHA256),
        ];
        let mut bad: String = fields
            .iter()
            .filter(|(name, _)| *name != field)
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        bad.push_str(&format!("{field}: {value}\n"));
        let index = index(&format!("{good}{bad}"));
        assert_eq!(names(&index.get("good").unwrap()), ["good"]);
        let error = index.get("bad").unwrap_err();
        assert!(
            matches!(&error, IndexError::Field { line: 8, package, field: found, .. } if package == "bad" && *found == field),
            "{error}"
        );
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn an_index_that_is_none_is_refused_with_the_line() {
    let good = package("good", "1", "");
    let error = |text: &str| Index::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error("<html>\n").contains("line 1: \"<html>\" is no field"));
    assert!(
        error(&format!("{good}Package: a\nVersion: 1\n"))
            .contains("line 8 has no field Architecture")
    );
    assert!(
        error(&format!(
            "{good}Package: ../a\nVersion: 1\nArchitecture: all\n"
        ))
        .contains("line 8")
    );
    assert!(
        error(&format!("{good}Package: a\npackage: a\n")).contains("line 9: the field package")
    );
    assert!(error(&format!("{good} more\n")).contains("line 8 starts with a blank"));
    // In the second half, which another thread reads.
    assert!(error(&format!("{}nothing\n", good.repeat(100))).contains("line 701"));
}

#[test]
fn an_empty_index_is_one() {
    for text in ["", "\n", "\n\n \n"] {
        let index = index(text);
        assert!(index.is_empty() && index.get("a").unwrap().is_empty());
        assert!(Index::from_bytes(index.to_bytes()).unwrap().is_empty());
    }
}

#[test]
fn compressed_indices_read_the_same() {
    let text = [package("a", "1", ""), package("b", "1", "Provides: c\n")].concat();
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let digits = |at: usize| u8::from_str_radix(&SMALL_XZ[at..at + 2], 16).unwrap();
    let xz: Vec<u8> = (0..SMALL_XZ.len()).step_by(2).map(digits).collect();
    // Of several members the last tells the size of its own alone.
    let members = [
        gzip(&package("a", "1", "")),
        gzip(""),
        gzip(&package("b", "1", "Provides: c\n")),
    ]
    .concat();
    for (compressed, text) in [
        (&gzip(&text), text.as_str()),
        (&members, text.as_str()),
        (&xz, SMALL),
    ] {
        assert_eq!(
            Index::read(compressed).unwrap().to_bytes(),
            index(text).to_bytes()
        );
        assert_eq!(
            Index::read(text.as_bytes()).unwrap().to_bytes(),
            index(text).to_bytes()
        );
    }
    for whole in [gzip(&text), xz] {
        let cut = whole.get(..whole.len() - 9).unwrap();
        assert!(matches!(
            Index::read(cut),
            Err(IndexError::Compressed { .. })
        ));
        let mut changed = whole.clone();
        let middle = whole.len() / 2;
        changed[middle] ^= 0x55;
        assert!(Index::read(&changed).is_err());
    }
}

#[test]
fn a_kept_index_that_was_changed_is_not_taken() {
    let kept =
        index(&[package("a", "1", ""), package("b", "1", "Provides: c\n")].concat()).to_bytes();
    assert!(Index::from_bytes(kept.as_slice()).is_some());
    for at in 0..kept.len() {
        let mut changed = kept.clone();
        changed[at] ^= 1;
        assert!(Index::from_bytes(changed).is_none(), "byte {at}");
        assert!(Index::from_bytes(&kept[..at]).is_none(), "cut at {at}");
    }
}

proptest! {
    #[test]
    fn the_number_of_threads_changes_nothing(
        packages in prop::collection::vec(("[a-c]{1,2}", "[0-9]", "(Provides: [a-c](, [a-c]){0,2}\n)?", 0..3_usize), 0..20),
        parts in 2..6_usize,
    ) {
        let text: String = packages
            .iter()
            .map(|(name, version, more, blanks)| package(name, version, more) + &"\n".repeat(*blanks))
            .collect();
        let one = parse(text.as_bytes(), 1).unwrap().to_bytes();
        prop_assert_eq!(parse(text.as_bytes(), parts).unwrap().to_bytes(), one.clone());
        let again = Index::from_bytes(one).unwrap();
        for (name, ..) in &packages {
            let expected = packages.iter().filter(|(other, ..)| other == name).count();
            prop_assert_eq!(again.get(name).unwrap().len(), expected);
        }
        for name in ["a", "b", "c"] {
            let provides = |more: &str| more.split([' ', ',', '\n']).any(|it| it == name);
            let expected: usize = packages
                .iter()
                .map(|(.., more, _)| more.split([' ', ',', '\n']).filter(|it| *it == name).count())
                .sum();
            prop_assert_eq!(again.providers(name).unwrap().len(), expected);
            prop_assert_eq!(expected > 0, packages.iter().any(|(.., more, _)| provides(more)));
        }
    }

    #[test]
    fn a_kept_index_of_wrong_numbers_does_no_harm(
        places in prop::collection::vec((12..200_usize, any::<u8>()), 1..4),
    ) {
        let mut kept = index(&[package("a", "1", ""), package("b", "1", "Provides: c\n")].concat()).to_bytes();
        for (place, value) in places {
            if let Some(byte) = kept.get_mut(place) {
                *byte = value;
            }
        }
        // Whoever changes it can make the checksum right.
        let checksum = libdeflater::crc32(&kept[12..]).to_le_bytes();
        kept[8..12].copy_from_slice(&checksum);
        if let Some(index) = Index::from_bytes(kept) {
            for name in ["a", "b", "c"] {
                let _ = (index.get(name), index.providers(name), index.provider_names(name));
            }
            let _ = index.names().take(1_000).count();
        }
    }
}
