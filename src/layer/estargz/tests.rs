#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::Read;

use serde_json::Value;

use super::*;
use crate::layer::pack::tests::{Tree, noise, packer};

const ESTARGZ: Compression = Compression::Estargz(6);

/// Finds the table of contents as a runtime does: by the last 51 bytes.
fn toc_of(blob: &[u8]) -> (Vec<u8>, Value) {
    let footer = &blob[blob.len() - 51..];
    assert_eq!(&footer[32..38], b"STARGZ");
    let offset = std::str::from_utf8(&footer[16..32]).unwrap();
    let offset = usize::from_str_radix(offset, 16).unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&blob[offset..])
        .read_to_end(&mut tar)
        .unwrap();
    let mut archive = ::tar::Archive::new(&tar[..]);
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(&*entry.path_bytes(), b"stargz.index.json");
    let mut json = Vec::new();
    entry.read_to_end(&mut json).unwrap();
    let toc = serde_json::from_slice(&json).unwrap();
    (json, toc)
}

/// The content at an entry's offset: exactly one gzip member.
fn member_at(blob: &[u8], entry: &Value) -> Vec<u8> {
    let offset = usize::try_from(entry["offset"].as_u64().unwrap()).unwrap();
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(&blob[offset..])
        .read_to_end(&mut content)
        .unwrap();
    assert_eq!(entry["chunkDigest"], Digest::of(&content).to_string());
    content
}

fn tree() -> Tree {
    Tree::default()
        .with("/bin", EntryKind::Symlink("usr/bin".into()))
        .with("/usr", EntryKind::Directory)
        .bytes("/usr/empty", b"")
        .bytes("/usr/large", &noise(2_500_000, 1))
        .with(
            "/usr/link",
            EntryKind::HardLink(ImagePath::new("/usr/large").unwrap()),
        )
        .bytes("/usr/small", b"small")
        .bytes("/usr/smaller", b"s")
}

#[test]
fn every_file_is_found_by_footer_table_and_offset() {
    let (layer, blob) = tree().pack(ESTARGZ, 2);
    let (json, toc) = toc_of(&blob);
    assert_eq!(layer.annotations[TOC_DIGEST], Digest::of(&json).to_string());
    assert_eq!(
        layer.annotations[UNCOMPRESSED_SIZE],
        layer.tar_size.to_string()
    );
    assert_eq!(toc["version"], 1);
    let entries = toc["entries"].as_array().unwrap();
    let names: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| {
            (
                entry["name"].as_str().unwrap(),
                entry["type"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            (".no.prefetch.landmark", "reg"),
            ("bin", "symlink"),
            ("usr/", "dir"),
            ("usr/empty", "reg"),
            ("usr/large", "reg"),
            ("usr/large", "chunk"),
            ("usr/large", "chunk"),
            ("usr/link", "hardlink"),
            ("usr/small", "reg"),
            ("usr/smaller", "reg"),
        ]
    );
    assert_eq!(member_at(&blob, &entries[0]), [0x0f]);
    assert_eq!(entries[1]["linkName"], "usr/bin");
    assert_eq!(entries[3].get("offset"), None, "nothing to fetch");
    assert_eq!(entries[7]["linkName"], "usr/large");
    assert_eq!(member_at(&blob, &entries[8]), b"small");
    assert_eq!(entries[8]["digest"], entries[8]["chunkDigest"]);
    assert_eq!(entries[8].get("chunkSize"), None);

    let mut large = Vec::new();
    for (at, chunk) in entries[4..7].iter().enumerate() {
        assert_eq!(
            chunk["chunkOffset"].as_u64().unwrap_or(0),
            large.len() as u64
        );
        let content = member_at(&blob, chunk);
        let size = (at < 2).then_some(content.len() as u64);
        assert_eq!(
            chunk["chunkSize"].as_u64(),
            size,
            "the last goes to the end"
        );
        large.extend(content);
    }
    assert!(large == noise(2_500_000, 1));
    assert_eq!(entries[4]["size"], 2_500_000);
    assert_eq!(entries[4]["digest"], Digest::of(&large).to_string());
}

#[test]
fn the_table_begins_a_member_and_so_does_the_footer() {
    let (_, blob) = tree().pack(ESTARGZ, 2);
    let (footer, rest) = (&blob[blob.len() - 51..], &blob[..blob.len() - 51]);
    let mut nothing = Vec::new();
    let mut member = flate2::read::GzDecoder::new(footer);
    member.read_to_end(&mut nothing).unwrap();
    assert!(nothing.is_empty());
    assert_eq!(&member.header().unwrap().extra().unwrap()[..4], b"SG\x16\0");
    let mut tar = Vec::new();
    flate2::read::MultiGzDecoder::new(rest)
        .read_to_end(&mut tar)
        .unwrap();
    assert!(tar.ends_with(&[0; 1024]));
}

#[test]
fn the_footer_is_the_one_of_the_specification() {
    let known = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\x000000000000001234STARGZ\x01\0\0\xff\xff\0\0\0\0\0\0\0\0";
    assert_eq!(footer(0x1234), known);
    assert_eq!(known.len(), 51);
}

#[test]
fn names_that_estargz_cannot_hold_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let packer = packer(ESTARGZ, 1, None);
    for name in [TOC, LANDMARK, PREFETCH_LANDMARK] {
        let error = tree().bytes(name, b"").pack_with(&packer).unwrap_err();
        assert!(matches!(error, PackError::Reserved { .. }), "{error}");
    }
    let latin = std::ffi::OsStr::from_bytes(b"/\xe4");
    let link = tree().with("/x", EntryKind::Symlink(latin.into()));
    let error = link.pack_with(&packer).unwrap_err();
    assert!(matches!(error, PackError::NotUtf8 { .. }), "{error}");
}

#[test]
fn times_are_written_as_rfc_3339_has_them() {
    assert_eq!(rfc3339(0), None);
    for (epoch, text) in [
        (1, "1970-01-01T00:00:01Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(rfc3339(epoch).as_deref(), Some(text));
    }
    assert_eq!(rfc3339(253_402_300_800), None);
    assert_eq!(rfc3339(u64::MAX), None);
}
