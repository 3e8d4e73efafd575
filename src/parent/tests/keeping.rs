//! Layers that are unpacked once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;
use crate::ImagePath;
use crate::rootfs::{Content, EntryKind};

/// An image of one layer with a small and a large file, and a directory for what is unpacked.
struct Room {
    images: Images,
    manifest: Descriptor,
    kept: tempfile::TempDir,
}

const LARGE: usize = 20_000;

impl Room {
    fn new() -> Self {
        let images = Images::new();
        let tar = Tar::new()
            .file("small", "x")
            .file("large", "y".repeat(LARGE));
        let manifest = image(&images, vec![tar], Form::Gzip);
        let kept = tempfile::tempdir().unwrap();
        Self {
            images,
            manifest,
            kept,
        }
    }

    fn directory(&self) -> PathBuf {
        self.kept.path().join("layers")
    }

    fn open(&self) -> Result<Base, ParentError> {
        let unpacking = Unpacking {
            kept: Some(self.directory()),
        };
        Parent::open(
            source(&self.images),
            &self.manifest,
            None,
            "the-base",
            &unpacking,
        )
    }

    /// Without its blob the layer can only come from where it was unpacked.
    fn remove_blob(&self, base: &Base) {
        let digest = base.parent().unwrap().layers[0].digest.to_string();
        fs::remove_file(self.images.blob(&digest)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.directory()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

fn large(base: &Base) -> PathBuf {
    let path = ImagePath::new("/large").unwrap();
    match &base.rootfs().get(&path).unwrap().kind {
        EntryKind::File(Content::Host { path, .. }) => path.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_layer_is_unpacked_once_and_found_again_without_its_blob() {
    let room = Room::new();
    let first = room.open().unwrap();
    room.remove_blob(&first);
    let second = room.open().unwrap();
    assert_eq!(
        second.rootfs().iter().collect::<Vec<_>>(),
        first.rootfs().iter().collect::<Vec<_>>()
    );
    assert_eq!(
        second.parent().unwrap().layers,
        first.parent().unwrap().layers
    );
    let diff_id = first.parent().unwrap().layers[0].diff_id;
    assert_eq!(room.names(), [diff_id.hex()]);
    assert!(large(&first).starts_with(room.directory().join(diff_id.hex())));
}

#[test]
fn no_path_of_a_layer_is_a_name_on_disk() {
    let room = Room::new();
    let base = room.open().unwrap();
    let directory = large(&base).parent().unwrap().to_path_buf();
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["0", "lock", "record", "small"]);
}

#[test]
fn a_file_that_is_not_as_it_was_left_has_its_layer_made_anew() {
    let changes: [fn(&std::path::Path); 6] = [
        |layer| fs::write(layer.join("0"), "z".repeat(LARGE)).unwrap(),
        |layer| fs::remove_file(layer.join("0")).unwrap(),
        |layer| fs::write(layer.join("small"), "z").unwrap(),
        |layer| fs::write(layer.join("record"), "not a record").unwrap(),
        |layer| {
            let record = fs::read(layer.join("record")).unwrap();
            fs::write(layer.join("record"), &record[..record.len() - 1]).unwrap();
        },
        |layer| {
            // Touched alone: it may have been written within one tick of the clock.
            let file = fs::File::options()
                .write(true)
                .open(layer.join("0"))
                .unwrap();
            file.set_modified(SystemTime::now() + Duration::from_secs(9))
                .unwrap();
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let room = Room::new();
        let place = large(&room.open().unwrap());
        change(place.parent().unwrap());
        let base = room.open().unwrap();
        assert_eq!(
            fs::read(large(&base)).unwrap(),
            vec![b'y'; LARGE],
            "{number}"
        );
        let small = ImagePath::new("/small").unwrap();
        let EntryKind::File(Content::Bytes(bytes)) = &base.rootfs().get(&small).unwrap().kind
        else {
            panic!("a small file is in memory");
        };
        assert_eq!(&bytes[..], b"x", "{number}");
        drop(base);
        assert_eq!(room.names().len(), 1, "{number}: {:?}", room.names());
    }
}

#[test]
fn the_files_of_a_layer_that_is_in_use_stay_when_another_build_makes_it_anew() {
    let room = Room::new();
    let first = room.open().unwrap();
    let place = large(&first);
    fs::write(place.parent().unwrap().join("record"), "").unwrap();
    let second = room.open().unwrap();
    assert_eq!(fs::read(large(&second)).unwrap(), vec![b'y'; LARGE]);
    // Its own directory was renamed, and is not removed while it is held.
    assert_eq!(
        room.names()
            .iter()
            .filter(|name| name.starts_with(".old-"))
            .count(),
        1
    );
}

#[test]
fn builds_that_unpack_at_once_share_what_comes_of_it() {
    let room = Room::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let base = room.open().unwrap();
                assert_eq!(fs::read(large(&base)).unwrap(), vec![b'y'; LARGE]);
            });
        }
    });
    assert_eq!(room.names().len(), 1, "{:?}", room.names());
}

#[test]
fn without_a_directory_all_goes_with_the_base() {
    let room = Room::new();
    let base = open(&room.images, &room.manifest).unwrap();
    let copy = base.clone();
    let place = large(&base);
    drop(base);
    assert!(place.exists());
    drop(copy);
    assert!(!place.exists());
}

#[test]
fn a_directory_that_others_may_write_to_is_not_used() {
    let room = Room::new();
    fs::create_dir(room.directory()).unwrap();
    fs::set_permissions(room.directory(), fs::Permissions::from_mode(0o777)).unwrap();
    let base = room.open().unwrap();
    let notices = &base.parent().unwrap().notices;
    assert!(
        notices[0].contains("other users may write to it"),
        "{notices:?}"
    );
    assert_eq!(room.names(), [""; 0]);
}

#[test]
fn a_damaged_blob_leaves_nothing_behind() {
    let room = Room::new();
    let digest = {
        let base = open(&room.images, &room.manifest).unwrap();
        base.parent().unwrap().layers[0].digest.to_string()
    };
    let blob = room.images.blob(&digest);
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let text = room.open().unwrap_err().to_string();
    assert!(
        text.starts_with(&format!("the-base: its layer {digest} cannot be used")),
        "{text}"
    );
    assert_eq!(room.names(), [""; 0]);
}

#[test]
fn a_record_is_read_back_as_it_was_written_and_never_when_cut_or_changed() {
    use super::super::record::{Item, Record, What};
    use crate::layer::Digest;
    use crate::sysroot::FileIdentity;
    let identity = FileIdentity {
        device: 1,
        inode: 2,
        size: 3,
        modified: -4,
        changed: i128::MAX,
    };
    let whats = [
        What::Directory,
        What::Symlink("a\u{fffd}".into()),
        What::HardLink(ImagePath::new("/b").unwrap()),
        What::Small { offset: 1, size: 2 },
        What::Own {
            number: 7,
            identity,
        },
        What::Whiteout,
        What::Opaque,
        What::LeftOut,
    ];
    let items = whats.into_iter().map(|what| Item {
        path: ImagePath::new("/x y").unwrap(),
        mode: 0o4755,
        uid: u32::MAX,
        gid: 5,
        what,
    });
    let record = Record {
        diff_id: Digest::of(b"x"),
        tar_size: 1024,
        small: identity,
        items: items.collect(),
    };
    let bytes = record.to_bytes();
    assert_eq!(Record::from_bytes(&bytes), Some(record));
    for at in 0..bytes.len() {
        assert_eq!(Record::from_bytes(&bytes[..at]), None);
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        assert_eq!(Record::from_bytes(&changed), None);
    }
}
