#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::rootfs::Origin;
use crate::sysroot::{FileFacts, FileIdentity};

fn path(text: &[u8]) -> ImagePath {
    use std::os::unix::ffi::OsStrExt;
    ImagePath::new(std::ffi::OsStr::from_bytes(text)).unwrap()
}

fn entry(kind: EntryKind) -> Entry {
    Entry {
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        origin: Origin::App,
    }
}

fn file(size: usize) -> Entry {
    entry(EntryKind::File(Content::Bytes(vec![1; size].into())))
}

/// A file of this size of which nothing exists.
fn promised(size: u64) -> Entry {
    let identity = FileIdentity {
        device: 1,
        inode: 1,
        size,
        modified: 0,
        changed: 0,
    };
    let facts = FileFacts {
        size,
        mode: 0o644,
        identity,
    };
    entry(EntryKind::File(Content::Host {
        path: "/nowhere".into(),
        facts,
    }))
}

/// What the `tar` crate reads in a header without its content.
fn read_back(blocks: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, u64) {
    let mut archive = ::tar::Archive::new(blocks);
    let mut entries = archive.entries().unwrap();
    let entry = entries.next().unwrap().unwrap();
    let link = entry.link_name_bytes().map(Cow::into_owned);
    (entry.path_bytes().into_owned(), link, entry.size())
}

#[test]
fn a_header_is_ustar_without_owner_names_or_devices() {
    let mut entry = file(5);
    entry.uid = 65532;
    entry.gid = 7;
    entry.mode = 0o4755;
    let blocks = header(&path(b"/usr/bin/app"), &entry, 1_700_000_000);
    assert_eq!(blocks.len(), BLOCK);
    assert_eq!(&blocks[..12], b"usr/bin/app\0");
    assert_eq!(&blocks[100..108], b"0004755\0");
    assert_eq!(&blocks[108..116], b"0177774\0");
    assert_eq!(&blocks[116..124], b"0000007\0");
    assert_eq!(&blocks[124..136], b"00000000005\0");
    assert_eq!(&blocks[136..148], b"14524770400\0");
    assert_eq!(blocks[156], b'0');
    assert_eq!(&blocks[257..265], b"ustar\x0000");
    assert!(blocks[265..329].iter().all(|byte| *byte == 0), "no names");
    assert_eq!(&blocks[329..345], b"0000000\x000000000\0");
}

#[test]
fn a_directory_ends_in_a_slash_and_the_root_is_a_dot() {
    let directory = entry(EntryKind::Directory);
    assert_eq!(entry_name(&path(b"/usr"), &directory), b"usr/");
    assert_eq!(entry_name(&ImagePath::root(), &directory), b"./");
    assert_eq!(header(&path(b"/usr"), &directory, 0)[156], b'5');
}

#[test]
fn a_name_of_up_to_255_bytes_is_split_as_ustar_allows() {
    let name = format!("/{}/{}", "d".repeat(155), "f".repeat(100));
    let blocks = header(&path(name.as_bytes()), &file(1), 0);
    assert_eq!(blocks.len(), BLOCK, "no PAX header");
    assert_eq!(read_back(&blocks).0, &name.as_bytes()[1..]);
    let over = format!("/{}/{}", "d".repeat(156), "f".repeat(100));
    assert!(header(&path(over.as_bytes()), &file(1), 0).len() > BLOCK);
}

#[test]
fn a_pax_record_counts_its_own_digits() {
    let record = |length| {
        let mut records = Records::default();
        records.text("path", &vec![b'x'; length]);
        String::from_utf8(records.bytes).unwrap()
    };
    assert_eq!(record(1), "9 path=x\n");
    // With one more byte the count itself gets longer.
    assert_eq!(record(2), "11 path=xx\n");
    for length in 0..1200 {
        let text = record(length);
        let (count, _) = text.split_once(' ').unwrap();
        assert_eq!(count.parse::<usize>().unwrap(), text.len(), "{text:?}");
    }
}

#[test]
fn names_in_utf_8_have_a_pax_record_and_others_none() {
    let umlaut = "/ä".as_bytes();
    let blocks = header(&path(umlaut), &file(1), 0);
    assert_eq!(blocks[156], b'x');
    assert!(blocks[BLOCK..].starts_with("11 path=ä\n".as_bytes()));
    assert_eq!(read_back(&blocks).0, &umlaut[1..]);
    // Latin-1: neither ASCII nor UTF-8, as it is.
    let latin = b"/\xe4";
    let blocks = header(&path(latin), &file(1), 0);
    assert_eq!(blocks.len(), BLOCK);
    assert_eq!(read_back(&blocks).0, b"\xe4");
}

#[test]
fn a_long_name_that_is_not_utf_8_is_declared_binary() {
    let name = [b"/".as_slice(), &[0xe4; 300]].concat();
    let blocks = header(&path(&name), &file(1), 0);
    assert!(blocks[BLOCK..].starts_with(b"21 hdrcharset=BINARY\n"));
    assert_eq!(read_back(&blocks).0, &name[1..]);
}

#[test]
fn numbers_beyond_octal_digits_go_into_pax_records() {
    let blocks = header(&path(b"/a"), &promised(8 << 30), 0);
    assert_eq!(blocks[156], b'x');
    assert_eq!(read_back(&blocks).2, 8 << 30);
    assert_eq!(
        header(&path(b"/a"), &promised((8 << 30) - 1), 0).len(),
        BLOCK
    );

    let mut owned = entry(EntryKind::Directory);
    owned.uid = 0o10_000_000;
    owned.gid = u32::MAX;
    let blocks = header(&path(b"/a"), &owned, 0);
    let mut archive = ::tar::Archive::new(&blocks[..]);
    let read = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(read.header().uid().unwrap(), 0o10_000_000);
    assert_eq!(read.header().gid().unwrap(), u64::from(u32::MAX));

    let late = header(&path(b"/a"), &file(0), 1 << 40);
    assert!(String::from_utf8_lossy(&late).contains(" mtime=1099511627776\n"));
}

#[test]
fn long_links_are_written_whole_and_never_the_gnu_way() {
    let target = "t/".repeat(300);
    for kind in [
        EntryKind::Symlink(target.clone().into()),
        EntryKind::HardLink(path(format!("/{target}").as_bytes())),
    ] {
        let long = path(format!("/{}", "n/".repeat(200)).as_bytes());
        let blocks = header(&long, &entry(kind), 0);
        let (name, link, _) = read_back(&blocks);
        assert_eq!(name, long.relative());
        let link = String::from_utf8(link.unwrap()).unwrap();
        assert_eq!(link.trim_end_matches('/'), target.trim_end_matches('/'));
        for block in blocks.chunks(BLOCK) {
            assert!(!block.starts_with(b"././@LongLink"));
        }
    }
}

proptest! {
    #[test]
    fn any_name_survives_a_header(
        name in proptest::collection::vec(prop_oneof![1..=255_u8, Just(b'/'), b'a'..=b'z'], 1..400),
        target in proptest::collection::vec(1..=255_u8, 1..200),
    ) {
        let Ok(path) = ImagePath::new({
            use std::os::unix::ffi::OsStringExt;
            std::ffi::OsString::from_vec([b"/".as_slice(), &name].concat())
        }) else {
            return Ok(());
        };
        let link = {
            use std::os::unix::ffi::OsStringExt;
            std::path::PathBuf::from(std::ffi::OsString::from_vec(target.clone()))
        };
        let entry = entry(EntryKind::Symlink(link));
        let blocks = header(&path, &entry, 0);
        prop_assert_eq!(blocks.len() % BLOCK, 0);
        let read = crate::layer::read::tests::entries_of(&[blocks, vec![0; 1024]].concat()).unwrap();
        prop_assert_eq!(read.len(), 1);
        if path.file_name().is_none_or(|name| !name.as_encoded_bytes().starts_with(b".wh.")) {
            prop_assert_eq!(&read[0].path, &path);
        }
        prop_assert_eq!(
            read[0].link.as_ref().unwrap().as_os_str().as_encoded_bytes(),
            &target[..]
        );
    }

    #[test]
    fn a_plan_holds_every_byte_once_and_cuts_large_content_alone(
        sizes in proptest::collection::vec(prop_oneof![0..3000_usize, 100_000..2_500_000_usize], 0..12),
        large in prop_oneof![Just(1), Just(LARGE)],
    ) {
        let files: Vec<(ImagePath, Entry)> = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| (path(format!("/{at:02}").as_bytes()), promised(*size as u64)))
            .collect();
        let entries: Vec<Placed<'_>> = files.iter().map(|(path, entry)| (path, entry)).collect();
        let plan = Plan::new(&entries, 0, large, End::Blocks);
        let mut content = vec![0; sizes.len()];
        let mut total = 0;
        let mut next = 0;
        for member in &plan.members {
            prop_assert_eq!(member.pieces.start, next);
            next = member.pieces.end;
            prop_assert!(member.length <= (1 << 20) + LARGE as usize + 2048);
            let pieces = plan.pieces_of(member);
            let mut length = 0;
            for piece in pieces {
                length += match *piece {
                    Piece::Header(_) => BLOCK,
                    Piece::Zeros(count) => count,
                    Piece::Content { entry, offset, length } => {
                        prop_assert_eq!(offset, content[entry]);
                        content[entry] += length as u64;
                        if sizes[entry] as u64 >= large {
                            prop_assert_eq!(pieces.len(), 1);
                        }
                        length
                    }
                };
            }
            prop_assert_eq!(length, member.length);
            total += length;
        }
        prop_assert_eq!(next, plan.pieces.len());
        let expected: usize = sizes.iter().map(|size| BLOCK + size.next_multiple_of(BLOCK)).sum();
        prop_assert_eq!(total, expected + 2 * BLOCK);
        prop_assert_eq!(content, sizes.iter().map(|size| *size as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_is_cut_the_same_whatever_stands_before_it() {
    let cuts = |before: usize| -> Vec<usize> {
        let first = path(b"/a");
        let second = path(b"/b");
        let (small, large) = (file(before), promised(3 << 20));
        let entries = [(&first, &small), (&second, &large)];
        let plan = Plan::new(&entries, 0, LARGE, End::Blocks);
        let large = plan
            .members
            .iter()
            .filter(|member| matches!(plan.pieces_of(member), [Piece::Content { entry: 1, .. }]));
        large.map(|member| member.length).collect()
    };
    assert_eq!(cuts(0), [1 << 20; 3]);
    assert_eq!(cuts(0), cuts(99_999));
}

#[test]
fn a_tar_of_nothing_is_two_zero_blocks() {
    let plan = Plan::new(&[], 0, LARGE, End::Blocks);
    assert_eq!(plan.pieces, [Piece::Zeros(1024)]);
}
