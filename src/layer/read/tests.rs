#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::Write;

use ::tar::{EntryType, Header};

use super::*;

const TAR: MediaType = MediaType::ImageLayer;

/// The entries of an uncompressed tar.
pub(in crate::layer) fn entries_of(tar: &[u8]) -> Result<Vec<LayerEntry>, ReadError> {
    let mut entries = Vec::new();
    read_layer(tar, &TAR, &mut |entry, _| {
        entries.push(entry.clone());
        Ok(())
    })?;
    Ok(entries)
}

fn block(name: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_size(size);
    header.set_cksum();
    header
}

fn with_content(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
    let mut blocks = block(name, kind, content.len() as u64).as_bytes().to_vec();
    blocks.extend_from_slice(content);
    blocks.resize(blocks.len().next_multiple_of(512), 0);
    blocks
}

fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

#[test]
fn whiteouts_and_opaque_markers_name_what_they_hide() {
    let tar = ended(&[
        with_content("./etc/.wh.passwd", EntryType::Regular, b""),
        with_content("etc/ssl/.wh..wh..opq", EntryType::Regular, b""),
        with_content(".wh..wh.plnk", EntryType::Directory, b""),
        with_content("/etc/hosts", EntryType::Regular, b"x"),
    ]);
    let seen: Vec<(String, LayerEntryKind)> = entries_of(&tar)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.path.to_string(), entry.kind))
        .collect();
    assert_eq!(
        seen,
        [
            ("/etc/passwd".to_owned(), LayerEntryKind::Whiteout),
            ("/etc/ssl".to_owned(), LayerEntryKind::Opaque),
            ("/.wh..wh.plnk".to_owned(), LayerEntryKind::Other),
            ("/etc/hosts".to_owned(), LayerEntryKind::File),
        ]
    );
}

#[test]
fn a_name_that_leads_outside_is_an_error() {
    for bad in ["../etc/passwd", "usr/../../etc/passwd", "/.."] {
        let tar = ended(&[with_content(bad, EntryType::Regular, b"x")]);
        assert!(matches!(entries_of(&tar), Err(ReadError::Path(_))), "{bad}");
    }
    let mut link = block("link", EntryType::Link, 0);
    link.set_link_name_literal("../../etc/shadow").unwrap();
    link.set_cksum();
    let tar = ended(&[link.as_bytes().to_vec()]);
    assert!(matches!(entries_of(&tar), Err(ReadError::Path(_))));
    let tar = ended(&[with_content(".wh...", EntryType::Regular, b"")]);
    assert!(matches!(entries_of(&tar), Err(ReadError::Path(_))));
}

#[test]
fn long_names_of_gnu_and_pax_are_read() {
    let long = "n/".repeat(200);
    let pax = format!("{} path={long}\n", long.len() + 10);
    let tar = ended(&[
        with_content(
            "././@LongLink",
            EntryType::GNULongName,
            format!("{long}\0").as_bytes(),
        ),
        with_content("short", EntryType::Regular, b"abc"),
        with_content("PaxHeaders/x", EntryType::XHeader, pax.as_bytes()),
        with_content("short", EntryType::Directory, b""),
    ]);
    let entries = entries_of(&tar).unwrap();
    let path = format!("/{}", long.trim_end_matches('/'));
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry.path.to_string() == path));
    assert_eq!(
        (entries[0].uid, entries[0].gid, entries[0].mode),
        (1, 2, 0o644)
    );
}

#[test]
fn a_slash_makes_a_directory_only_before_ustar() {
    let mut old = block("old/", EntryType::Regular, 0);
    old.as_mut_bytes()[156] = 0;
    old.set_cksum();
    let tar = ended(&[
        old.as_bytes().to_vec(),
        with_content("file/", EntryType::Regular, b"content"),
        with_content("next", EntryType::Regular, b""),
    ]);
    let kinds: Vec<LayerEntryKind> = entries_of(&tar)
        .unwrap()
        .iter()
        .map(|entry| entry.kind)
        .collect();
    use LayerEntryKind::{Directory, File};
    assert_eq!(kinds, [Directory, File, File]);
}

#[test]
fn an_extended_header_cannot_fill_the_memory() {
    for kind in [
        EntryType::XHeader,
        EntryType::GNULongName,
        EntryType::XGlobalHeader,
    ] {
        let header = block("x", kind, 1 << 40);
        let error = entries_of(header.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("extended header of"), "{error}");
    }
}

#[test]
fn malformed_pax_records_are_left_out() {
    for bad in [
        "",
        "x",
        "5",
        "99999999999999999999 path=a\n",
        "0 path=a\n",
        "9 path=a",
        "-1 a=b\n",
    ] {
        let mut extended = vec![with_content("p", EntryType::XHeader, bad.as_bytes())];
        extended.push(with_content("real", EntryType::Regular, b""));
        let entries = entries_of(&ended(&extended)).unwrap();
        assert_eq!(entries[0].path.to_string(), "/real", "{bad:?}");
    }
}

#[test]
fn a_size_of_pax_overrides_that_of_the_header() {
    let mut small = block("file", EntryType::Regular, 0);
    small.set_cksum();
    let tar = ended(&[
        with_content("p", EntryType::XHeader, b"10 size=5\n"),
        small.as_bytes().to_vec(),
        {
            let mut content = b"hello".to_vec();
            content.resize(512, 0);
            content
        },
        with_content("next", EntryType::Regular, b""),
    ]);
    let mut contents = Vec::new();
    read_layer(&tar[..], &TAR, &mut |entry, content| {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        contents.push((entry.path.to_string(), entry.size, text));
        Ok(())
    })
    .unwrap();
    assert_eq!(contents[0], ("/file".to_owned(), 5, "hello".to_owned()));
    assert_eq!(contents[1], ("/next".to_owned(), 0, String::new()));
}

#[test]
fn a_truncated_or_damaged_tar_is_an_error_and_not_a_shorter_layer() {
    let tar = ended(&[with_content("file", EntryType::Regular, &[7; 2000])]);
    for length in [1, 511, 513, 1500, 2511] {
        assert!(entries_of(&tar[..length]).is_err(), "{length}");
    }
    let mut damaged = tar.clone();
    damaged[3] ^= 1;
    let error = entries_of(&damaged).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    // The end may lack its zero blocks, as some writers leave them out.
    assert_eq!(entries_of(&tar[..2560]).unwrap().len(), 1);
}

#[test]
fn what_follows_the_end_counts_for_the_diff_id() {
    let tar = [ended(&[]), vec![0; 9216]].concat();
    let summary = read_layer(&tar[..], &TAR, &mut |_, _| Ok(())).unwrap();
    assert_eq!(summary.diff_id, Digest::of(&tar));
    assert_eq!((summary.tar_size, summary.compressed), (10240, 10240));
}

#[test]
fn compression_is_told_by_the_type_or_else_by_the_first_bytes() {
    let tar = ended(&[with_content("file", EntryType::Regular, &[7; 5000])]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar[..1000]).unwrap();
    let mut gzip = gzip.finish().unwrap();
    let mut second = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    second.write_all(&tar[1000..]).unwrap();
    gzip.extend(second.finish().unwrap());
    let zstd = [
        zstd::encode_all(&tar[..1000], 3).unwrap(),
        zstd::encode_all(&tar[1000..], 3).unwrap(),
    ]
    .concat();
    for (blob, types) in [
        (
            &gzip,
            [
                "application/vnd.oci.image.layer.v1.tar+gzip",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "application/vnd.docker.image.rootfs.diff.tar",
            ],
        ),
        (
            &zstd,
            [
                "application/vnd.oci.image.layer.v1.tar+zstd",
                "application/octet-stream",
                "application/vnd.oci.image.layer.v1.tar",
            ],
        ),
        (
            &tar,
            [
                "application/vnd.oci.image.layer.v1.tar",
                "application/x-tar",
                "application/vnd.docker.image.rootfs.diff.tar",
            ],
        ),
    ] {
        for name in types {
            let summary =
                read_layer(&blob[..], &MediaType::from(name), &mut |_, _| Ok(())).unwrap();
            assert_eq!(summary.diff_id, Digest::of(&tar), "{name}");
            assert_eq!(summary.compressed, blob.len() as u64);
            assert_eq!(summary.entries, 1);
        }
    }
    let error = read_layer(&tar[..], &MediaType::ImageLayerGzip, &mut |_, _| Ok(())).unwrap_err();
    assert!(error.to_string().contains("gzip"), "{error}");
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    let zeros = zstd::encode_all(&vec![0; 4 << 20][..], 3).unwrap();
    let limits = ReadLimits {
        tar_size: 1 << 20,
        entries: 3,
    };
    let type_ = MediaType::ImageLayerZstd;
    let error = read_layer_within(&zeros[..], &type_, &limits, &mut |_, _| Ok(())).unwrap_err();
    assert!(
        matches!(error, ReadError::Limit { what: "bytes", .. }),
        "{error}"
    );

    let big = ended(&[with_content("big", EntryType::Regular, &vec![1; 2 << 20])]);
    for read_all in [false, true] {
        let error = read_layer_within(&big[..], &TAR, &limits, &mut |_, content| {
            if read_all {
                io::copy(content, &mut io::sink())?;
            }
            Ok(())
        })
        .unwrap_err();
        assert!(
            matches!(error, ReadError::Limit { what: "bytes", .. }),
            "{error}"
        );
    }

    let many = ended(&vec![with_content("a", EntryType::Regular, b""); 4]);
    let error = read_layer_within(&many[..], &TAR, &limits, &mut |_, _| Ok(())).unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Limit {
                what: "entries",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_visitor_may_give_up() {
    let tar = ended(&[with_content("a", EntryType::Regular, b"")]);
    let error =
        read_layer(&tar[..], &TAR, &mut |_, _| Err(io::Error::other("enough"))).unwrap_err();
    assert_eq!(error.to_string(), "/a: enough");
}

#[test]
fn a_sparse_file_has_its_real_size() {
    let mut sparse = block("sparse", EntryType::GNUSparse, 512);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.realsize.copy_from_slice(b"00004000000\0");
    gnu.set_is_extended(true);
    sparse.set_cksum();
    let tar = ended(&[
        sparse.as_bytes().to_vec(),
        vec![0; 512],
        vec![9; 512],
        with_content("next", EntryType::Regular, b"x"),
    ]);
    let entries = entries_of(&tar).unwrap();
    assert_eq!(entries[0].size, 0o4_000_000);
    assert_eq!(entries[1].path.to_string(), "/next");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..3000),
        at in 0..512_usize,
        byte in proptest::prelude::any::<u8>(),
    ) {
        let _ = entries_of(&bytes);
        let mut damaged = block("file", EntryType::XHeader, 600);
        damaged.as_mut_bytes()[at] = byte;
        damaged.set_cksum();
        let _ = entries_of(&[damaged.as_bytes().to_vec(), bytes].concat());
    }
}

#[test]
fn an_archive_may_end_with_the_last_byte_of_its_last_file() {
    let whole = with_content("a", EntryType::Regular, b"content");
    let seen = entries_of(&whole[..512 + 7]).unwrap();
    assert_eq!(seen[0].size, 7);
    assert!(entries_of(&whole[..512 + 6]).is_err());
}

#[test]
fn a_number_that_was_left_empty_is_zero() {
    let mut header = block("a", EntryType::Regular, 0);
    header.as_old_mut().uid = [0; 8];
    header.as_old_mut().gid = *b"        ";
    header.as_old_mut().mode = [0; 8];
    header.set_cksum();
    let seen = entries_of(&ended(&[header.as_bytes().to_vec()])).unwrap();
    assert_eq!((seen[0].uid, seen[0].gid, seen[0].mode), (0, 0, 0));
}
