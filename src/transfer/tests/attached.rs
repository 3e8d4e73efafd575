//! Signatures and the like go along with their image.

use oci_spec::image::Digest as OciDigest;
use serde_json::{Value, json};

use super::super::along::MOST_ATTACHED;
use super::super::attach::put;
use super::super::push::send;
use super::push::Registry;
use super::signed::Signed;
use super::*;
use crate::layer::Digest;
use crate::store::{Attached, Link, attached_tag};

fn push(signed: &Signed, registry: &Registry, wanted: &str) -> Result<Copied, TransferError> {
    let parallel = at_once(3);
    send(signed, &signed.chosen(), registry, wanted, parallel, &Quiet)
}

fn position(log: &[String], line: &str) -> usize {
    let found = log.iter().position(|logged| logged == line);
    found.unwrap_or_else(|| panic!("{line} is not in {log:#?}"))
}

/// What is under a name.
fn under(registry: &Registry, name: &str) -> Option<Vec<u8>> {
    let has = registry.has.lock().unwrap();
    has.manifests.get(name).map(|(_, bytes)| bytes.clone())
}

#[test]
fn what_is_attached_is_there_before_the_name_and_after_what_it_refers_to() {
    let signed = Signed::small();
    let registry = Registry::default();
    let copied = push(&signed, &registry, "v1").unwrap();
    assert_eq!((copied.images, copied.attached), (1, 2));
    // Two layers and a config; a payload and a config; a bundle and an empty config.
    assert_eq!((copied.sent, copied.unchanged), (7, false));
    let root = signed.root();
    let tag = attached_tag(&root, "sig");
    let bundle = signed.attached[root.as_ref()][1].manifest.clone();
    let log = registry.log();
    let image = position(&log, &format!("PUT {root}"));
    for name in [&tag, bundle.digest().as_ref()] {
        assert!(image < position(&log, &format!("PUT {name}")), "{log:#?}");
    }
    assert_eq!(log.last().unwrap(), "PUT v1");
    let has = registry.has.lock().unwrap();
    for (digest, bytes) in &signed.blobs {
        let manifest = has.manifests.get(digest).map(|(_, bytes)| bytes);
        assert_eq!(manifest.or(has.blobs.get(digest)), Some(bytes), "{digest}");
    }
    assert!(has.manifests.contains_key(&tag));
}

#[test]
fn a_copy_by_digest_has_what_is_attached() {
    let signed = Signed::small();
    let registry = Registry::default();
    let root = signed.root().to_string();
    let copied = push(&signed, &registry, &root).unwrap();
    assert_eq!(copied.attached, 2);
    let puts = registry.log();
    let puts: Vec<&String> = puts.iter().filter(|it| it.starts_with("PUT")).collect();
    assert_eq!(puts.len(), 3, "{puts:#?}");
}

#[test]
fn nobody_is_asked_for_signatures_that_are_not_wanted() {
    let signed = Signed::small();
    let registry = Registry::default();
    let chosen = Chosen {
        attached: false,
        ..signed.chosen()
    };
    let copied = send(&signed, &chosen, &registry, "v1", at_once(2), &Quiet).unwrap();
    assert_eq!((copied.sent, copied.attached), (3, 0));
    assert_eq!(signed.asked(), Vec::<String>::new());
    assert_eq!(under(&registry, &attached_tag(&signed.root(), "sig")), None);
}

#[test]
fn of_an_index_its_own_signatures_go_along_and_those_of_its_images() {
    let whole = attested_index(&[("linux/arm64", "arm"), ("linux/amd64", "intel")]);
    let mut signed = Signed::of(&whole);
    let index: ImageIndex =
        serde_json::from_slice(whole.entry.document(whole.entry.root.digest()).unwrap()).unwrap();
    let image =
        |entry: &&Descriptor| entry.platform().as_ref().unwrap().os().to_string() != "unknown";
    let images: Vec<OciDigest> = index
        .manifests()
        .iter()
        .filter(image)
        .map(|entry| entry.digest().clone())
        .collect();
    let attestation = index.manifests().iter().find(|it| !image(it)).unwrap();
    signed.sign(&signed.root(), &["of all"]);
    signed.refer(&images[0], "of one");
    signed.sign(&images[1], &["of another"]);
    signed.sign(attestation.digest(), &["of a statement"]);
    let registry = Registry::default();
    let copied = push(&signed, &registry, "v1").unwrap();
    assert_eq!((copied.images, copied.attached), (2, 3));
    let mut expected = vec![signed.root().to_string()];
    expected.extend(images.iter().map(ToString::to_string));
    expected.sort_unstable();
    let mut asked = signed.asked();
    asked.sort_unstable();
    assert_eq!(asked, expected);
    let of = |digest: &OciDigest| under(&registry, &attached_tag(digest, "sig"));
    assert!(of(&signed.root()).is_some() && of(&images[1]).is_some());
    assert_eq!(of(attestation.digest()), None);
}

#[test]
fn a_signed_image_that_is_there_costs_a_question_for_each_of_its_parts() {
    let signed = Signed::small();
    let registry = Registry::default();
    push(&signed, &registry, "v1").unwrap();
    registry.log();
    let copied = push(&signed, &registry, "v1").unwrap();
    assert!(copied.unchanged, "{copied:?}");
    assert_eq!((copied.attached, copied.sent, copied.images), (2, 0, 1));
    let root = signed.root();
    let bundle = signed.attached[root.as_ref()][1].manifest.clone();
    let mut expected = [
        "HEAD v1".to_owned(),
        format!("HEAD {}", attached_tag(&root, "sig")),
        format!("HEAD {}", bundle.digest()),
        format!("LIST {root}"),
    ];
    expected.sort_unstable();
    let mut log = registry.log();
    log.sort_unstable();
    assert_eq!(log, expected);
    // One without any costs what it did.
    let mut unsigned = Signed::small();
    unsigned.attached.clear();
    assert!(push(&unsigned, &registry, "v1").unwrap().unchanged);
    assert_eq!(registry.log(), ["HEAD v1"]);
}

#[test]
fn a_signature_made_later_is_sent_to_an_image_that_is_there() {
    let mut signed = Signed::of(&Whole::of(&amd64(&["a"])));
    let registry = Registry::default();
    push(&signed, &registry, "v1").unwrap();
    let root = signed.root();
    let bundle = signed.refer(&root, "later");
    signed.sign(&root, &["later"]);
    registry.log();
    let copied = push(&signed, &registry, "v1").unwrap();
    assert!(!copied.unchanged, "{copied:?}");
    assert_eq!((copied.attached, copied.sent, copied.images), (2, 4, 1));
    let log = registry.log();
    let mut puts: Vec<&String> = log.iter().filter(|it| it.starts_with("PUT")).collect();
    puts.sort_unstable();
    let mut expected = [
        format!("PUT {}", bundle.digest()),
        format!("PUT {}", attached_tag(&root, "sig")),
    ];
    expected.sort_unstable();
    assert_eq!(puts, expected.iter().collect::<Vec<_>>());
    assert!(push(&signed, &registry, "v1").unwrap().unchanged);
}

#[test]
fn a_list_that_names_what_is_gone_does_not_keep_a_signature_away() {
    let signed = Signed::small();
    let registry = Registry::default();
    push(&signed, &registry, "v1").unwrap();
    let bundle = signed.attached[signed.root().as_ref()][1].manifest.clone();
    let gone = bundle.digest().to_string();
    {
        let mut has = registry.has.lock().unwrap();
        let listed = has.manifests.remove(&gone).unwrap();
        has.manifests.insert("still listed".to_owned(), listed);
    }
    assert!(!push(&signed, &registry, "v1").unwrap().unchanged);
    assert!(under(&registry, &gone).is_some());
}

#[test]
fn what_others_signed_at_the_target_stays() {
    let (registry, mut theirs) = (Registry::default(), Signed::of(&Whole::of(&amd64(&["a"]))));
    let root = theirs.root();
    theirs.sign(&root, &["them", "both"]);
    push(&theirs, &registry, "v1").unwrap();
    let mut ours = Signed::of(&Whole::of(&amd64(&["a"])));
    ours.sign(&root, &["both", "us"]);
    let copied = push(&ours, &registry, "v1").unwrap();
    assert!(!copied.unchanged, "{copied:?}");
    let manifest = under(&registry, &attached_tag(&root, "sig")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let by = |layer: &Value| layer["annotations"]["dev.cosignproject.cosign/signature"].clone();
    let layers = manifest["layers"].as_array().unwrap();
    let signers: Vec<Value> = layers.iter().map(by).collect();
    assert_eq!(signers, [json!("them"), json!("both"), json!("us")]);
    // From then on all of it is there, whoever comes.
    for signed in [&ours, &theirs] {
        registry.log();
        assert!(push(signed, &registry, "v1").unwrap().unchanged);
        assert!(!registry.log().iter().any(|line| line.starts_with("PUT")));
    }
}

#[test]
fn a_source_that_does_not_tell_fails_the_copy_with_what_to_do() {
    let mut signed = Signed::small();
    signed.is_silent = true;
    let registry = Registry::default();
    let text = message(push(&signed, &registry, "v1"));
    for words in [
        "--no-signatures",
        "the signed store",
        signed.root().as_ref(),
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(registry.has.lock().unwrap().manifests.is_empty());
}

#[test]
fn a_signature_that_is_damaged_or_refused_fails_the_copy_before_the_name() {
    for is_refused in [false, true] {
        let mut signed = Signed::small();
        let mut registry = Registry::default();
        let root = signed.root();
        let (manifest, name) = match &signed.attached[root.as_ref()][0] {
            Attached {
                manifest,
                link: Link::Tag(tag),
            } => (manifest.digest().to_string(), tag.clone()),
            other => panic!("{other:?}"),
        };
        match is_refused {
            true => registry.refused = Some(name),
            false => drop(signed.blobs.remove(&manifest)),
        }
        let text = message(push(&signed, &registry, "v1"));
        for words in ["--no-signatures", manifest.as_str(), root.as_ref()] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(under(&registry, "v1"), None);
    }
}

#[test]
fn a_thousand_go_along_and_more_are_too_many() {
    let mut signed = Signed::of(&Whole::of(&amd64(&["a"])));
    let root = signed.root();
    for number in 0..MOST_ATTACHED {
        signed.refer(&root, &number.to_string());
    }
    let registry = Registry::default();
    let copied = push(&signed, &registry, "v1").unwrap();
    assert_eq!(copied.attached, MOST_ATTACHED);
    signed.refer(&root, "one more");
    let text = message(push(&signed, &registry, "v2"));
    for words in ["1000", "--no-signatures", root.as_ref()] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(under(&registry, "v2"), None);
}

#[test]
fn what_is_listed_and_refers_to_something_else_stays_behind() {
    let mut signed = Signed::small();
    let (root, other) = (signed.root(), Digest::of(b"other").to_string());
    let other: OciDigest = other.parse().unwrap();
    let moved = signed.refer(&other, "of another image");
    let under_a_name = signed.sign(&other, &["of another image"]);
    let listed = signed.attached.get_mut(root.as_ref()).unwrap();
    let tag = |tag: &str| Link::Tag(tag.to_owned());
    for (manifest, link) in [
        (moved.clone(), Link::Subject),
        (under_a_name.clone(), tag("v1")),
        (under_a_name, tag(&attached_tag(&other, "sig"))),
    ] {
        listed.push(Attached { manifest, link });
    }
    // Itself, as a snake has it.
    let manifest = signed.chosen().root;
    let listed = signed.attached.get_mut(root.as_ref()).unwrap();
    listed.push(Attached {
        manifest,
        link: Link::Subject,
    });
    let registry = Registry::default();
    let copied = push(&signed, &registry, "v1").unwrap();
    assert_eq!(copied.attached, 2);
    assert_eq!(under(&registry, moved.digest().as_ref()), None);
    assert_eq!(under(&registry, &attached_tag(&other, "sig")), None);
    let image = Digest::of(&under(&registry, "v1").unwrap()).to_string();
    assert_eq!(image, root.as_ref());
}

#[test]
fn what_a_registry_lists_and_has_no_more_stays_behind() {
    let mut signed = Signed::small();
    let root = signed.root();
    let gone = signed.refer(&root, "removed");
    signed.blobs.remove(gone.digest().as_ref());
    let text = message(push(&signed, &Registry::default(), "v1"));
    assert!(text.contains("--no-signatures"), "{text}");
    signed.repository = Some("reg.example/app".parse().unwrap());
    let copied = push(&signed, &Registry::default(), "v1").unwrap();
    assert_eq!(copied.attached, 2);
}

#[test]
fn attaching_sends_what_is_in_memory_and_then_the_manifests() {
    let mut signed = Signed::small();
    let root = signed.root();
    let registry = Registry::default();
    push(&signed, &registry, "v1").unwrap();
    // A layer of somebody else's is there already and not in memory.
    signed.sign(&root, &["by one", "by two"]);
    let bundle = signed.refer(&root, "by two");
    let old = Digest::of(format!("{root} by one").as_bytes()).to_string();
    let attachments = [2, 3].map(|number| {
        let mut attachment = signed.attachment(&root, number);
        attachment.entry.documents.remove(&old).unwrap();
        attachment
    });
    registry.log();
    put(&registry, &attachments, at_once(2)).unwrap();
    let log = registry.log();
    assert!(!log.contains(&format!("BLOB {old}")), "{log:#?}");
    assert!(!log.contains(&format!("PUT {root}")), "{log:#?}");
    let name = attached_tag(&root, "sig");
    let there = Digest::of(&under(&registry, &name).unwrap()).to_string();
    assert_eq!(there, attachments[0].entry.root.digest().as_ref());
    assert!(under(&registry, bundle.digest().as_ref()).is_some());
}

#[test]
fn a_docker_archive_has_no_room_for_signatures() {
    let directory = tempfile::tempdir().unwrap();
    let signed = Signed::small();
    let target = Target::Disk {
        destination: Destination::DockerArchive(directory.path().join("app.tar")),
        tag: "app:1".into(),
    };
    let copied = copy(&signed, &signed.chosen(), &target, at_once(2), &Quiet).unwrap();
    assert_eq!((copied.sent, copied.attached), (3, 0));
    assert_eq!(signed.asked(), Vec::<String>::new());
}
