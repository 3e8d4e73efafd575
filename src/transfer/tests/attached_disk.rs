//! Signatures and the like go along to stores on disk, and from one to another.

use serde_json::{Value, json};

use super::signed::Signed;
use super::*;
use crate::store::{Attached, Link, attached_tag, read_document};

fn destinations(directory: &Path) -> [Destination; 2] {
    [
        Destination::Layout(directory.join("app.oci")),
        Destination::OciArchive(directory.join("app.tar")),
    ]
}

fn to(destination: &Destination) -> Target {
    Target::Disk {
        destination: destination.clone(),
        tag: "1".into(),
    }
}

fn write_to(
    source: &dyn Source,
    chosen: &Chosen,
    destination: &Destination,
) -> Result<Copied, TransferError> {
    copy(source, chosen, &to(destination), at_once(3), &Quiet)
}

/// What is attached to what has the tag `1`: each link, and the bytes of the manifest.
fn attached(path: &Path) -> Vec<(Link, Vec<u8>)> {
    let source = source(path);
    let root = tagged(source.as_ref(), "1");
    attached_to(source.as_ref(), root.digest())
}

fn attached_to(source: &dyn Source, subject: &oci_spec::image::Digest) -> Vec<(Link, Vec<u8>)> {
    let found = source.attached(subject).unwrap();
    found
        .iter()
        .map(|Attached { manifest, link }| (link.clone(), read_document(source, manifest).unwrap()))
        .collect()
}

fn copy_of(signed: &Signed) -> Vec<(Link, Vec<u8>)> {
    attached_to(signed, &signed.root())
}

#[test]
fn a_store_on_disk_gets_what_is_attached_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let signed = Signed::small();
    for destination in destinations(directory.path()) {
        let copied = write_to(&signed, &signed.chosen(), &destination).unwrap();
        assert_eq!((copied.images, copied.sent, copied.attached), (1, 7, 2));
        assert_eq!(attached(destination.path()), copy_of(&signed));
        assert_valid(destination.path());
        let before = std::fs::metadata(destination.path()).unwrap().modified();
        let again = write_to(&signed, &signed.chosen(), &destination).unwrap();
        assert!(again.unchanged, "{again:?}");
        assert_eq!((again.sent, again.present, again.attached), (0, 7, 2));
        let after = std::fs::metadata(destination.path()).unwrap().modified();
        assert_eq!(before.unwrap(), after.unwrap());
    }
    assert_no_litter(directory.path());
}

#[test]
fn it_goes_on_from_one_store_on_disk_to_another() {
    let directory = tempfile::tempdir().unwrap();
    let signed = Signed::small();
    let all = destinations(directory.path());
    write_to(&signed, &signed.chosen(), &all[0]).unwrap();
    let [_, archive] = &all;
    let from = source(all[0].path());
    let root = tagged(from.as_ref(), "1");
    let chosen = Chosen {
        root,
        attached: true,
    };
    write_to(from.as_ref(), &chosen, archive).unwrap();
    assert_eq!(attached(archive.path()), copy_of(&signed));
    let back = Destination::Layout(directory.path().join("back.oci"));
    let from = source(archive.path());
    let root = tagged(from.as_ref(), "1");
    let chosen = Chosen {
        root,
        attached: true,
    };
    write_to(from.as_ref(), &chosen, &back).unwrap();
    assert_eq!(content(back.path()), content(all[0].path()));
}

#[test]
fn what_is_not_wanted_is_not_written_and_what_is_there_stays() {
    let directory = tempfile::tempdir().unwrap();
    let signed = Signed::small();
    let without = Chosen {
        attached: false,
        ..signed.chosen()
    };
    for destination in destinations(directory.path()) {
        let copied = write_to(&signed, &without, &destination).unwrap();
        assert_eq!((copied.sent, copied.attached), (3, 0));
        assert_eq!(attached(destination.path()), []);
        write_to(&signed, &signed.chosen(), &destination).unwrap();
        let again = write_to(&signed, &without, &destination).unwrap();
        assert!(again.unchanged, "{again:?}");
        assert_eq!(attached(destination.path()), copy_of(&signed));
    }
}

#[test]
fn a_signature_made_later_is_added_to_an_image_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    for destination in destinations(directory.path()) {
        let mut signed = Signed::of(&Whole::of(&amd64(&["a"])));
        write_to(&signed, &signed.chosen(), &destination).unwrap();
        signed.refer(&signed.root(), "later");
        let copied = write_to(&signed, &signed.chosen(), &destination).unwrap();
        assert!(!copied.unchanged, "{copied:?}");
        assert_eq!((copied.sent, copied.present, copied.attached), (2, 2, 1));
        assert_eq!(attached(destination.path()), copy_of(&signed));
        assert_valid(destination.path());
    }
}

#[test]
fn what_others_signed_in_the_store_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut theirs = Signed::of(&Whole::of(&amd64(&["a"])));
    let root = theirs.root();
    theirs.sign(&root, &["them", "both"]);
    let mut ours = Signed::of(&Whole::of(&amd64(&["a"])));
    ours.sign(&root, &["both", "us"]);
    for destination in destinations(directory.path()) {
        write_to(&theirs, &theirs.chosen(), &destination).unwrap();
        let copied = write_to(&ours, &ours.chosen(), &destination).unwrap();
        assert_eq!((copied.unchanged, copied.attached), (false, 1));
        let found = attached(destination.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, Link::Tag(attached_tag(&root, "sig")));
        let manifest: Value = serde_json::from_slice(&found[0].1).unwrap();
        let by = |layer: &Value| layer["annotations"]["dev.cosignproject.cosign/signature"].clone();
        let layers = manifest["layers"].as_array().unwrap();
        let signers: Vec<Value> = layers.iter().map(by).collect();
        assert_eq!(signers, [json!("them"), json!("both"), json!("us")]);
        assert_valid(destination.path());
        for signed in [&ours, &theirs] {
            let again = write_to(signed, &signed.chosen(), &destination).unwrap();
            assert!(again.unchanged, "{again:?}");
        }
    }
}

#[test]
fn the_images_of_an_index_keep_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let whole = attested_index(&[("linux/arm64", "arm"), ("linux/amd64", "intel")]);
    let mut signed = Signed::of(&whole);
    let all = images(&signed, None).unwrap();
    let image = all[0].0.digest().clone();
    signed.sign(&signed.root(), &["of all"]);
    signed.refer(&image, "of one");
    for destination in destinations(directory.path()) {
        let copied = write_to(&signed, &signed.chosen(), &destination).unwrap();
        assert_eq!((copied.images, copied.attached), (2, 2));
        let there = source(destination.path());
        for subject in [&image, &signed.root()] {
            let found = attached_to(there.as_ref(), subject);
            assert_eq!(found, attached_to(&signed, subject));
            assert_eq!(found.len(), 1);
        }
        let again = write_to(&signed, &signed.chosen(), &destination).unwrap();
        assert!(again.unchanged, "{again:?}");
    }
}

#[test]
fn a_layout_gets_what_is_attached_to_an_image_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut signed = Signed::of(&Whole::of(&amd64(&["a"])));
    let root = signed.root();
    let chosen = signed.chosen();
    signed.refer(&root, "one");
    let [destination, _] = destinations(directory.path());
    let without = Chosen {
        attached: false,
        ..chosen.clone()
    };
    write_to(&signed, &without, &destination).unwrap();
    let bundle = signed.attachment(&root, 0);
    let left = attach(Home::Disk(destination.path()), &chosen.root, &[bundle], &[]);
    assert!(left.unwrap().is_empty());
    assert_eq!(attached(destination.path()), copy_of(&signed));
}
