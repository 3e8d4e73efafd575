//! Builds that die, builds at the same time, disks that refuse.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::*;
use crate::store::stage::Directory;
use crate::store::steps::fail_at;

/// Runs a commit in another process of this test program: see [`as_a_child`].
fn child(to: &Destination, content: &str, tag: &str, die_at: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "store::tests::atomicity::as_a_child"])
        .env("CHILD_FORM", format!("{:?}", to.form()))
        .env("CHILD_PATH", to.path())
        .env("CHILD_CONTENT", content)
        .env("CHILD_TAG", tag)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(die_at) = die_at {
        command.env("DIE_AT", die_at);
    }
    command.spawn().unwrap()
}

fn destination(form: &str, path: PathBuf) -> Destination {
    match form {
        "Layout" => Destination::Layout(path),
        "OciArchive" => Destination::OciArchive(path),
        _ => Destination::DockerArchive(path),
    }
}

/// The body of the children of the other tests; by itself it has nothing to do.
#[test]
fn as_a_child() {
    let Ok(form) = std::env::var("CHILD_FORM") else {
        return;
    };
    let variable = |name| std::env::var(name).unwrap();
    if form == "Interrupted" {
        return wait_for_a_signal(Path::new(&variable("CHILD_PATH")));
    }
    let to = destination(&form, variable("CHILD_PATH").into());
    let image = amd64(&["libraries", &variable("CHILD_CONTENT")]);
    write(&to, &image, &variable("CHILD_TAG")).unwrap();
}

/// Stands in the middle of a commit, with a temporary name, until a signal ends it.
fn wait_for_a_signal(directory: &Path) {
    install().unwrap();
    let handle = Directory::open(directory).unwrap();
    let _blob = StagedBlob::named(&handle).unwrap();
    let commit = interrupt::hold();
    std::fs::write(directory.join("ready"), "").unwrap();
    while !directory.join("go on").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::write(directory.join("committed"), "").unwrap();
    drop(commit);
    std::thread::sleep(Duration::from_secs(60));
}

#[track_caller]
fn wait_until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing happened"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_signal_lets_a_commit_end_and_removes_temporary_names() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let directory = tempfile::tempdir().unwrap();
        let there = |name: &str| directory.path().join(name).exists();
        // A shell's background job inherits SIGINT as ignored, and so would the child.
        let mut command = Command::new("env");
        let mut child = command
            .arg("--default-signal=INT,TERM,HUP")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::atomicity::as_a_child"])
            .env("CHILD_FORM", "Interrupted")
            .env("CHILD_PATH", directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| there("ready"));
        assert_eq!(files(directory.path()).len(), 2);
        rustix::process::kill_process(Pid::from_child(&child), signal).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(child.try_wait().unwrap().is_none(), "it died in a commit");
        std::fs::write(directory.path().join("go on"), "").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(there("committed"));
        assert_no_litter(directory.path());
    }
}

const FORMS: [&str; 3] = ["Layout", "OciArchive", "DockerArchive"];

#[test]
fn a_process_that_dies_at_any_step_leaves_the_old_or_the_new_image_whole() {
    let steps = ["layer", "blobs", "index", "garbage", "written", "renamed"];
    let mut deaths = 0;
    for form in FORMS {
        for step in steps {
            let directory = tempfile::tempdir().unwrap();
            let to = destination(form, directory.path().join("app"));
            let (old, new) = (amd64(&["libraries", "old"]), amd64(&["libraries", "new"]));
            write(&to, &old, "a:1").unwrap();
            let status = child(&to, "new", "a:1", Some(step)).wait().unwrap();
            deaths += usize::from(!status.success());
            assert_valid(to.path());
            let ids = [&old, &new].map(|made| Digest::of(&made.image.config).to_string());
            let selected = select(source(to.path()).as_ref(), Some("a:1"), None).unwrap();
            let manifest = read_manifest(source(to.path()).as_ref(), &selected).unwrap();
            assert!(
                ids.contains(&manifest.config().digest().to_string()),
                "{form} {step}"
            );
            assert_no_litter(directory.path());
            // And the next build goes through.
            write(&to, &new, "a:1").unwrap();
            assert_valid(to.path());
        }
    }
    // layer, blobs, index, garbage of the layout; written, renamed of the archives.
    assert_eq!(deaths, 8);
}

#[test]
fn a_process_that_dies_while_it_makes_a_layout_leaves_nothing_at_its_path() {
    for step in ["layer", "blobs", "index"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app");
        let to = Destination::Layout(path.clone());
        assert!(!child(&to, "new", "1", Some(step)).wait().unwrap().success());
        assert!(!path.exists());
        // What has a name is swept by the next build.
        write(&to, &amd64(&["libraries", "new"]), "1").unwrap();
        assert_valid(&path);
        assert_no_litter(directory.path());
    }
}

#[test]
fn a_commit_that_fails_at_any_step_leaves_the_old_image_and_no_litter() {
    for form in FORMS {
        for step in ["layer", "blobs", "written"] {
            let directory = tempfile::tempdir().unwrap();
            let to = destination(form, directory.path().join("app"));
            fail_at(Some(step));
            let fresh = write(&to, &amd64(&["libraries", "new"]), "a:1");
            fail_at(None);
            if fresh.is_err() {
                assert!(message(fresh).contains("the disk is full"));
                assert_eq!(
                    directory.path().read_dir().unwrap().count(),
                    0,
                    "{form} {step}"
                );
            }
            write(&to, &amd64(&["libraries", "old"]), "a:1").unwrap();
            let before = source(to.path()).index().unwrap();
            let files_before = files(directory.path());
            fail_at(Some(step));
            let again = write(&to, &amd64(&["libraries", "new"]), "a:1");
            fail_at(None);
            if again.is_err() {
                assert_eq!(source(to.path()).index().unwrap(), before);
                // Not even a blob that no image uses.
                assert_eq!(files(directory.path()), files_before, "{form} {step}");
            }
            assert_valid(to.path());
            assert_no_litter(directory.path());
        }
    }
}

#[test]
fn builds_in_many_threads_all_end_up_in_one_store() {
    for form in FORMS {
        let directory = tempfile::tempdir().unwrap();
        let to = destination(form, directory.path().join("app"));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let to = &to;
                scope.spawn(move || {
                    let content = number.to_string();
                    let image = amd64(&["libraries", &content]);
                    write(to, &image, &format!("a:{number}")).unwrap();
                });
            }
        });
        assert_valid(to.path());
        assert_eq!(tags(source(to.path()).as_ref()).unwrap().len(), 8, "{form}");
        assert_no_litter(directory.path());
    }
}

#[test]
fn builds_in_many_processes_all_end_up_in_one_store() {
    for form in FORMS {
        let directory = tempfile::tempdir().unwrap();
        let to = destination(form, directory.path().join("app"));
        let children: Vec<Child> = (0..6)
            .map(|number| child(&to, &number.to_string(), &format!("a:{number}"), None))
            .collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_valid(to.path());
        assert_eq!(tags(source(to.path()).as_ref()).unwrap().len(), 6, "{form}");
        assert_no_litter(directory.path());
    }
}

#[test]
fn builds_of_one_tag_at_once_leave_one_of_them_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let to = Destination::Layout(path.clone());
    std::thread::scope(|scope| {
        for number in 0..6 {
            let to = &to;
            scope.spawn(move || {
                for round in 0..5 {
                    let content = format!("{}", (number + round) % 6);
                    write(to, &amd64(&["libraries", &content]), "1").unwrap();
                }
            });
        }
    });
    assert_valid(&path);
    // oci-layout, index.json, manifest, config, two layers: all else was removed.
    assert_eq!(files(&path).len(), 6);
}

#[test]
fn a_blob_that_was_counted_on_survives_its_removal_by_another_build() {
    for form in ["Layout", "OciArchive"] {
        let directory = tempfile::tempdir().unwrap();
        let to = destination(form, directory.path().join("app"));
        write(&to, &amd64(&["libraries", "old"]), "1").unwrap();
        let slow = Writer::open(&to).unwrap();
        let image = amd64(&["libraries", "new"]);
        let (shared, bytes) = &image.blobs[0];
        assert!(slow.contains(shared, bytes.len() as u64));
        // Removes the libraries, which nobody uses now.
        write(&to, &amd64(&["something else"]), "1").unwrap();
        let mut blob = slow.stage().unwrap();
        blob.write_all(&image.blobs[1].1).unwrap();
        slow.commit(&image.image, vec![(image.blobs[1].0, blob)], Some("2"))
            .unwrap();
        assert_valid(to.path());
    }
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    for form in FORMS {
        let directory = tempfile::tempdir().unwrap();
        let to = destination(form, directory.path().join("app"));
        let writer = Writer::open(&to).unwrap();
        let mut blob = writer.stage().unwrap();
        blob.write_all(&[0; 100_000]).unwrap();
        assert_eq!(blob.size(), 100_000);
        drop((blob, writer));
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }
}

#[test]
fn named_temporary_files_do_where_unnamed_ones_cannot_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let to = Destination::Layout(path.clone());
    let writer = Writer::open(&to).unwrap();
    let image = amd64(&["a"]);
    let (digest, bytes) = &image.blobs[0];
    let mut blob = StagedBlob::named(&writer.staging).unwrap();
    blob.write_all(bytes).unwrap();
    assert_eq!(files(directory.path()).len(), 1);
    // Another build's sweep does not take what is locked.
    Writer::open(&to).unwrap();
    assert_eq!(files(directory.path()).len(), 1);
    writer
        .commit(&image.image, vec![(*digest, blob)], Some("1"))
        .unwrap();
    assert_valid(&path);
    assert_no_litter(directory.path());

    let blob = StagedBlob::named(&writer.staging).unwrap();
    drop(blob);
    assert_no_litter(directory.path());
}

#[test]
fn stale_temporary_names_are_swept_and_others_left() {
    let directory = tempfile::tempdir().unwrap();
    let stale = directory.path().join(".distrobuild-dead-0");
    std::fs::write(&stale, "x").unwrap();
    let stale_directory = directory.path().join(".distrobuild-dead-1");
    std::fs::create_dir_all(stale_directory.join("blobs")).unwrap();
    let other = directory.path().join(".distrobuilder");
    std::fs::write(&other, "x").unwrap();
    Directory::open(directory.path()).unwrap().sweep();
    assert!(!stale.exists() && !stale_directory.exists() && other.exists());
}

#[test]
fn an_unfinished_or_empty_directory_becomes_a_layout() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    std::fs::create_dir_all(path.join("blobs")).unwrap();
    let to = Destination::Layout(path.clone());
    assert!(
        !child(&to, "x", "1", Some("blobs"))
            .wait()
            .unwrap()
            .success()
    );
    write(&to, &amd64(&["a"]), "1").unwrap();
    assert_valid(&path);
}
