#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::manifest::Manifest;
use super::*;
use crate::debian::deb::MemberKind;
use crate::debian::deb::fixture::Package;
use crate::shelf::{LOCK, NEW, SMALL};
use crate::sysroot::facts_of;

/// A pool and a package beside it.
struct Room {
    directory: TempDir,
    sha256: Digest,
    deb: PathBuf,
}

impl Room {
    fn new() -> Self {
        Self::with(&sample().build())
    }

    fn with(bytes: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let deb = directory.path().join("sample.deb");
        fs::write(&deb, bytes).unwrap();
        let sha256 = Digest::of(bytes);
        Self {
            directory,
            sha256,
            deb,
        }
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn pool(&self) -> Pool {
        let pool = Pool::open(Some(self.cache())).unwrap();
        assert_eq!(pool.degraded(), None);
        pool
    }

    fn get(&self) -> Result<Unpacked, PoolError> {
        self.pool().get(self.sha256, &self.deb, "sample 1.0")
    }

    fn place(&self) -> PathBuf {
        self.cache().join(UNPACKED).join(self.sha256.hex())
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.cache().join(UNPACKED))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn sample() -> Package {
    Package::new("sample", "1.0")
        .control_file("conffiles", "/etc/small\n")
        .directory("./usr")
        .file("./etc/small", "small")
        .file("./usr/large", vec![b'x'; 100_000])
        .file("./usr/empty", "")
        .hard_link("./usr/same", "./usr/large")
        .symlink("./usr/link", "large")
}

fn bytes(content: &Content) -> Vec<u8> {
    match content {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::Host { path, facts } => {
            assert_eq!(facts.identity, facts_of(path).unwrap().identity);
            fs::read(path).unwrap()
        }
    }
}

/// Path and bytes of each file.
fn files(unpacked: &Unpacked) -> Vec<(String, Vec<u8>)> {
    unpacked
        .members
        .iter()
        .filter_map(|(member, content)| {
            let content = bytes(content.as_ref()?);
            let MemberKind::File { size, sha256 } = &member.kind else {
                panic!("{member:?} has content");
            };
            assert_eq!(*size, content.len() as u64);
            assert_eq!(*sha256, Digest::of(&content));
            Some((member.path.to_string(), content))
        })
        .collect()
}

fn expected() -> Vec<(String, Vec<u8>)> {
    vec![
        ("/etc/small".to_owned(), b"small".to_vec()),
        ("/usr/empty".to_owned(), Vec::new()),
        ("/usr/large".to_owned(), vec![b'x'; 100_000]),
    ]
}

fn age(path: &Path, by: Duration) {
    let then = SystemTime::now() - by;
    File::open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_package_is_unpacked_once_and_found_again_without_its_file() {
    let room = Room::new();
    let first = room.get().unwrap();
    assert_eq!(files(&first), expected());
    assert_eq!(first.conffiles, [ImagePath::new("/etc/small").unwrap()]);
    assert!(first.control.starts_with("Package: sample\n"));
    fs::remove_file(&room.deb).unwrap();
    let second = room.get().unwrap();
    assert_eq!(second.members, first.members);
    assert_eq!(room.names(), [room.sha256.hex()]);
}

#[test]
fn no_path_of_the_package_is_a_name_in_the_pool() {
    let room = Room::new();
    room.get().unwrap();
    let mut names: Vec<_> = fs::read_dir(room.place())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["0", LOCK, MANIFEST, SMALL]);
}

#[test]
fn without_a_directory_all_goes_when_the_last_user_does() {
    let room = Room::new();
    let pool = Pool::open(None).unwrap();
    let unpacked = pool.get(room.sha256, &room.deb, "sample").unwrap();
    let place = pool.0.place(&room.sha256);
    let directory = place.parent().unwrap();
    drop(pool);
    assert_eq!(files(&unpacked), expected());
    drop(unpacked);
    assert!(!directory.exists());
}

#[test]
fn a_directory_that_others_may_write_to_is_not_used() {
    let room = Room::new();
    fs::create_dir(room.cache()).unwrap();
    fs::set_permissions(room.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    let pool = Pool::open(Some(room.cache())).unwrap();
    assert!(pool.degraded().unwrap().contains("other users may write"));
    let unpacked = pool.get(room.sha256, &room.deb, "sample").unwrap();
    assert_eq!(files(&unpacked), expected());
    assert_eq!(room.names(), [""; 0]);
}

#[test]
fn a_directory_that_cannot_be_made_is_not_used() {
    let room = Room::new();
    fs::write(room.cache(), "a file").unwrap();
    let pool = Pool::open(Some(room.cache())).unwrap();
    assert!(pool.degraded().is_some());
    assert!(pool.get(room.sha256, &room.deb, "sample").is_ok());
}

#[test]
fn another_file_than_the_one_that_was_checked_is_refused_and_nothing_is_kept() {
    let room = Room::new();
    fs::write(&room.deb, Package::new("other", "1").build()).unwrap();
    let told = room.get().unwrap_err();
    assert!(matches!(told, PoolError::Changed { .. }), "{told}");
    fs::write(&room.deb, "no package at all").unwrap();
    let told = room.get().unwrap_err();
    assert!(matches!(told, PoolError::Changed { .. }), "{told}");
    assert_eq!(room.names(), [""; 0]);
}

#[test]
fn a_bad_package_leaves_nothing_behind() {
    let room = Room::with(&sample().file("../../outside", "x").build());
    let told = room.get().unwrap_err().to_string();
    assert!(told.contains("sample 1.0"), "{told}");
    assert!(told.contains("../../outside"), "{told}");
    assert_eq!(room.names(), [""; 0]);
}

#[test]
fn a_file_that_was_touched_is_hashed_again_and_believed() {
    let room = Room::new();
    room.get().unwrap();
    for name in ["0", SMALL] {
        age(&room.place().join(name), Duration::from_secs(5));
    }
    let before = fs::read(room.place().join(MANIFEST)).unwrap();
    let unpacked = room.get().unwrap();
    assert_eq!(files(&unpacked), expected());
    let after = fs::read(room.place().join(MANIFEST)).unwrap();
    assert_ne!(before, after, "the new state is remembered");
}

#[test]
fn a_damaged_package_is_unpacked_anew() {
    let room = Room::new();
    room.get().unwrap();
    for name in ["0", SMALL, MANIFEST] {
        let path = room.place().join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for bad in [&flipped[..], &whole[..whole.len() / 2], b""] {
            fs::write(&path, bad).unwrap();
            assert_eq!(files(&room.get().unwrap()), expected(), "{name}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(files(&room.get().unwrap()), expected(), "{name}");
    }
    fs::remove_dir_all(room.place()).unwrap();
    fs::write(room.place(), "in the way").unwrap();
    assert!(room.get().is_err());
    fs::remove_file(room.place()).unwrap();
    std::os::unix::fs::symlink("/nonexistent", room.place()).unwrap();
    assert!(room.get().is_err());
}

#[test]
fn a_damaged_package_that_another_build_holds_is_left_to_it() {
    let room = Room::new();
    let held = room.get().unwrap();
    fs::write(room.place().join(MANIFEST), "").unwrap();
    let anew = room.get().unwrap();
    assert_eq!(files(&anew), expected());
    assert_eq!(room.names().len(), 2, "{:?}", room.names());
    drop(held);
}

#[test]
fn several_builds_at_once_share_one_package() {
    let room = Room::new();
    let all: Vec<Unpacked> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| room.get().unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for unpacked in &all {
        assert_eq!(files(unpacked), expected());
        assert_eq!(unpacked.members, all[0].members);
    }
    assert_eq!(room.names(), [room.sha256.hex()]);
}

#[test]
fn results_come_in_the_order_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let packages: Vec<(Digest, PathBuf, String)> = (0..20)
        .map(|number| {
            let name = format!("p{number}");
            let content = vec![b'x'; number * 1000];
            let bytes = Package::new(&name, "1").file("./f", content).build();
            let path = directory.path().join(&name);
            fs::write(&path, &bytes).unwrap();
            (Digest::of(&bytes), path, name)
        })
        .collect();
    for threads in [1, 3, 64] {
        let pool = Pool::open(None).unwrap();
        let threads = NonZeroUsize::new(threads).unwrap();
        let all = pool.get_all(&packages, threads).unwrap();
        let order: Vec<Digest> = all.iter().map(|unpacked| unpacked.sha256).collect();
        let asked: Vec<Digest> = packages.iter().map(|(sha256, ..)| *sha256).collect();
        assert_eq!(order, asked);
        let mut broken = packages.clone();
        broken[7].1 = directory.path().join("missing");
        broken[7].0 = Digest::of(b"missing");
        let told = pool.get_all(&broken, threads).unwrap_err().to_string();
        assert!(told.contains("p7"), "{told}");
        assert!(pool.get_all(&[], threads).unwrap().is_empty());
    }
}

#[test]
fn pruning_takes_the_least_recently_used_and_never_what_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    assert_eq!(Pool::summary(&cache).unwrap(), PoolSummary::default());
    let pool = Pool::open(Some(cache.clone())).unwrap();
    let mut packages = Vec::new();
    for number in 0..3_u64 {
        let bytes = Package::new("p", &number.to_string())
            .file("./f", vec![b'x'; 100_000])
            .build();
        let deb = directory.path().join("p.deb");
        fs::write(&deb, &bytes).unwrap();
        let unpacked = pool.get(Digest::of(&bytes), &deb, "p").unwrap();
        let lock = pool.0.place(&unpacked.sha256).join(LOCK);
        age(&lock, Duration::from_secs(1000 * (3 - number)));
        packages.push(unpacked);
    }
    let summary = Pool::summary(&cache).unwrap();
    assert_eq!(summary.packages, 3);
    assert!(summary.bytes > 300_000);
    let places: Vec<PathBuf> = packages
        .iter()
        .map(|unpacked| pool.0.place(&unpacked.sha256))
        .collect();
    assert_eq!(Pool::prune(&cache, 0).unwrap(), 0, "all are in use");
    packages.truncate(1);
    let oldest = packages.clone();
    drop(packages);
    let freed = Pool::prune(&cache, summary.bytes - 1).unwrap();
    assert!(freed > 100_000);
    let there: Vec<bool> = places.iter().map(|place| place.exists()).collect();
    assert_eq!(
        there,
        [true, false, true],
        "the oldest is in use by a clone"
    );
    assert_eq!(Pool::summary(&cache).unwrap().packages, 2);
    drop(oldest);
    Pool::prune(&cache, 0).unwrap();
    assert_eq!(Pool::summary(&cache).unwrap(), PoolSummary::default());
}

#[test]
fn what_a_killed_build_left_goes_and_what_is_being_made_stays() {
    let room = Room::new();
    let unpacked = room.cache().join(UNPACKED);
    room.get().unwrap();
    for name in ["old", "young", "locked"] {
        let path = unpacked.join(format!("{NEW}{name}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join(LOCK), "").unwrap();
        fs::write(path.join("0"), "half a file").unwrap();
        if name != "young" {
            age(&path, Duration::from_secs(3600));
        }
    }
    let lock = File::open(unpacked.join(format!("{NEW}locked")).join(LOCK)).unwrap();
    lock.lock_shared().unwrap();
    Pool::prune(&room.cache(), u64::MAX).unwrap();
    let names = room.names();
    assert_eq!(
        names,
        [
            format!("{NEW}locked"),
            format!("{NEW}young"),
            room.sha256.hex()
        ]
    );
}

#[test]
fn a_manifest_reads_as_it_was_written_and_not_when_it_was_changed() {
    let room = Room::new();
    room.get().unwrap();
    let bytes = fs::read(room.place().join(MANIFEST)).unwrap();
    let manifest = Manifest::from_bytes(&bytes).unwrap();
    assert_eq!(manifest.to_bytes(), bytes);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert_eq!(Manifest::from_bytes(&changed), None);
        assert_eq!(Manifest::from_bytes(&bytes[..at]), None);
    }
}

proptest! {
    #[test]
    fn a_manifest_with_a_good_seal_and_any_body_is_survived(at in 0..1000_usize, value: u8) {
        let room = Room::new();
        room.get().unwrap();
        let path = room.place().join(MANIFEST);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 32);
        let at = at % bytes.len();
        bytes[at] = value;
        let seal = Digest::of(&bytes);
        bytes.extend_from_slice(seal.as_bytes());
        fs::write(&path, bytes).unwrap();
        prop_assert!(room.get().is_ok());
    }
}
