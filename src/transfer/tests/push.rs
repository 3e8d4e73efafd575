//! To a registry, which here is a map in memory that refuses what a real one refuses.

use std::collections::BTreeSet;
use std::sync::Condvar;
use std::time::Duration;

use oci_spec::image::{Digest as OciDigest, MediaType};

use super::super::push::{Open, Receiver, mounts, name};
use super::*;
use crate::layer::Digest;
use crate::registry::{ReferenceError, RegistryError, Repository, Uploaded};

#[derive(Default)]
pub(super) struct Registry {
    pub(super) has: Mutex<Has>,
    /// A blob or a manifest's name that is not taken.
    pub(super) refused: Option<String>,
    /// How many uploads must go at once before one of them ends.
    together: usize,
    came: Condvar,
}

#[derive(Default)]
pub(super) struct Has {
    log: Vec<String>,
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    /// By their names and by their digests.
    pub(super) manifests: BTreeMap<String, (String, Vec<u8>)>,
    elsewhere: BTreeSet<String>,
    /// Uploads that are going on, and the most that were.
    now: usize,
    most: usize,
}

fn no(problem: &str) -> RegistryError {
    RegistryError::Reference(ReferenceError {
        reference: "the registry".into(),
        problem: problem.into(),
    })
}

impl Registry {
    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.has.lock().unwrap().log)
    }

    /// Waits for others to come, half a minute at the most.
    fn wait(&self) {
        let mut has = self.has.lock().unwrap();
        has.now += 1;
        has.most = has.most.max(has.now);
        self.came.notify_all();
        let (mut has, _) = self
            .came
            .wait_timeout_while(has, Duration::from_secs(30), |has| has.most < self.together)
            .unwrap();
        has.now -= 1;
    }
}

impl Receiver for Registry {
    fn head(&self, wanted: &str) -> Result<Option<Descriptor>, RegistryError> {
        let mut has = self.has.lock().unwrap();
        has.log.push(format!("HEAD {wanted}"));
        Ok(has.manifests.get(wanted).map(|(media_type, bytes)| {
            let digest = Digest::of(bytes);
            crate::image::descriptor(media_type.as_str().into(), &digest, bytes.len() as u64)
        }))
    }

    fn manifest(&self, wanted: &str) -> Result<Option<Vec<u8>>, RegistryError> {
        let mut has = self.has.lock().unwrap();
        has.log.push(format!("GET {wanted}"));
        Ok(has.manifests.get(wanted).map(|(_, bytes)| bytes.clone()))
    }

    fn referrers(&self, subject: &OciDigest) -> Result<Vec<Descriptor>, RegistryError> {
        let mut has = self.has.lock().unwrap();
        has.log.push(format!("LIST {subject}"));
        let refers = |bytes: &[u8]| {
            let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            document["subject"]["digest"] == subject.as_ref()
        };
        let found = has.manifests.values().filter(|(_, bytes)| refers(bytes));
        Ok(found
            .map(|(media_type, bytes)| {
                let digest = Digest::of(bytes);
                crate::image::descriptor(media_type.as_str().into(), &digest, bytes.len() as u64)
            })
            .collect())
    }

    fn upload<'a>(
        &self,
        blob: &Descriptor,
        open: &'a Open<'a>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Uploaded, RegistryError> {
        let digest = blob.digest().to_string();
        {
            let mut has = self.has.lock().unwrap();
            has.log.push(format!("BLOB {digest}"));
            if has.blobs.contains_key(&digest) {
                return Ok(Uploaded::Present);
            }
            if has.elsewhere.contains(&digest) {
                has.blobs.insert(digest, Vec::new());
                return Ok(Uploaded::Mounted);
            }
        }
        self.wait();
        if self.refused.as_ref() == Some(&digest) {
            return Err(no("it does not take it"));
        }
        let mut bytes = Vec::new();
        let read = open().and_then(|mut reader| reader.read_to_end(&mut bytes));
        read.map_err(|error| no(&error.to_string()))?;
        assert_eq!(Digest::of(&bytes).to_string(), digest);
        progress(bytes.len() as u64);
        self.has.lock().unwrap().blobs.insert(digest, bytes);
        Ok(Uploaded::Sent)
    }

    fn put(&self, wanted: &str, media_type: &MediaType, bytes: &[u8]) -> Result<(), RegistryError> {
        let mut has = self.has.lock().unwrap();
        has.log.push(format!("PUT {wanted}"));
        if self.refused.as_deref() == Some(wanted) {
            return Err(no("it does not take it"));
        }
        let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let listed = |member: &str| {
            let list = document[member].as_array().cloned().unwrap_or_default();
            list.into_iter()
                .map(|d| d["digest"].as_str().unwrap().to_owned())
        };
        let config = document["config"]["digest"].as_str().map(str::to_owned);
        for blob in listed("layers").chain(config) {
            if !has.blobs.contains_key(&blob) {
                return Err(no("MANIFEST_BLOB_UNKNOWN"));
            }
        }
        for manifest in listed("manifests") {
            if !has.manifests.contains_key(&manifest) {
                return Err(no("MANIFEST_UNKNOWN"));
            }
        }
        let kept = (media_type.to_string(), bytes.to_vec());
        has.manifests
            .insert(Digest::of(bytes).to_string(), kept.clone());
        has.manifests.insert(wanted.to_owned(), kept);
        Ok(())
    }
}

/// Sends an image without what is attached to it.
fn send(
    source: &dyn Source,
    root: &Descriptor,
    registry: &Registry,
    wanted: &str,
    parallel: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Copied, TransferError> {
    let chosen = Chosen {
        root: root.clone(),
        attached: false,
    };
    super::super::push::send(source, &chosen, registry, wanted, parallel, progress)
}

fn push(
    from: &Path,
    tag: &str,
    registry: &Registry,
    wanted: &str,
) -> Result<Copied, TransferError> {
    let source = source(from);
    let root = tagged(source.as_ref(), tag);
    send(source.as_ref(), &root, registry, wanted, at_once(4), &Quiet)
}

#[test]
fn blobs_come_first_then_manifests_and_the_name_last() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    let whole = attested_layout(&from);
    let registry = Registry::default();
    let copied = push(&from, "1", &registry, "v1").unwrap();
    assert_eq!((copied.images, copied.sent, copied.present), (2, 9, 0));
    let log = registry.log();
    let kinds: Vec<&str> = log
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let expected = [vec!["HEAD"], vec!["BLOB"; 9], vec!["PUT"; 5]].concat();
    assert_eq!(kinds, expected);
    assert_eq!(log.last().unwrap(), "PUT v1");
    let has = registry.has.lock().unwrap();
    // Byte for byte, with the type that it has.
    let (media_type, bytes) = &has.manifests["v1"];
    assert_eq!(media_type, whole.entry.root.media_type().as_ref());
    assert_eq!(
        bytes,
        whole.entry.document(whole.entry.root.digest()).unwrap()
    );
    let sent: u64 = has.blobs.values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(copied.sent_bytes, sent);
}

#[test]
fn an_image_that_is_there_costs_one_question() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    attested_layout(&from);
    let registry = Registry::default();
    push(&from, "1", &registry, "v1").unwrap();
    registry.log();
    let copied = push(&from, "1", &registry, "v1").unwrap();
    assert_eq!(registry.log(), ["HEAD v1"]);
    assert!(copied.unchanged);
    assert_eq!((copied.images, copied.sent, copied.sent_bytes), (2, 0, 0));
}

#[test]
fn what_the_registry_has_or_takes_from_elsewhere_is_not_sent() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    let to = Destination::Layout(from.clone());
    let (one, two) = (amd64(&["libraries", "one"]), amd64(&["libraries", "two"]));
    write(&to, &one, "1").unwrap();
    write(&to, &two, "2").unwrap();
    let registry = Registry::default();
    push(&from, "1", &registry, "1").unwrap();
    let mounted = two.blobs[1].0.to_string();
    registry.has.lock().unwrap().elsewhere.insert(mounted);
    let source = source(&from);
    let root = tagged(source.as_ref(), "2");
    let counted = Counted::default();
    let copied = send(source.as_ref(), &root, &registry, "2", at_once(1), &counted).unwrap();
    assert_eq!((copied.sent, copied.present, copied.mounted), (1, 1, 1));
    let config = two.image.config.len() as u64;
    assert_eq!(copied.sent_bytes, config);
    assert_eq!(counted.moved.into_inner(), config);
    // Less and less, until it is what was sent.
    let totals = counted.totals.lock().unwrap();
    assert!(totals.is_sorted_by(|a, b| a >= b), "{totals:?}");
    assert_eq!(*totals.last().unwrap(), config);
}

#[test]
fn blobs_go_at_once_and_no_more_than_were_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    let image = amd64(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    write(&Destination::Layout(from.clone()), &image, "1").unwrap();
    let registry = Registry {
        together: 4,
        ..Registry::default()
    };
    push(&from, "1", &registry, "1").unwrap();
    assert_eq!(registry.has.lock().unwrap().most, 4);
}

#[test]
fn the_largest_blob_goes_first() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    let large = "0123456789abcdef".repeat(4000);
    let image = made(&["small", &large, "tiny"], "linux/amd64", Codec::None);
    write(&Destination::Layout(from.clone()), &image, "1").unwrap();
    let registry = Registry::default();
    let source = source(&from);
    let root = only(source.as_ref());
    send(source.as_ref(), &root, &registry, "1", at_once(1), &Quiet).unwrap();
    assert_eq!(registry.log()[1], format!("BLOB {}", image.blobs[1].0));
}

#[test]
fn the_first_failure_ends_all_and_nothing_gets_the_name() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    let image = amd64(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    write(&Destination::Layout(from.clone()), &image, "1").unwrap();
    for parallel in [1, 4] {
        let blobs: Vec<String> = image.blobs.iter().map(|(d, _)| d.to_string()).collect();
        for refused in &blobs {
            let registry = Registry {
                refused: Some(refused.clone()),
                ..Registry::default()
            };
            let source = source(&from);
            let root = only(source.as_ref());
            let result = send(
                source.as_ref(),
                &root,
                &registry,
                "1",
                at_once(parallel),
                &Quiet,
            );
            let text = message(result);
            assert!(text.contains("it does not take it"), "{text}");
            let log = registry.log();
            assert!(!log.iter().any(|line| line.starts_with("PUT")), "{log:?}");
            // With one at a time none is begun after it.
            if parallel == 1 {
                assert_eq!(log.last().unwrap(), &format!("BLOB {refused}"));
            }
        }
    }
}

#[test]
fn a_failure_of_the_source_is_told_as_that() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    let whole = attested_layout(&from);
    let inner = source(&from);
    let layer = whole.entry.blobs[0].digest().to_string();
    for (fault, said) in [
        (Fault::Missing, format!("the blob {layer} is missing")),
        (Fault::Interrupted, "the connection broke".to_owned()),
    ] {
        let faulty = Faulty {
            inner: inner.as_ref(),
            blob: layer.clone(),
            fault,
        };
        let registry = Registry::default();
        let root = only(&faulty);
        let result = send(&faulty, &root, &registry, "1", at_once(4), &Quiet);
        if let (Fault::Missing, Err(error)) = (fault, &result) {
            assert!(matches!(error, TransferError::Store(_)), "{error:?}");
        }
        let text = message(result);
        assert!(text.contains(&said), "{text}");
        assert!(registry.has.lock().unwrap().manifests.is_empty());
    }
}

#[test]
fn a_name_with_a_digest_takes_that_image_alone() {
    let one = crate::image::descriptor(MediaType::ImageManifest, &Digest::of(b"one"), 3);
    let reference = |text: &str| text.parse::<Reference>().unwrap();
    let named = |text: &str| name(&reference(text), &one);
    let digest = one.digest();
    assert_eq!(named("reg.example/app").unwrap(), "latest");
    assert_eq!(named("reg.example/app:1").unwrap(), "1");
    let with = |start: &str| named(&format!("{start}@{digest}")).unwrap();
    assert_eq!(with("reg.example/app"), digest.to_string());
    assert_eq!(with("reg.example/app:1"), "1");
    let other = Digest::of(b"two");
    let text = message(named(&format!("reg.example/app@{other}")));
    assert!(text.contains("leave out the @"), "{text}");
}

/// A store that a repository of a registry has.
struct Of(Repository);

impl Source for Of {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        Ok(ImageIndex::default())
    }

    fn blob(&self, _descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        Err(StoreError::Empty(self.name()))
    }

    fn name(&self) -> String {
        self.0.to_string()
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.0)
    }
}

#[test]
fn blobs_are_asked_of_other_repositories_of_the_same_registry_alone() {
    let repository = |text: &str| text.parse::<Repository>().unwrap();
    let target = repository("reg.example/app");
    let given = [
        repository("reg.example/base"),
        repository("other.example/base"),
        repository("reg.example/app"),
        repository("reg.example/from"),
    ];
    let source = Of(repository("reg.example/from"));
    assert_eq!(
        mounts(&source, &target, &given),
        [
            repository("reg.example/from"),
            repository("reg.example/base")
        ]
    );
    let source = Of(repository("other.example/from"));
    assert_eq!(mounts(&source, &target, &given[..1]), given[..1]);
}
