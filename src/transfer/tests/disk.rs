//! Between stores on disk.

use std::os::unix::fs::MetadataExt;

use oci_spec::image::{Digest as OciDigest, MediaType};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::store::{Form, read_document};

fn layout(directory: &Path, name: &str) -> Destination {
    Destination::Layout(directory.join(name))
}

fn archive(directory: &Path, name: &str) -> Destination {
    Destination::OciArchive(directory.join(name))
}

#[test]
fn an_index_comes_with_its_attestations_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let whole = attested_layout(&path.join("from"));
    for to in [layout(path, "to"), archive(path, "to.tar")] {
        let copied = copy_tag(&path.join("from"), "1", &to, "2").unwrap();
        assert_eq!(copied.images, 2);
        // Two configs of images, two of attestations; three layers, two statements.
        assert_eq!((copied.sent, copied.present), (4 + 3 + 2, 0));
        assert!(!copied.unchanged);
        let source = source(to.path());
        assert_eq!(only(source.as_ref()).digest(), whole.entry.root.digest());
        for (digest, bytes) in &whole.entry.documents {
            let digest: OciDigest = digest.parse().unwrap();
            let document = Descriptor::new(MediaType::ImageIndex, bytes.len() as u64, digest);
            assert_eq!(&read_document(source.as_ref(), &document).unwrap(), bytes);
        }
        assert_eq!(tags(source.as_ref()).unwrap(), ["2"]);
    }
    assert_no_litter(path);
}

#[test]
fn a_second_copy_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    attested_layout(&path.join("from"));
    for to in [layout(path, "to"), archive(path, "to.tar")] {
        copy_tag(&path.join("from"), "1", &to, "1").unwrap();
        let inodes = || -> Vec<u64> {
            let inode = |file| path.join(file).metadata().unwrap().ino();
            files(path).into_iter().map(inode).collect()
        };
        let before = inodes();
        let copied = copy_tag(&path.join("from"), "1", &to, "1").unwrap();
        assert!(copied.unchanged);
        assert_eq!((copied.sent, copied.sent_bytes, copied.present), (0, 0, 9));
        assert_eq!(inodes(), before);
        // Another tag is a change.
        let copied = copy_tag(&path.join("from"), "1", &to, "again").unwrap();
        assert!(!copied.unchanged && copied.sent == 0);
        assert_eq!(tags(source(to.path()).as_ref()).unwrap(), ["1", "again"]);
    }
}

#[test]
fn what_two_tags_share_is_copied_once_and_counted_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let from = layout(path, "from");
    let (one, two) = (amd64(&["libraries", "one"]), amd64(&["libraries", "two"]));
    write(&from, &one, "1").unwrap();
    write(&from, &two, "2").unwrap();
    for to in [layout(path, "to"), archive(path, "to.tar")] {
        copy_tag(from.path(), "1", &to, "1").unwrap();
        let source = source(from.path());
        let target = Target::Disk {
            destination: to.clone(),
            tag: "2".into(),
        };
        let root = tagged(source.as_ref(), "2");
        let counted = Counted::default();
        let chosen = Chosen {
            root,
            attached: false,
        };
        let copied = copy(source.as_ref(), &chosen, &target, at_once(3), &counted).unwrap();
        let bytes = (two.image.config.len() + two.blobs[1].1.len()) as u64;
        assert_eq!((copied.sent, copied.present), (2, 1));
        assert_eq!(copied.sent_bytes, bytes);
        assert_eq!(*counted.totals.lock().unwrap(), [bytes]);
        assert_eq!(counted.moved.into_inner(), bytes);
        assert_valid(to.path());
    }
}

#[test]
fn a_bad_blob_leaves_the_target_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let whole = attested_layout(&path.join("from"));
    let inner = source(&path.join("from"));
    let layer = whole.entry.blobs[0].digest().to_string();
    let config = only(inner.as_ref()).digest().to_string();
    for (fault, said) in [
        (Fault::Damaged, "damaged"),
        (Fault::Interrupted, "connection broke"),
        (Fault::Missing, "is missing"),
    ] {
        for blob in [&layer, &config] {
            let faulty = Faulty {
                inner: inner.as_ref(),
                blob: blob.clone(),
                fault,
            };
            let root = only(&faulty);
            for to in [layout(path, "to"), archive(path, "to.tar")] {
                let target = Target::Disk {
                    destination: to.clone(),
                    tag: "1".into(),
                };
                let chosen = Chosen {
                    root: root.clone(),
                    attached: false,
                };
                let run = || copy(&faulty, &chosen, &target, at_once(4), &Quiet);
                let text = message(run());
                assert!(text.contains(said), "{text}");
                assert!(!to.path().exists());
                write(&to, &amd64(&["old"]), "1").unwrap();
                let before = content(path);
                message(run());
                assert_eq!(content(path), before);
                match to.form() {
                    Form::Layout => std::fs::remove_dir_all(to.path()).unwrap(),
                    _ => std::fs::remove_file(to.path()).unwrap(),
                }
            }
        }
    }
}

#[test]
fn a_blob_that_was_damaged_on_disk_is_not_copied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let from = layout(path, "from");
    let image = amd64(&["libraries", "app"]);
    write(&from, &image, "1").unwrap();
    let blob = from
        .path()
        .join("blobs/sha256")
        .join(image.blobs[1].0.hex());
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let text = message(copy_tag(from.path(), "1", &layout(path, "to"), "1"));
    let digest = image.blobs[1].0.to_string();
    assert!(text.contains("damaged") && text.contains(&digest), "{text}");
    assert!(!path.join("to").exists());
    assert_no_litter(path);
}

#[test]
fn a_tag_that_led_elsewhere_takes_its_blobs_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(&layout(path, "from"), &amd64(&["new"]), "1").unwrap();
    for to in [layout(path, "to"), archive(path, "to.tar")] {
        write(&to, &amd64(&["old"]), "1").unwrap();
        write(&to, &made(&["other"], "linux/arm64", Codec::Zstd), "1").unwrap();
        copy_tag(&path.join("from"), "1", &to, "1").unwrap();
        assert_valid(to.path());
    }
    assert_eq!(content(&path.join("from")), content(&path.join("to")));
}

#[test]
fn a_docker_archive_takes_one_image_and_names_the_platforms_of_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let from = path.join("from");
    attested_layout(&from);
    let to = Destination::DockerArchive(path.join("app.tar"));
    let text = message(copy_tag(&from, "1", &to, "app:1"));
    for said in ["--platform", "linux/amd64, linux/arm64", "one image"] {
        assert!(text.contains(said), "{text}");
    }
    assert!(!to.path().exists());

    let source = source(&from);
    let platform = "linux/arm64".parse().unwrap();
    let root = crate::store::select(source.as_ref(), Some("1"), Some(&platform)).unwrap();
    let target = Target::Disk {
        destination: to.clone(),
        tag: "app:1".into(),
    };
    let chosen = Chosen {
        root,
        attached: false,
    };
    let copied = copy(source.as_ref(), &chosen, &target, at_once(2), &Quiet).unwrap();
    assert_eq!((copied.images, copied.sent), (1, 3));
    assert_valid(to.path());
    // The names of a docker archive do not come along.
    let back = layout(path, "back");
    copy_tag(to.path(), "app:1", &back, "v1").unwrap();
    assert_eq!(tags(super::source(back.path()).as_ref()).unwrap(), ["v1"]);
    assert_valid(back.path());
}

#[test]
fn a_docker_archive_is_not_made_of_layers_that_are_not_their_diff_ids() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (image, other) = (amd64(&["one"]), amd64(&["two"]));
    let mut whole = Whole::of(&image);
    // The config of one image and the layer of another.
    let config = crate::image::descriptor(
        MediaType::ImageConfig,
        &crate::layer::Digest::of(&other.image.config),
        other.image.config.len() as u64,
    );
    let layer = whole.entry.blobs[0].clone();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let type_of = "application/vnd.docker.distribution.manifest.v2+json";
    whole
        .entry
        .documents
        .insert(config.digest().to_string(), other.image.config.clone());
    whole.entry.root = whole.document(type_of, serde_json::to_vec(&manifest).unwrap());
    whole
        .commit(&layout(path, "from"), "1", How::Replace)
        .unwrap();
    let to = Destination::DockerArchive(path.join("app.tar"));
    let text = message(copy_tag(&path.join("from"), "1", &to, "1"));
    assert!(text.contains("the diff_id in the config is"), "{text}");
    assert!(!to.path().exists());
}

#[test]
fn a_layer_that_may_not_be_given_away_is_left_out_when_the_source_has_not_got_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let foreign = |urls: serde_json::Value| {
        let mut whole = Whole::of(&amd64(&["a"]));
        let digest = crate::layer::Digest::of(b"elsewhere").to_string();
        let mut manifest: serde_json::Value =
            serde_json::from_slice(whole.entry.document(whole.entry.root.digest()).unwrap())
                .unwrap();
        let layer = json!({
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": digest, "size": 9, "urls": urls,
        });
        manifest["layers"].as_array_mut().unwrap().push(layer);
        whole.entry.root = whole.document(
            "application/vnd.oci.image.manifest.v1+json",
            serde_json::to_vec(&manifest).unwrap(),
        );
        whole
    };
    let from = layout(path, "from");
    foreign(json!(["https://example.com/layer"]))
        .commit(&from, "1", How::Replace)
        .unwrap();
    let copied = copy_tag(from.path(), "1", &layout(path, "to"), "1").unwrap();
    assert_eq!(copied.sent, 2);
    // Without a place where it is to be had, the image is not whole.
    foreign(json!([])).commit(&from, "1", How::Replace).unwrap();
    let text = message(copy_tag(from.path(), "1", &layout(path, "none"), "1"));
    assert!(text.contains("is missing"), "{text}");
    assert!(!path.join("none").exists());
}

/// An image of more layers than the process may have files open.
#[test]
fn an_image_of_many_layers_is_copied_under_a_low_limit_of_open_files() {
    if let Ok(directory) = std::env::var("COPY_MANY_LAYERS") {
        let directory = Path::new(&directory);
        let to = layout(directory, "to");
        assert_eq!(
            copy_tag(&directory.join("from"), "1", &to, "1")
                .unwrap()
                .sent,
            121
        );
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let contents: Vec<String> = (0..120).map(|number| number.to_string()).collect();
    let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
    let image = made(&contents, "linux/amd64", Codec::None);
    write(&archive(directory.path(), "from"), &image, "1").unwrap();
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -S -n 100 && exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg("transfer::tests::disk::an_image_of_many_layers_is_copied_under_a_low_limit_of_open_files")
        .env("COPY_MANY_LAYERS", directory.path())
        .output()
        .unwrap();
    assert!(limited.status.success(), "{limited:?}");
    assert_valid(&directory.path().join("to"));
}

#[test]
fn copies_in_many_threads_all_end_up_in_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let from = layout(path, "from");
    for number in 0..6 {
        let image = amd64(&["libraries", &number.to_string()]);
        write(&from, &image, &number.to_string()).unwrap();
    }
    for to in [layout(path, "to"), archive(path, "to.tar")] {
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (from, to) = (&from, &to);
                scope.spawn(move || {
                    let tag = number.to_string();
                    copy_tag(from.path(), &tag, to, &tag).unwrap();
                });
            }
        });
        assert_valid(to.path());
        assert_eq!(tags(source(to.path()).as_ref()).unwrap().len(), 6);
    }
    assert_no_litter(path);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever an index holds: a layout, copied to an archive and back, is the same in
    /// every byte.
    #[test]
    fn a_layout_that_went_through_an_archive_has_every_byte_that_it_had(
        platforms in proptest::collection::btree_map(0..4usize, 0..3u8, 1..4),
        parallel in 1..5usize,
    ) {
        const NAMES: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let contents: Vec<(&str, String)> = platforms
            .iter()
            .map(|(platform, content)| (NAMES[*platform], content.to_string()))
            .collect();
        let contents: Vec<(&str, &str)> = contents.iter().map(|(p, c)| (*p, c.as_str())).collect();
        let from = layout(path, "from");
        attested_index(&contents).commit(&from, "1", How::Replace).unwrap();
        let (middle, back) = (archive(path, "middle.tar"), layout(path, "back"));
        for (from, to) in [(&from, &middle), (&middle, &back)] {
            let source = source(from.path());
            let root = only(source.as_ref());
            let target = Target::Disk { destination: to.clone(), tag: "1".into() };
            let counted = Counted::default();
            let copied =
                copy(source.as_ref(), &Chosen { root, attached: false }, &target, at_once(parallel), &counted).unwrap();
            prop_assert_eq!(copied.images, contents.len());
            prop_assert_eq!(counted.moved.into_inner(), copied.sent_bytes);
        }
        prop_assert_eq!(content(from.path()), content(back.path()));
    }
}
