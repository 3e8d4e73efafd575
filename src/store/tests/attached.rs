//! What is attached to images.

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, Digest as OciDigest};
use serde_json::{Value, json};

use super::entries::{Whole, attested_index};
use super::*;

mod staying;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn oci(directory: &Path) -> [Destination; 2] {
    [
        Destination::Layout(directory.join("app.oci")),
        Destination::OciArchive(directory.join("app.tar")),
    ]
}

fn described(media_type: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": media_type, "size": bytes.len(),
        "digest": Digest::of(bytes).to_string(),
    })
}

/// A manifest with one layer, all of it in memory.
fn attachment(manifest: &Value, blobs: &[&[u8]], link: Link) -> Attachment {
    let manifest = serde_json::to_vec(manifest).unwrap();
    let root = serde_json::from_value(described(MANIFEST, &manifest)).unwrap();
    let all = blobs.iter().copied().chain([manifest.as_slice()]);
    let documents = all.map(|bytes| (Digest::of(bytes).to_string(), bytes.to_vec()));
    Attachment {
        entry: Entry {
            root,
            documents: documents.collect(),
            blobs: Vec::new(),
        },
        link,
        instead: Vec::new(),
    }
}

/// As cosign's: a manifest under a tag made of the digest.
fn classic(subject: &OciDigest, suffix: &str, content: &str) -> Attachment {
    let config = format!("{{\"config of\":{content:?}}}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": described("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [described("application/vnd.dev.cosign.simplesigning.v1+json", content.as_bytes())],
    });
    let link = Link::Tag(attached_tag(subject, suffix));
    attachment(&manifest, &[config.as_bytes(), content.as_bytes()], link)
}

/// A manifest that names its subject.
fn bundle(subject: &Descriptor, content: &str) -> Attachment {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE,
        "config": described("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [described(BUNDLE, content.as_bytes())],
        "subject": subject,
    });
    attachment(&manifest, &[b"{}", content.as_bytes()], Link::Subject)
}

fn root_of(made: &Made) -> Descriptor {
    made.image.descriptor.clone()
}

fn put(to: &Destination, subject: &Descriptor, attached: &[Attachment]) {
    attach(to.path(), subject.digest(), attached, &[]).unwrap();
}

/// What is attached, by digest.
fn attached(to: &Destination, subject: &Descriptor) -> Vec<(String, Link)> {
    let found = source(to.path()).attached(subject.digest()).unwrap();
    let found = found.into_iter();
    found
        .map(|one| (one.manifest.digest().to_string(), one.link))
        .collect()
}

fn expected(attached: &[&Attachment]) -> Vec<(String, Link)> {
    attached
        .iter()
        .map(|one| (one.entry.root.digest().to_string(), one.link.clone()))
        .collect()
}

/// Tag, kind and artifact type of each entry of the index.
fn entries(to: &Destination) -> Vec<(String, String, String)> {
    let index = serde_json::to_value(source(to.path()).index().unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = index["manifests"].as_array().unwrap().iter();
    entries
        .map(|entry| {
            (
                text(&entry["annotations"][ANNOTATION_REF_NAME]),
                text(&entry["annotations"]["kind"]).replace("dev.cosignproject.cosign/", ""),
                text(&entry["artifactType"]),
            )
        })
        .collect()
}

fn bytes_of(to: &Destination) -> Vec<u8> {
    match to {
        Destination::Layout(path) => std::fs::read(path.join("index.json")).unwrap(),
        to => std::fs::read(to.path()).unwrap(),
    }
}

/// Writes another index into a layout.
fn rewrite(layout: &Destination, change: impl FnOnce(&mut Vec<Value>)) {
    let path = layout.path().join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(index["manifests"].as_array_mut().unwrap());
    std::fs::write(path, index.to_string()).unwrap();
}

#[test]
fn what_is_attached_is_found_again_and_has_the_names_that_cosign_looks_for() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    let sig = classic(root.digest(), "sig", "s");
    let att = classic(root.digest(), "att", "t");
    let sbom = classic(root.digest(), "sbom", "m");
    let of_subject = bundle(&root, "b");
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        assert_eq!(attached(&to, &root), []);
        let all = [of_subject.clone(), sig.clone(), sbom.clone(), att.clone()];
        put(&to, &root, &all);
        assert_eq!(
            attached(&to, &root),
            expected(&[&att, &sbom, &sig, &of_subject])
        );
        let tag = |suffix| attached_tag(root.digest(), suffix);
        let entry = |tag: &str, kind: &str, artifact: &str| {
            (tag.to_owned(), kind.to_owned(), artifact.to_owned())
        };
        assert_eq!(
            entries(&to),
            [
                entry("1", "image", ""),
                entry(&tag("att"), "atts", ""),
                entry(&tag("sbom"), "", ""),
                entry(&tag("sig"), "sigs", ""),
                entry("", "", BUNDLE),
            ]
        );
        // Its documents can be read by what was found.
        let found = source(to.path()).attached(root.digest()).unwrap();
        assert_eq!(
            found[3].manifest.artifact_type().as_ref().unwrap().as_ref(),
            BUNDLE
        );
        for one in &found {
            assert!(one.manifest.annotations().is_none(), "{one:?}");
            read_manifest(source(to.path()).as_ref(), &one.manifest).unwrap();
        }
        assert_eq!(attached(&to, &found[0].manifest), []);
    }
    assert_no_litter(directory.path());
}

#[test]
fn a_signed_image_is_still_the_only_one_of_its_store() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root_digest = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        let sig = classic(root_digest.digest(), "sig", "s");
        let all = [sig.clone(), bundle(&root_digest, "b")];
        put(&to, &root_digest, &all);
        let store = source(to.path());
        let store = store.as_ref();
        assert_eq!(root(store, None).unwrap().digest(), root_digest.digest());
        assert_eq!(
            select(store, None, None).unwrap().digest(),
            root_digest.digest()
        );
        assert_eq!(images(store, None).unwrap().len(), 1);
        assert_eq!(tags(store).unwrap(), ["1"]);
        let inspected = crate::report::root(store, None).unwrap().unwrap();
        assert_eq!(inspected.digest(), root_digest.digest());
        // By its name all the same.
        let tag = attached_tag(root_digest.digest(), "sig");
        let named = root(store, Some(&tag)).unwrap();
        assert_eq!(named.digest(), sig.entry.root.digest());
        let said = message(root(store, Some("2")));
        assert!(said.ends_with("tags in it: 1"), "{said}");
    }
}

#[test]
fn attaching_the_same_again_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        let all = [classic(root.digest(), "sig", "s"), bundle(&root, "b")];
        put(&to, &root, &all);
        let file = match to.form() {
            Form::Layout => to.path().join("index.json"),
            _ => to.path().to_path_buf(),
        };
        use std::os::unix::fs::MetadataExt;
        let inode = file.metadata().unwrap().ino();
        let [one, other] = all;
        put(&to, &root, &[other, one]);
        assert_eq!(file.metadata().unwrap().ino(), inode);
        put(&to, &root, &[]);
        assert_eq!(file.metadata().unwrap().ino(), inode);
    }
}

#[test]
fn the_same_attachments_in_any_order_give_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let index = attested_index(&[("linux/arm64", "arm"), ("linux/amd64", "intel")]);
    let single = amd64(&["b"]);
    let (a, b) = (index.entry.root.clone(), root_of(&single));
    let mut bytes = Vec::new();
    for turn in 0..4 {
        let inside = directory.path().join(turn.to_string());
        std::fs::create_dir(&inside).unwrap();
        for to in oci(&inside) {
            index.commit(&to, "a", How::Replace).unwrap();
            write(&to, &single, "b").unwrap();
            let nested = images(source(to.path()).as_ref(), Some("a")).unwrap();
            let mut all: Vec<(Descriptor, Attachment)> = Vec::new();
            for image in [&a, &b, &nested[0].0, &nested[1].0] {
                let digest = image.digest();
                all.push((
                    image.clone(),
                    classic(digest, "sig", &format!("s {digest}")),
                ));
                all.push((image.clone(), bundle(image, &format!("b {digest}"))));
            }
            all.rotate_left(turn * 2);
            if turn % 2 == 1 {
                all.reverse();
            }
            for (image, one) in &all {
                put(&to, image, std::slice::from_ref(one));
            }
            bytes.push(bytes_of(&to));
            let kinds: Vec<String> = entries(&to).into_iter().map(|entry| entry.1).collect();
            // Those of the images within have none: cosign would take them for the index's.
            assert_eq!(
                kinds,
                [
                    "imageIndex",
                    "sigs",
                    "",
                    "",
                    "",
                    "",
                    "",
                    "image",
                    "sigs",
                    ""
                ]
            );
        }
    }
    for pair in bytes.chunks(2) {
        assert!(pair[0] == bytes[0] && pair[1] == bytes[1]);
    }
}

#[test]
fn what_has_the_same_tag_or_is_named_is_replaced_with_its_blobs() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        let (old, old_bundle) = (classic(root.digest(), "sig", "old"), bundle(&root, "old b"));
        put(&to, &root, &[old.clone(), old_bundle.clone()]);
        let (mut new, new_bundle) = (classic(root.digest(), "sig", "new"), bundle(&root, "new b"));
        new.instead = vec![old.entry.root.digest().clone()];
        let gone = [old_bundle.entry.root.digest().clone()];
        let all = [new.clone(), new_bundle.clone()];
        attach(to.path(), root.digest(), &all, &gone).unwrap();
        assert_eq!(attached(&to, &root), expected(&[&new, &new_bundle]));
        let store = source(to.path());
        for digest in old
            .entry
            .documents
            .keys()
            .chain(old_bundle.entry.documents.keys())
        {
            let is_used = new_bundle.entry.documents.contains_key(digest);
            let digest: OciDigest = digest.parse().unwrap();
            let blob = Descriptor::new(MediaType::ImageConfig, 2, digest);
            assert_eq!(store.blob(&blob).is_ok(), is_used);
        }
        // Nothing but what is attached to this image can be named.
        let image = [root.digest().clone()];
        attach(to.path(), root.digest(), &[], &image).unwrap();
        found(to.path(), "1", "linux/amd64").unwrap();
        // What is put again stays.
        let own = [new_bundle.entry.root.digest().clone()];
        attach(
            to.path(),
            root.digest(),
            std::slice::from_ref(&new_bundle),
            &own,
        )
        .unwrap();
        assert_eq!(attached(&to, &root), expected(&[&new, &new_bundle]));
    }
    assert_no_litter(directory.path());
}

#[test]
fn what_another_put_under_a_tag_meanwhile_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        let theirs = classic(root.digest(), "sig", "theirs");
        put(&to, &root, std::slice::from_ref(&theirs));
        let before = bytes_of(&to);
        // It was made when nothing had the tag.
        let ours = classic(root.digest(), "sig", "ours");
        let said = message(attach(
            to.path(),
            root.digest(),
            &[ours.clone(), bundle(&root, "b")],
            &[],
        ));
        assert!(said.contains(&attached_tag(root.digest(), "sig")), "{said}");
        assert!(said.contains("try again"), "{said}");
        // The same is no other.
        put(&to, &root, std::slice::from_ref(&theirs));
        assert_eq!(attached(&to, &root), expected(&[&theirs]));
        assert!(bytes_of(&to) == before);
    }
    assert_no_litter(directory.path());
}

#[test]
fn what_comes_with_an_image_is_written_in_the_same_edit() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    let whole = Whole::of(&made);
    for to in oci(directory.path()) {
        let writer = Writer::open(&to).unwrap();
        // One blob is staged, as a copy does it.
        let mut sig = classic(root.digest(), "sig", "s");
        let content = sig
            .entry
            .documents
            .remove(&Digest::of(b"s").to_string())
            .unwrap();
        let blob: Descriptor = serde_json::from_value(described("a/b", &content)).unwrap();
        sig.entry.blobs.push(blob.clone());
        let mut staged = Vec::new();
        for (digest, bytes) in whole
            .blobs
            .iter()
            .cloned()
            .chain([(blob.digest().clone(), content)])
        {
            let mut place = writer.stage().unwrap();
            place.write_all(&bytes).unwrap();
            staged.push((digest, place));
        }
        let all = [bundle(&root, "b"), sig];
        writer
            .commit_entry(&whole.entry, staged, Some("1"), How::Replace, &all)
            .unwrap();
        assert_eq!(attached(&to, &root), expected(&[&all[1], &all[0]]));
        assert_eq!(entries(&to)[0].1, "image");
        assert_valid(to.path());
    }
    let archive = Destination::DockerArchive(directory.path().join("docker.tar"));
    let writer = Writer::open(&archive).unwrap();
    let all = [bundle(&root, "b")];
    let said =
        message(writer.commit_entry(&whole.entry, Vec::new(), Some("a:1"), How::Replace, &all));
    assert!(said.contains("has no room for signatures"), "{said}");
}

#[test]
fn what_cannot_be_attached_is_refused_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let (made, other) = (amd64(&["a"]), root_of(&amd64(&["b"])));
    let root = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        let before = (bytes_of(&to), files(directory.path()));
        let refused = |subject: &Descriptor, one: Attachment| {
            message(attach(to.path(), subject.digest(), &[one], &[]))
        };
        let said = refused(&other, classic(other.digest(), "sig", "s"));
        assert!(said.contains("no image with the digest sha256:"), "{said}");
        let said = refused(&root, classic(other.digest(), "sig", "s"));
        assert!(
            said.contains("it is of sha256:") && said.contains("and not of"),
            "{said}"
        );
        let said = refused(&root, bundle(&other, "b"));
        assert!(said.contains("and not of"), "{said}");
        let mut wrong = classic(root.digest(), "sig", "s");
        wrong.link = Link::Tag("latest".to_owned());
        let said = refused(&root, wrong);
        assert!(
            said.contains("\"latest\" is no tag of something attached"),
            "{said}"
        );
        let mut wrong = classic(root.digest(), "sig", "s");
        wrong.link = Link::Subject;
        assert!(refused(&root, wrong).contains("has no subject"));
        let mut damaged = bundle(&root, "b");
        let digest = damaged.entry.root.digest().to_string();
        damaged.entry.documents.get_mut(&digest).unwrap()[0] ^= 1;
        assert!(refused(&root, damaged).contains("damaged"));
        let mut lacking = bundle(&root, "b");
        let blob: Descriptor = serde_json::from_value(described(BUNDLE, b"b")).unwrap();
        lacking.entry.documents.remove(blob.digest().as_ref());
        lacking.entry.blobs.push(blob);
        assert!(refused(&root, lacking).contains("was not given"));
        assert!((bytes_of(&to), files(directory.path())) == before);
    }
    let archive = Destination::DockerArchive(directory.path().join("docker.tar"));
    write(&archive, &made, "a:1").unwrap();
    let said = message(attach(
        archive.path(),
        root.digest(),
        &[bundle(&root, "b")],
        &[],
    ));
    assert!(said.contains("has no room for signatures"), "{said}");
    let none = directory.path().join("none");
    let said = message(attach(&none, root.digest(), &[], &[]));
    assert!(said.contains("does not exist") && !none.exists(), "{said}");
    assert_no_litter(directory.path());
}

#[test]
fn an_index_comes_with_what_is_attached_to_it_and_to_its_images() {
    let directory = tempfile::tempdir().unwrap();
    let whole = attested_index(&[("linux/arm64", "arm"), ("linux/amd64", "intel")]);
    let index = whole.entry.root.clone();
    for to in oci(directory.path()) {
        whole.commit(&to, "1", How::Replace).unwrap();
        let nested = images(source(to.path()).as_ref(), None).unwrap()[0]
            .0
            .clone();
        std::fs::remove_dir_all(to.path())
            .or_else(|_| std::fs::remove_file(to.path()))
            .unwrap();
        let writer = Writer::open(&to).unwrap();
        let staged = whole.blobs.iter().map(|(digest, bytes)| {
            let mut place = writer.stage().unwrap();
            place.write_all(bytes).unwrap();
            (digest.clone(), place)
        });
        let inner = classic(nested.digest(), "sig", "inner");
        let all = [inner.clone(), bundle(&index, "outer")];
        let staged = staged.collect();
        writer
            .commit_entry(&whole.entry, staged, Some("1"), How::Replace, &all)
            .unwrap();
        assert_eq!(attached(&to, &nested), expected(&[&inner]));
        assert_eq!(attached(&to, &index), expected(&[&all[1]]));
        // A foreign one is refused.
        let other = [bundle(&root_of(&amd64(&["other"])), "b")];
        let writer = Writer::open(&to).unwrap();
        let said =
            message(writer.commit_entry(&whole.entry, Vec::new(), Some("1"), How::Replace, &other));
        assert!(
            said.contains("was not given") || said.contains("no image with the digest"),
            "{said}"
        );
    }
}

#[test]
fn where_a_descriptor_comes_from_makes_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    let mut bytes = Vec::new();
    for listed in [false, true] {
        let to = Destination::Layout(directory.path().join(listed.to_string()));
        write(&to, &made, "1").unwrap();
        let mut all = [classic(root.digest(), "sig", "s"), bundle(&root, "b")];
        if listed {
            for one in &mut all {
                let mut of_registry = json!(one.entry.root);
                of_registry["artifactType"] = json!("application/vnd.oci.empty.v1+json");
                of_registry["annotations"] = json!({ ANNOTATION_REF_NAME: "x", "a": "b" });
                one.entry.root = serde_json::from_value(of_registry).unwrap();
            }
        }
        put(&to, &root, &all);
        bytes.push(bytes_of(&to));
    }
    assert!(bytes[0] == bytes[1]);
}
