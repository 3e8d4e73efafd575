#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use super::*;
use crate::ImagePath;
use crate::sysroot::FileIdentity;

const RECORD: &str = "record";

fn key() -> Digest {
    Digest::of(b"key")
}

fn shelf(room: &tempfile::TempDir) -> Shelf {
    Shelf::open(&room.path().join("shelf")).unwrap()
}

/// Makes what has the key, with one small file, one of its own, and a record that says `text`.
fn make(shelf: &Shelf, text: &str, is_whole: bool) {
    let aside = shelf.aside().unwrap();
    let mut files = Files::create(aside.path()).unwrap();
    files.write_small(b"small").unwrap();
    let (number, file) = files.next_own().unwrap();
    assert_eq!((number, file.metadata().unwrap().len()), (0, 0));
    files.finish().unwrap();
    aside.record(RECORD, text.as_bytes()).unwrap();
    shelf.put(aside, &key(), || is_whole).unwrap();
}

fn text(shelf: &Shelf) -> String {
    let held = shelf.hold(&key()).unwrap();
    String::from_utf8(held.record(RECORD, 100).unwrap()).unwrap()
}

fn names(shelf: &Shelf) -> Vec<String> {
    let entries = fs::read_dir(&shelf.directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn age(path: &Path) {
    let then = SystemTime::now() - LEFTOVER * 2;
    File::open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn what_is_put_is_there_and_what_is_not_put_leaves_nothing() {
    let room = tempfile::tempdir().unwrap();
    let shelf = shelf(&room);
    drop(shelf.aside().unwrap());
    assert!(shelf.hold(&key()).is_none());
    assert_eq!(names(&shelf), [""; 0]);
    make(&shelf, "first", true);
    assert_eq!(names(&shelf), [key().hex()]);
    let held = shelf.hold(&key()).unwrap();
    assert_eq!(held.directory, shelf.place(&key()));
    assert_eq!(held.record(RECORD, 3), Some(b"fir".to_vec()));
    assert_eq!(held.record("other", 3), None);
    assert_eq!(held.small(5).unwrap().0, b"small");
    assert_eq!(held.small(4), None);
    assert_eq!(held.own(0, 0o640).unwrap().1.mode, 0o640);
    assert_eq!(held.own(1, 0o640), None);
}

#[test]
fn what_another_build_made_stays_if_it_is_whole() {
    let room = tempfile::tempdir().unwrap();
    let shelf = shelf(&room);
    make(&shelf, "first", true);
    make(&shelf, "second", true);
    assert_eq!(text(&shelf), "first");
    make(&shelf, "third", false);
    assert_eq!(text(&shelf), "third");
    assert_eq!(names(&shelf), [key().hex()]);
}

#[test]
fn what_is_replaced_while_it_is_held_goes_when_it_is_let_go() {
    let room = tempfile::tempdir().unwrap();
    let shelf = shelf(&room);
    make(&shelf, "first", true);
    let held = shelf.hold(&key()).unwrap();
    make(&shelf, "second", false);
    let all = names(&shelf);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].starts_with(OLD), "{all:?}");
    age(&shelf.directory.join(&all[0]));
    shelf.sweep();
    assert_eq!(names(&shelf), all);
    drop(held);
    shelf.sweep();
    assert_eq!(names(&shelf), [key().hex()]);
}

#[test]
fn what_is_being_removed_cannot_be_held() {
    let room = tempfile::tempdir().unwrap();
    let shelf = shelf(&room);
    make(&shelf, "first", true);
    let lock = File::open(shelf.place(&key()).join(LOCK)).unwrap();
    lock.lock().unwrap();
    assert!(shelf.hold(&key()).is_none());
}

#[test]
fn a_hold_tells_that_it_was_used() {
    let room = tempfile::tempdir().unwrap();
    let shelf = shelf(&room);
    make(&shelf, "first", true);
    let lock = shelf.place(&key()).join(LOCK);
    let then = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    File::open(&lock).unwrap().set_modified(then).unwrap();
    shelf.hold(&key()).unwrap();
    let used = lock.metadata().unwrap().modified().unwrap();
    assert!(used.elapsed().unwrap() < Duration::from_secs(60));
}

#[test]
fn old_leftovers_go_files_too_and_are_counted() {
    let room = tempfile::tempdir().unwrap();
    let shelf = shelf(&room);
    make(&shelf, "first", true);
    for name in [".new-file", ".new-young", "other"] {
        fs::write(shelf.directory.join(name), "12345").unwrap();
    }
    fs::create_dir(shelf.directory.join(".old-directory")).unwrap();
    fs::write(shelf.directory.join(".old-directory/0"), "123").unwrap();
    for name in [".new-file", ".old-directory", "other", &key().hex()] {
        age(&shelf.directory.join(name));
    }
    assert_eq!(sweep(&shelf.directory), 8);
    let mut left = [".new-young".to_owned(), key().hex(), "other".to_owned()];
    left.sort();
    assert_eq!(names(&shelf), left);
}

#[test]
fn a_directory_that_is_not_this_users_alone_has_no_shelf() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("shelf");
    let told = |path: &Path| Shelf::open(path).unwrap_err();
    fs::create_dir(&path).unwrap();
    symlink(&path, room.path().join("link")).unwrap();
    let link = told(&room.path().join("link"));
    assert!(link.ends_with("link is a symbolic link"), "{link}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(told(&path).contains("other users may write to it"));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    told(&path);
}

#[test]
fn a_temporary_shelf_goes_with_the_last_that_holds_something_of_it() {
    let shelf = Shelf::or_temporary(Some(Err("why".to_owned())), "distrobuild-").unwrap();
    assert_eq!(shelf.degraded(), Some("why"));
    make(&shelf, "first", true);
    let held = shelf.hold(&key()).unwrap();
    drop(shelf);
    assert_eq!(held.small(5).unwrap().0, b"small");
    let directory = held.directory.clone();
    drop(held);
    assert!(!directory.parent().unwrap().exists());
}

#[test]
fn small_files_share_one_as_long_as_it_has_room() {
    let room = tempfile::tempdir().unwrap();
    let mut files = Files::create(room.path()).unwrap();
    assert_eq!(files.next_small(64 << 20), Some(0));
    files.write_small(b"x").unwrap();
    assert_eq!(files.next_small(1), Some(1));
    for size in [64 << 20, u64::MAX] {
        assert_eq!(files.next_small(size), None);
    }
    assert_eq!(files.finish().unwrap().size, 1);
    let small = Arc::new(b"abc".to_vec());
    assert!(part(&small, 1, 2).is_some());
    for (offset, size) in [(1, 3), (4, 0), (u64::MAX, 1), (1, u64::MAX)] {
        assert_eq!(part(&small, offset, size), None);
    }
}

#[test]
fn a_record_is_read_as_it_was_written_and_never_when_cut_or_changed() {
    let identity = FileIdentity {
        device: 1,
        inode: u64::MAX,
        size: 3,
        modified: -4,
        changed: i128::MAX,
    };
    let mut out = Out::new(b"form 1\n");
    out.number(u64::MAX);
    out.number(7);
    out.string(b"/a\xff");
    out.digest(&key());
    out.identity(&identity);
    let bytes = out.seal();
    let read = |bytes: &[u8], magic| {
        let mut input = In::open(bytes, magic)?;
        assert_eq!(input.number(), Some(u64::MAX));
        assert_eq!(input.small_number(), Some(7));
        let path: ImagePath = input.path()?;
        assert_eq!(path.as_bytes(), b"/a\xff");
        assert_eq!(input.digest(), Some(key()));
        assert_eq!(input.identity(), Some(identity));
        assert_eq!(input.number(), None);
        input.end(())
    };
    assert_eq!(read(&bytes, b"form 1\n"), Some(()));
    assert_eq!(read(&bytes, b"form 2\n"), None);
    for at in 0..bytes.len() {
        assert_eq!(read(&bytes[..at], b"form 1\n"), None);
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        assert_eq!(read(&changed, b"form 1\n"), None);
    }
}

#[test]
fn a_record_with_a_good_seal_gives_no_more_than_it_has() {
    let mut out = Out::new(b"");
    out.number(9);
    out.number(u64::from(u32::MAX) + 1);
    let bytes = out.seal();
    let open = || In::open(&bytes, b"").unwrap();
    assert_eq!(open().string(), None, "8 bytes are left, and 9 are said");
    assert_eq!(open().digest(), None);
    assert_eq!(open().identity(), None);
    assert_eq!(open().end(()), None, "something follows");
    let mut input = open();
    input.number();
    assert_eq!(input.small_number(), None);
}

#[test]
fn results_come_by_their_numbers_and_none_is_begun_after_an_error() {
    let items: Vec<usize> = (0..50).collect();
    let mut order: Vec<_> = items.iter().enumerate().collect();
    order.reverse();
    for threads in [0, 1, 3, 64] {
        let doubled = get_all(&order, threads, |item| Ok::<_, ()>(item * 2)).unwrap();
        assert_eq!(
            doubled,
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
    }
    let begun = AtomicUsize::new(0);
    let failed = get_all(&order, 1, |item| {
        begun.fetch_add(1, Ordering::Relaxed);
        if *item < 40 { Err(*item) } else { Ok(()) }
    });
    assert_eq!(failed, Err(39));
    assert_eq!(begun.into_inner(), 11);
}
