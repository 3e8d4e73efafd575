#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::layer::read::{LayerEntryKind, read_layer};
use crate::rootfs::{Content, Origin};
use crate::sysroot::{Directory, Node, Sysroot};

/// A list of entries that owns them.
#[derive(Debug, Clone, Default)]
pub(in crate::layer) struct Tree(pub(in crate::layer) BTreeMap<ImagePath, Entry>);

impl Tree {
    pub(in crate::layer) fn with(mut self, path: &str, kind: EntryKind) -> Self {
        let entry = Entry {
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            origin: Origin::App,
        };
        self.0.insert(ImagePath::new(path).unwrap(), entry);
        self
    }

    pub(in crate::layer) fn bytes(self, path: &str, bytes: &[u8]) -> Self {
        let content = Content::Bytes(bytes.to_vec().into());
        self.with(path, EntryKind::File(content))
    }

    pub(in crate::layer) fn host(self, path: &str, file: &Path) -> Self {
        let Node::File(facts) = Directory::host()
            .unwrap()
            .node(&ImagePath::new(file).unwrap())
            .unwrap()
        else {
            panic!("a file");
        };
        let content = Content::Host {
            path: file.to_path_buf(),
            facts,
        };
        self.with(path, EntryKind::File(content))
    }

    pub(in crate::layer) fn entries(&self) -> Vec<Placed<'_>> {
        self.0.iter().collect()
    }

    pub(in crate::layer) fn pack_with(
        &self,
        packer: &Packer<'_>,
    ) -> Result<(Layer, Vec<u8>), PackError> {
        let mut blob = Vec::new();
        let layer = packer.pack(&self.entries(), &mut blob)?;
        Ok((layer, blob))
    }

    pub(in crate::layer) fn pack(
        &self,
        compression: Compression,
        threads: usize,
    ) -> (Layer, Vec<u8>) {
        self.pack_with(&packer(compression, threads, None)).unwrap()
    }
}

pub(in crate::layer) fn packer(
    compression: Compression,
    threads: usize,
    cache: Option<&Cache>,
) -> Packer<'_> {
    Packer {
        compression,
        epoch: 0,
        threads,
        cache,
        progress: &|_| {},
    }
}

pub(in crate::layer) const ALL: [Compression; 4] = [
    Compression::None,
    Compression::Gzip(6),
    Compression::Zstd(3),
    Compression::Estargz(6),
];

/// Bytes that compress, but not to nothing.
pub(in crate::layer) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            b"abcdefghij  \n01"[(state >> 60) as usize % 15]
        })
        .collect()
}

pub(in crate::layer) fn unpacked(compression: Compression, blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    match compression {
        Compression::None => tar.extend_from_slice(blob),
        Compression::Zstd(_) => tar = zstd::decode_all(blob).unwrap(),
        Compression::Gzip(_) | Compression::Estargz(_) => {
            flate2::read::MultiGzDecoder::new(blob)
                .read_to_end(&mut tar)
                .unwrap();
        }
    }
    tar
}

/// Every name with what the `tar` crate finds there.
fn listed(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ::tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut content = entry.link_name_bytes().unwrap_or_default().into_owned();
            entry.read_to_end(&mut content).unwrap();
            (name, content)
        })
        .collect()
}

fn mixed() -> Tree {
    Tree::default()
        .with("/bin", EntryKind::Symlink("usr/bin".into()))
        .with("/usr", EntryKind::Directory)
        .bytes("/usr/a", b"small")
        .bytes("/usr/b", &noise(3_300_000, 1))
        .with(
            "/usr/c",
            EntryKind::HardLink(ImagePath::new("/usr/b").unwrap()),
        )
        .bytes("/usr/d", b"")
        .bytes("/usr/e", &noise(700_000, 2))
        .bytes(&format!("/usr/{}", "long".repeat(60)), b"long")
        .bytes("/usr/ü", b"umlaut")
}

#[test]
fn a_layer_holds_its_entries_in_order_and_says_what_it_is() {
    for compression in ALL {
        let (layer, blob) = mixed().pack(compression, 2);
        assert_eq!(layer.size, blob.len() as u64);
        assert_eq!(layer.digest, Digest::of(&blob));
        assert_eq!(layer.media_type, compression.media_type());
        let tar = unpacked(compression, &blob);
        assert_eq!(layer.diff_id, Digest::of(&tar));
        assert_eq!(layer.tar_size, tar.len() as u64);
        assert!(tar.ends_with(&[0; 1024]));
        let mut found = listed(&tar);
        if compression == Compression::Estargz(6) {
            assert_eq!(found.remove(0).0, ".no.prefetch.landmark");
            assert_eq!(found.pop().unwrap().0, "stargz.index.json");
        }
        let long = format!("usr/{}", "long".repeat(60));
        let expected = [
            ("bin", b"usr/bin".to_vec()),
            ("usr/", Vec::new()),
            ("usr/a", b"small".to_vec()),
            ("usr/b", noise(3_300_000, 1)),
            ("usr/c", b"usr/b".to_vec()),
            ("usr/d", Vec::new()),
            ("usr/e", noise(700_000, 2)),
            (&long, b"long".to_vec()),
            ("usr/ü", b"umlaut".to_vec()),
        ];
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.0, expected.0);
            assert!(found.1 == expected.1, "content of {}", found.0);
        }
    }
}

#[test]
fn our_own_reader_agrees_with_the_packer() {
    for compression in ALL {
        let (layer, blob) = mixed().pack(compression, 2);
        let mut kinds = Vec::new();
        let summary = read_layer(&blob[..], &layer.media_type, &mut |entry, _| {
            kinds.push(entry.kind);
            Ok(())
        })
        .unwrap();
        assert_eq!(summary.diff_id, layer.diff_id);
        assert_eq!(summary.tar_size, layer.tar_size);
        assert_eq!(summary.compressed, layer.size);
        assert_eq!(
            kinds
                .iter()
                .filter(|kind| **kind == LayerEntryKind::HardLink)
                .count(),
            1
        );
    }
}

/// Every Linux has some `tar`, and each knows ustar and PAX; it is the reader that nobody here wrote.
#[test]
fn the_systems_tar_unpacks_what_was_packed() {
    use std::process::{Command, Stdio};

    let directory = tempfile::tempdir().unwrap();
    let (_, blob) = mixed().pack(Compression::None, 2);
    let mut tar = Command::new("tar")
        .args(["-xf", "-", "-C"])
        .arg(directory.path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&blob).unwrap();
    assert!(tar.wait().unwrap().success());
    for (path, entry) in &mixed().0 {
        use std::os::unix::fs::MetadataExt;
        let unpacked = directory
            .path()
            .join(path.as_path().strip_prefix("/").unwrap());
        let found = fs::symlink_metadata(&unpacked).unwrap();
        match &entry.kind {
            EntryKind::Directory => assert!(found.is_dir()),
            EntryKind::File(Content::Bytes(bytes)) => {
                assert!(fs::read(&unpacked).unwrap() == **bytes, "{path}");
            }
            EntryKind::Symlink(target) => assert_eq!(&fs::read_link(&unpacked).unwrap(), target),
            EntryKind::HardLink(_) => assert_eq!(found.nlink(), 2),
            EntryKind::File(Content::Host { .. }) => unreachable!(),
        }
    }
}

#[test]
fn an_empty_layer_is_valid() {
    for compression in ALL {
        let (layer, blob) = Tree::default().pack(compression, 2);
        let tar = unpacked(compression, &blob);
        assert_eq!(layer.diff_id, Digest::of(&tar));
        if compression != Compression::Estargz(6) {
            assert_eq!(tar, [0; 1024]);
        }
    }
}

#[test]
fn the_digest_of_a_plain_tar_is_its_diff_id() {
    let (layer, _) = mixed().pack(Compression::None, 2);
    assert_eq!(layer.digest, layer.diff_id);
}

#[test]
fn a_known_tree_has_known_bytes() {
    let tree = Tree::default()
        .with("/etc", EntryKind::Directory)
        .bytes("/etc/hostname", b"box\n");
    // The tar of these entries never changes: a new digest here makes every image new.
    let (layer, _) = tree.pack(Compression::None, 1);
    assert_eq!(layer.tar_size, 2560);
    assert_eq!(
        layer.digest.to_string(),
        "sha256:d868ccbc0f273669f38052bf987854a193ade138452994e2109595dcd67e02c6"
    );
    let again = tree.pack(Compression::Gzip(6), 3).0;
    assert_eq!(again.diff_id, layer.diff_id);
}

#[test]
fn the_epoch_is_every_entrys_time_and_nothing_else_changes() {
    let mut late = packer(Compression::None, 1, None);
    late.epoch = 1_700_000_000;
    let (_, blob) = mixed().pack_with(&late).unwrap();
    let mut archive = ::tar::Archive::new(&blob[..]);
    for entry in archive.entries().unwrap() {
        assert_eq!(entry.unwrap().header().mtime().unwrap(), 1_700_000_000);
    }
    assert_ne!(blob, mixed().pack(Compression::None, 1).1);
}

#[test]
fn files_of_the_machine_are_read_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("small");
    let large = directory.path().join("large");
    let empty = directory.path().join("empty");
    fs::write(&small, b"hello").unwrap();
    fs::write(&large, noise(2_500_000, 3)).unwrap();
    fs::write(&empty, b"").unwrap();
    let host = Tree::default()
        .host("/empty", &empty)
        .host("/large", &large)
        .host("/small", &small);
    let memory = Tree::default()
        .bytes("/empty", b"")
        .bytes("/large", &noise(2_500_000, 3))
        .bytes("/small", b"hello");
    for compression in ALL {
        assert_eq!(host.pack(compression, 2), memory.pack(compression, 3));
    }
}

#[test]
fn holes_of_a_sparse_file_are_zeros() {
    use std::os::unix::fs::FileExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sparse");
    let file = fs::File::create(&path).unwrap();
    file.set_len(9 << 20).unwrap();
    file.write_all_at(b"middle", (4 << 20) + 77).unwrap();
    let mut expected = vec![0; 9 << 20];
    expected[(4 << 20) + 77..][..6].copy_from_slice(b"middle");
    let host = Tree::default()
        .host("/sparse", &path)
        .pack(Compression::Zstd(3), 2);
    let memory = Tree::default()
        .bytes("/sparse", &expected)
        .pack(Compression::Zstd(3), 1);
    assert!(host == memory);
    assert!(host.0.size < 20_000);
}

#[test]
fn a_file_that_changed_since_the_tree_was_made_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("had 200000", |path| {
            fs::write(path, noise(100_000, 4)).unwrap()
        }),
        ("had 200000", |path| {
            fs::write(path, noise(300_000, 4)).unwrap()
        }),
        ("written to", |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH)
                .unwrap();
        }),
        ("no regular file", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("cannot be read", |path| fs::remove_file(path).unwrap()),
    ];
    for (words, change) in changes {
        fs::write(&path, noise(200_000, 4)).unwrap();
        let tree = Tree::default()
            .bytes("/a", b"a")
            .host("/file", &path)
            .bytes("/z", &noise(5_000_000, 9));
        change(&path);
        for threads in [1, 2, 3] {
            let error = tree
                .pack_with(&packer(Compression::Gzip(1), threads, None))
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{words}: {error}");
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
        let _ = fs::remove_dir(&path);
    }
}

#[test]
fn a_file_that_is_written_to_while_it_is_read_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, noise(4 << 20, 5)).unwrap();
    let tree = Tree::default().host("/file", &path);
    let changed = AtomicU64::new(0);
    // The header is told of first, then the first of four chunks.
    let truncate = |_| {
        if changed.fetch_add(1, Ordering::Relaxed) == 1 {
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(1 << 20)
                .unwrap();
        }
    };
    let packer = Packer {
        progress: &truncate,
        ..packer(Compression::Gzip(1), 1, None)
    };
    let error = tree.pack_with(&packer).unwrap_err();
    assert!(matches!(error, PackError::Changed { .. }), "{error}");
    assert!(error.to_string().contains("ends after"), "{error}");
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for compression in ALL {
        for threads in [1, 2, 8] {
            let tree = mixed();
            let error = packer(compression, threads, None)
                .pack(&tree.entries(), &mut Full(300_000))
                .unwrap_err();
            assert!(matches!(error, PackError::Write(_)), "{error}");
        }
    }
}

#[test]
fn entries_that_make_no_layer_are_refused() {
    let tree = mixed();
    let mut entries = tree.entries();
    entries.swap(2, 3);
    let error = packer(Compression::None, 1, None).pack(&entries, &mut io::sink());
    assert!(matches!(error, Err(PackError::Order { .. })));

    for target in ["/usr/zzz", "/usr", "/missing"] {
        let tree = mixed().with(
            "/usr/link",
            EntryKind::HardLink(ImagePath::new(target).unwrap()),
        );
        let error = tree.pack_with(&packer(Compression::None, 1, None));
        assert!(matches!(error, Err(PackError::HardLink { .. })), "{target}");
    }

    let error = mixed().pack_with(&packer(Compression::Gzip(13), 1, None));
    assert!(matches!(error, Err(PackError::Level(_))));
}

#[test]
fn progress_counts_every_byte() {
    for compression in [Compression::None, Compression::Gzip(1)] {
        let seen = AtomicU64::new(0);
        let count = |bytes| {
            seen.fetch_add(bytes, Ordering::Relaxed);
        };
        let packer = Packer {
            progress: &count,
            ..packer(compression, 3, None)
        };
        let (layer, _) = mixed().pack_with(&packer).unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), layer.tar_size);
    }
}

#[test]
fn a_panic_in_one_thread_ends_the_others() {
    let panics = |_| panic!("on purpose");
    let packer = Packer {
        progress: &panics,
        ..packer(Compression::Gzip(1), 3, None)
    };
    let tree = mixed();
    let packing = std::panic::AssertUnwindSafe(|| tree.pack_with(&packer));
    assert!(std::panic::catch_unwind(packing).is_err());
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let name = proptest::string::string_regex("[a-cé]{1,3}").unwrap();
    let kind = prop_oneof![
        Just(EntryKind::Directory),
        "[a-z/.]{1,150}".prop_map(|target| EntryKind::Symlink(target.into())),
        (
            prop_oneof![
                0..2000_usize,
                120_000..140_000_usize,
                1_000_000..1_300_000_usize
            ],
            any::<u64>()
        )
            .prop_map(|(size, seed)| EntryKind::File(Content::Bytes(noise(size, seed).into()))),
    ];
    proptest::collection::vec((name, kind, 0..0o10000_u32, any::<u32>()), 0..8).prop_map(|list| {
        let mut tree = Tree::default();
        for (name, kind, mode, owner) in list {
            let entry = Entry {
                kind,
                mode,
                uid: owner,
                gid: owner / 3,
                origin: Origin::App,
            };
            tree.0
                .insert(ImagePath::new(format!("/{name}")).unwrap(), entry);
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn threads_and_cache_never_change_a_byte(tree in any_tree(), which in 0..4_usize) {
        let compression = ALL[which];
        let expected = tree.pack(compression, 1);
        for threads in [2, 3, 8] {
            prop_assert!(tree.pack(compression, threads) == expected);
        }
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path().join("cache"), Cache::DEFAULT_LIMIT);
        for threads in [2, 1, 3] {
            let packed = tree.pack_with(&packer(compression, threads, Some(&cache))).unwrap();
            prop_assert!(packed == expected);
        }
        prop_assert_eq!(cache.degraded(), None);
    }

    #[test]
    fn every_entry_comes_back_from_the_blob(tree in any_tree(), which in 0..3_usize) {
        let (layer, blob) = tree.pack(ALL[which], 2);
        let mut expected = tree.0.iter();
        read_layer(&blob[..], &layer.media_type, &mut |found, content| {
            let (path, entry) = expected.next().unwrap();
            assert_eq!(&found.path, path);
            assert_eq!((found.mode, found.uid, found.gid), (entry.mode, entry.uid.into(), entry.gid.into()));
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            match &entry.kind {
                EntryKind::File(Content::Bytes(content)) => assert!(bytes == **content),
                EntryKind::Symlink(target) => assert_eq!(found.link.as_ref(), Some(target)),
                _ => assert_eq!(found.kind, LayerEntryKind::Directory),
            }
            Ok(())
        })
        .unwrap();
        prop_assert!(expected.next().is_none());
    }
}
