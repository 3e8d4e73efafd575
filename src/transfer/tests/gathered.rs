//! One index of several images.

use serde_json::Value;

use super::*;
use crate::image::Platform;
use crate::store::{images, read_index};

fn layout_of(directory: &Path, name: &str, content: &str, platform: &str) -> Box<dyn Source> {
    let to = Destination::Layout(directory.join(name));
    write(
        &to,
        &made(&["libraries", content], platform, Codec::Gzip),
        "1",
    )
    .unwrap();
    source(to.path())
}

fn part(source: &dyn Source) -> Part<'_> {
    Part {
        source,
        root: only(source),
    }
}

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}

fn platforms(gathered: &Gathered<'_>) -> Vec<String> {
    let index = read_index(gathered, gathered.root()).unwrap();
    let entries = index.manifests().iter();
    entries
        .map(|entry| Platform::from(entry.platform().as_ref().unwrap()).to_string())
        .collect()
}

#[test]
fn images_of_several_stores_become_one_index_that_can_be_copied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let intel = layout_of(path, "intel", "a", "linux/amd64");
    let arm = layout_of(path, "arm", "b", "linux/arm/v7");
    let docker = Destination::DockerArchive(path.join("s390.tar"));
    write(&docker, &made(&["c"], "linux/s390x", Codec::Gzip), "app:1").unwrap();
    let docker = source(docker.path());
    let parts = [part(&*docker), part(&*intel), part(&*arm)];
    let gathered = index(None, &parts, &none()).unwrap();
    assert_eq!(
        platforms(&gathered),
        ["linux/amd64", "linux/arm/v7", "linux/s390x"]
    );
    for (place, part) in parts.iter().enumerate() {
        assert_eq!(gathered.origin(part.root.digest()), Some(place));
    }
    let text = std::str::from_utf8(gathered.bytes()).unwrap();
    // The names that they have in their stores do not come along.
    assert!(
        !text.contains("ref.name") && !text.contains("app:1"),
        "{text}"
    );
    let reversed: Vec<Part<'_>> = parts.iter().rev().cloned().collect();
    let again = index(None, &reversed, &none()).unwrap();
    assert_eq!(again.bytes(), gathered.bytes());

    let to = Destination::Layout(path.join("to"));
    let target = Target::Disk {
        destination: to.clone(),
        tag: "all".into(),
    };
    let root = gathered.root().clone();
    let copied = copy(
        &gathered,
        &Chosen {
            root,
            attached: false,
        },
        &target,
        at_once(3),
        &Quiet,
    )
    .unwrap();
    // Three configs; the layer of the libraries, which two share; a layer of each.
    assert_eq!((copied.images, copied.sent), (3, 7));
    assert_valid(to.path());
    assert_eq!(
        images(source(to.path()).as_ref(), Some("all"))
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn the_same_platform_twice_is_an_error_unless_it_is_the_same_image() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let one = layout_of(path, "one", "a", "linux/arm64");
    let same = layout_of(path, "same", "a", "linux/arm64/v8");
    let other = layout_of(path, "other", "b", "linux/arm64");
    let once = index(None, &[part(&*one), part(&*same)], &none()).unwrap();
    assert_eq!(platforms(&once), ["linux/arm64"]);
    let text = message(index(None, &[part(&*one), part(&*other)], &none()));
    for said in ["linux/arm64", "one", "other", "leave one of them out"] {
        assert!(text.contains(said), "{text}");
    }
    assert!(message(index(None, &[], &none())).contains("no image"));
}

#[test]
fn an_attestation_stays_with_the_image_that_it_is_of_and_goes_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let old = attested_layout(&path.join("old"));
    let old_source = source(&path.join("old"));
    // A new image for one of the platforms, which has no attestation.
    let new = layout_of(path, "new", "new", "linux/amd64");
    let existing = part(&*old_source);
    let annotations = BTreeMap::from([("by".to_owned(), "us".to_owned())]);
    let gathered = index(Some(&existing), &[part(&*new)], &annotations).unwrap();
    let found = platforms(&gathered);
    assert_eq!(found, ["linux/amd64", "linux/arm64", "unknown/unknown"]);
    let document: Value = serde_json::from_slice(gathered.bytes()).unwrap();
    let entries = document["manifests"].as_array().unwrap();
    let of = &entries[2]["annotations"]["vnd.docker.reference.digest"];
    assert_eq!(*of, entries[1]["digest"]);
    // What is not known is kept, and what the index said.
    assert_eq!(entries[1]["future"], "kept");
    assert_eq!(document["annotations"]["of"], "the index");
    assert_eq!(document["annotations"]["by"], "us");
    assert_eq!(gathered.origin(only(&*new).digest()), Some(0));
    assert_eq!(gathered.origin(old.entry.root.digest()), Some(1));

    let to = Destination::OciArchive(path.join("to.tar"));
    let target = Target::Disk {
        destination: to.clone(),
        tag: "1".into(),
    };
    let root = gathered.root().clone();
    copy(
        &gathered,
        &Chosen {
            root,
            attached: false,
        },
        &target,
        at_once(2),
        &Quiet,
    )
    .unwrap();
    assert_eq!(images(source(to.path()).as_ref(), None).unwrap().len(), 2);
}

#[test]
fn an_index_of_the_same_images_is_the_same_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let one = layout_of(path, "one", "a", "linux/arm64");
    let two = layout_of(path, "two", "b", "linux/amd64");
    let first = index(None, &[part(&*one), part(&*two)], &none()).unwrap();
    let existing = Part {
        source: &first,
        root: first.root().clone(),
    };
    let second = index(Some(&existing), &[part(&*two)], &none()).unwrap();
    assert_eq!(first.bytes(), second.bytes());
}

#[test]
fn a_platform_that_only_the_config_tells_is_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let one = layout_of(path, "one", "a", "linux/riscv64");
    let mut root = only(&*one);
    root.set_platform(None);
    let part = Part {
        source: &*one,
        root,
    };
    let gathered = index(None, &[part], &none()).unwrap();
    assert_eq!(platforms(&gathered), ["linux/riscv64"]);
}
