#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::layer::pack::tests::{ALL, Tree, noise, packer};
use crate::layer::{Layer, Packer};

/// A cache in a directory that goes away with it.
fn new_cache() -> (tempfile::TempDir, Cache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path().join("cache"), Cache::DEFAULT_LIMIT);
    (directory, cache)
}

fn tree() -> Tree {
    Tree::default()
        .bytes("/a", b"small")
        .bytes("/b", &noise(2_200_000, 1))
        .bytes("/c", &noise(300_000, 2))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect();
    found.sort();
    found
}

fn restore(packer: &Packer<'_>, layer: &Layer) -> Option<Vec<u8>> {
    let mut blob = Vec::new();
    packer.restore(layer, &mut blob).unwrap().then_some(blob)
}

const GZIP: Compression = Compression::Gzip(6);

#[test]
fn a_packed_layer_is_known_and_restored_byte_for_byte() {
    for compression in ALL {
        let (_directory, cache) = new_cache();
        let packer = packer(compression, 2, Some(&cache));
        let tree = tree();
        assert_eq!(packer.known(&tree.entries()), None);
        let (layer, blob) = tree.pack_with(&packer).unwrap();
        assert_eq!(packer.known(&tree.entries()), Some(layer.clone()));
        // A plain tar is as quickly made again as it is copied: only its facts are kept.
        let expected = (compression != Compression::None).then_some(blob);
        assert!(restore(&packer, &layer) == expected);
    }
}

#[test]
fn a_layer_is_known_only_for_all_that_it_was_made_of() {
    let (_directory, cache) = new_cache();
    let base = packer(GZIP, 2, Some(&cache));
    tree().pack_with(&base).unwrap();
    let known = |packer: &Packer<'_>, tree: &Tree| packer.known(&tree.entries()).is_some();
    assert!(known(&base, &tree()));
    assert!(
        known(&packer(GZIP, 7, Some(&cache)), &tree()),
        "threads do not matter"
    );
    assert!(!known(
        &packer(Compression::Gzip(7), 2, Some(&cache)),
        &tree()
    ));
    assert!(!known(
        &packer(Compression::Estargz(6), 2, Some(&cache)),
        &tree()
    ));
    assert!(!known(
        &Packer {
            epoch: 1,
            ..packer(GZIP, 2, Some(&cache))
        },
        &tree()
    ));
    assert!(!known(&base, &tree().bytes("/a", b"Small")));
    assert!(!known(&base, &tree().bytes("/d", b"")));
    let mut other = tree();
    other.0.values_mut().next().unwrap().mode = 0o700;
    assert!(!known(&base, &other));
    let mut other = tree();
    other.0.values_mut().next().unwrap().uid = 1;
    assert!(!known(&base, &other));
}

#[test]
fn a_file_that_was_written_just_now_is_not_known_by_its_times() {
    let (directory, cache) = new_cache();
    let path = directory.path().join("file");
    fs::write(&path, noise(200_000, 3)).unwrap();
    let packer = packer(GZIP, 1, Some(&cache));
    let fresh = Tree::default().host("/file", &path);
    fresh.pack_with(&packer).unwrap();
    assert_eq!(packer.known(&fresh.entries()), None);

    // Later, the same file has rested; its times cannot be set back, its facts can.
    let mut rested = fresh;
    for entry in rested.0.values_mut() {
        let crate::rootfs::EntryKind::File(crate::rootfs::Content::Host { facts, .. }) =
            &mut entry.kind
        else {
            panic!("a file of the machine");
        };
        facts.identity.changed -= 10_000_000_000;
        facts.identity.modified -= 10_000_000_000;
        let modified = u64::try_from(facts.identity.modified).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(modified))
            .unwrap();
    }
    let (layer, _) = rested.pack_with(&packer).unwrap();
    assert_eq!(packer.known(&rested.entries()), Some(layer));
}

#[test]
fn a_change_compresses_only_what_changed() {
    let (_directory, cache) = new_cache();
    let packer = packer(GZIP, 2, Some(&cache));
    tree().pack_with(&packer).unwrap();
    let before = cache.summary().unwrap().members;
    let changed = tree()
        .bytes("/a", b"another")
        .bytes("/c", &noise(300_000, 9));
    changed.pack_with(&packer).unwrap();
    assert_eq!(cache.summary().unwrap().members, before + 1);
    // eStargz has the same members for large files.
    let packer = crate::layer::pack::tests::packer(Compression::Estargz(6), 2, Some(&cache));
    changed.pack_with(&packer).unwrap();
    assert_eq!(cache.summary().unwrap().members, before + 1);
}

#[test]
fn a_damaged_cache_never_changes_a_layer() {
    type Damage = fn(&Path);
    let damages: [Damage; 7] = [
        |path| fs::write(path, vec![0; 5 << 20]).unwrap(),
        |path| fs::write(path, b"").unwrap(),
        |path| fs::write(path, noise(5000, 7)).unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
        |path| {
            // Whole, but another's.
            let other = files(path.parent().unwrap())
                .into_iter()
                .find(|other| other != path);
            if let Some(other) = other {
                fs::copy(other, path).unwrap();
            }
        },
    ];
    let tree = tree();
    for compression in [GZIP, Compression::Zstd(3), Compression::Estargz(6)] {
        let expected = tree.pack(compression, 1);
        for damage in damages {
            let (_directory, cache) = new_cache();
            let packer = packer(compression, 2, Some(&cache));
            let (layer, _) = tree.pack_with(&packer).unwrap();
            for path in files(cache.directory()) {
                if !path.ends_with("pruned") {
                    damage(&path);
                }
            }
            // Either the right layer or none is known, and it is restored whole or not at all.
            assert!(
                packer
                    .known(&tree.entries())
                    .is_none_or(|known| known == layer)
            );
            assert!(restore(&packer, &layer).is_none_or(|blob| blob == expected.1));
            assert!(tree.pack_with(&packer).unwrap() == expected);
            assert_eq!(packer.known(&tree.entries()), Some(layer.clone()));
            assert!(restore(&packer, &layer) == Some(expected.1.clone()));
        }
    }
}

#[test]
fn a_layer_with_one_damaged_member_is_dropped() {
    let (_directory, cache) = new_cache();
    let packer = packer(GZIP, 2, Some(&cache));
    let (layer, _) = tree().pack_with(&packer).unwrap();
    let victim = files(&cache.root().join("members")).remove(0);
    let mut bytes = fs::read(&victim).unwrap();
    bytes[100] ^= 0x80;
    fs::write(&victim, bytes).unwrap();
    assert_eq!(restore(&packer, &layer), None);
    assert!(!victim.exists(), "what is damaged goes");
    assert!(files(&cache.root().join("layers")).is_empty());
}

#[test]
fn a_list_that_names_other_members_is_found_out_by_the_digest() {
    let (_directory, cache) = new_cache();
    let packer = packer(GZIP, 2, Some(&cache));
    let (layer, _) = tree().pack_with(&packer).unwrap();
    // A list of the right size that holds zeros, sealed as it should be.
    let list = format!(r#"[{{"i":{}}}]"#, layer.size);
    let path = cache.root().join("layers").join(layer.digest.hex());
    let zeros = vec![0; usize::try_from(layer.size).unwrap()];
    cache.store(
        &path,
        &layer.digest,
        &[&(list.len() as u64).to_le_bytes(), list.as_bytes(), &zeros],
    );
    assert_eq!(restore(&packer, &layer), None);
    assert!(!path.exists());
}

#[test]
fn what_was_used_last_stays_longest() {
    let (_directory, cache) = new_cache();
    let key = |name: &[u8]| MemberKey::new(&Digest::of(name), GZIP);
    let now = SystemTime::now();
    for (age, name) in [(50_u64, b"a"), (40, b"b"), (30, b"c"), (20, b"d")] {
        cache.store_member(&key(name), &[7; 1000]);
        let file = File::open(cache.member_path(&key(name))).unwrap();
        file.set_modified(now - Duration::from_secs(age * 3600))
            .unwrap();
    }
    // Use makes the oldest the newest.
    let mut buffer = Buffer::default();
    assert!(cache.load_member(&key(b"a"), &mut buffer));
    let each = 1000 + TRAILER as u64;
    let pruned = cache.prune(2 * each).unwrap();
    assert_eq!(
        pruned,
        Pruned {
            files: 2,
            bytes: 2 * each
        }
    );
    for (name, stays) in [(b"a", true), (b"b", false), (b"c", false), (b"d", true)] {
        assert_eq!(cache.load_member(&key(name), &mut buffer), stays);
    }
    assert_eq!(cache.summary().unwrap().bytes, 2 * each);
    assert_eq!(cache.clear().unwrap().files, 2);
    assert_eq!(cache.summary().unwrap().bytes, 0);
    assert!(cache.directory().is_dir());
}

#[test]
fn a_build_keeps_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path(), 400_000);
    let tree = tree();
    let expected = tree.pack(GZIP, 1);
    for _ in 0..2 {
        let packed = tree.pack_with(&packer(GZIP, 2, Some(&cache))).unwrap();
        assert!(packed == expected);
        assert!(cache.summary().unwrap().bytes <= 400_000);
    }
    assert!(cache.summary().unwrap().bytes > 0);
}

#[test]
fn files_that_nobody_will_finish_are_removed() {
    let (_directory, cache) = new_cache();
    let key = MemberKey::new(&Digest::of(b"x"), GZIP);
    cache.store_member(&key, &[1; 10]);
    let members = cache.root().join("members");
    let (old, new) = (members.join("aside-old"), members.join("aside-new"));
    fs::write(&old, b"x").unwrap();
    fs::write(&new, b"x").unwrap();
    let two_days = Duration::from_secs(48 * 3600);
    File::open(&old)
        .unwrap()
        .set_modified(SystemTime::now() - two_days)
        .unwrap();
    cache.prune(u64::MAX).unwrap();
    assert!(!old.exists());
    assert!(new.exists(), "another build may be writing it");
}

#[test]
fn nobody_else_can_read_or_write_the_cache() {
    let (_directory, cache) = new_cache();
    tree().pack_with(&packer(GZIP, 2, Some(&cache))).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(cache.directory()), 0o700);
    assert_eq!(mode(&cache.root().join("members")), 0o700);
    for path in files(cache.directory()) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_directory_that_others_can_write_to_is_not_believed() {
    let (directory, cache) = new_cache();
    let packed = tree().pack_with(&packer(GZIP, 2, Some(&cache))).unwrap();
    fs::set_permissions(cache.directory(), fs::Permissions::from_mode(0o777)).unwrap();
    let again = Cache::open(directory.path().join("cache"), Cache::DEFAULT_LIMIT);
    let packer = packer(GZIP, 2, Some(&again));
    assert_eq!(packer.known(&tree().entries()), None);
    assert!(tree().pack_with(&packer).unwrap() == packed);
    let reason = again.degraded().unwrap();
    assert!(reason.contains("other users"), "{reason}");
}

#[test]
fn a_cache_that_cannot_be_written_does_not_fail_a_build() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"in the way").unwrap();
    // Neither a directory nor something in which one could be made; true for root as well.
    for place in [file.clone(), file.join("below")] {
        let cache = Cache::open(&place, Cache::DEFAULT_LIMIT);
        let packer = packer(GZIP, 2, Some(&cache));
        assert!(tree().pack_with(&packer).unwrap() == tree().pack(GZIP, 1));
        let reason = cache.degraded().unwrap();
        assert!(reason.contains(place.to_str().unwrap()), "{reason}");
        assert_eq!(packer.known(&tree().entries()), None);
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[test]
fn a_cache_that_was_never_written_is_empty_and_not_made() {
    let (_directory, cache) = new_cache();
    let summary = cache.summary().unwrap();
    assert_eq!((summary.members, summary.layers, summary.bytes), (0, 0, 0));
    assert_eq!(cache.prune(0).unwrap(), Pruned::default());
    assert_eq!(cache.clear().unwrap(), Pruned::default());
    assert!(!cache.directory().exists());
}

#[test]
fn a_cache_is_cleared_while_builds_fill_it() {
    let (directory, cache) = new_cache();
    let expected = tree().pack(GZIP, 1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (expected, place) = (&expected, directory.path().join("cache"));
            scope.spawn(move || {
                for _ in 0..5 {
                    let cache = Cache::open(&place, Cache::DEFAULT_LIMIT);
                    assert!(tree().pack_with(&packer(GZIP, 2, Some(&cache))).unwrap() == *expected);
                }
            });
        }
        for _ in 0..50 {
            cache.clear().unwrap();
        }
    });
}

#[test]
fn builds_at_once_share_a_cache() {
    let (directory, _) = new_cache();
    let expected = tree().pack(GZIP, 1);
    std::thread::scope(|scope| {
        for build in 0..4 {
            let (expected, place) = (&expected, directory.path().join("cache"));
            scope.spawn(move || {
                let cache = Cache::open(place, Cache::DEFAULT_LIMIT);
                for _ in 0..3 {
                    let packed = tree().pack_with(&packer(GZIP, 2, Some(&cache))).unwrap();
                    assert!(packed == *expected);
                    if build == 0 {
                        cache.prune(100_000).unwrap();
                    }
                }
                assert_eq!(cache.degraded(), None);
            });
        }
    });
}
