//! A store whose images are signed.

use oci_spec::image::{Digest as OciDigest, MediaType};
use serde_json::{Value, json};

use super::*;
use crate::image::descriptor;
use crate::layer::Digest;
use crate::registry::Repository;
use crate::store::{Attached, Attachment, Entry, Link, attached_tag};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// A store in memory whose images are signed.
#[derive(Default)]
pub(super) struct Signed {
    root: Option<Descriptor>,
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) attached: BTreeMap<String, Vec<Attached>>,
    pub(super) repository: Option<Repository>,
    /// Whether it does not tell what is attached.
    pub(super) is_silent: bool,
    asked: Mutex<Vec<String>>,
}

impl Signed {
    pub(super) fn of(whole: &Whole) -> Self {
        let documents = whole.entry.documents.clone().into_iter();
        let blobs = whole.blobs.iter();
        Self {
            root: Some(whole.entry.root.clone()),
            blobs: documents
                .chain(blobs.map(|(digest, bytes)| (digest.to_string(), bytes.clone())))
                .collect(),
            ..Self::default()
        }
    }

    /// One of a small image, which has a signature of each form.
    pub(super) fn small() -> Self {
        let mut signed = Self::of(&Whole::of(&amd64(&["a", "b"])));
        let root = signed.root();
        signed.sign(&root, &["by one"]);
        signed.refer(&root, "by one");
        signed
    }

    pub(super) fn root(&self) -> OciDigest {
        self.root.clone().unwrap().digest().clone()
    }

    pub(super) fn chosen(&self) -> Chosen {
        Chosen {
            root: self.root.clone().unwrap(),
            attached: true,
        }
    }

    fn add(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest.to_string(), bytes.to_vec());
        descriptor(media_type.into(), &digest, bytes.len() as u64)
    }

    fn attach(&mut self, subject: &OciDigest, manifest: &Value, link: Link) -> Descriptor {
        let bytes = serde_json::to_vec_pretty(manifest).unwrap();
        let manifest = self.add(MediaType::ImageManifest.as_ref(), &bytes);
        let attached = self.attached.entry(subject.to_string()).or_default();
        attached.push(Attached {
            manifest: manifest.clone(),
            link,
        });
        manifest
    }

    /// Signs under cosign's tag; each signature is a layer.
    pub(super) fn sign(&mut self, subject: &OciDigest, by: &[&str]) -> Descriptor {
        let config = json!({ "of": by });
        let config = self.add(CONFIG, config.to_string().as_bytes());
        let layers: Vec<Value> = by
            .iter()
            .map(|by| {
                let mut layer = json!(self.add(SIMPLE, format!("{subject} {by}").as_bytes()));
                layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": by });
                layer
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageManifest.as_ref(),
            "config": config, "layers": layers,
        });
        let link = Link::Tag(attached_tag(subject, "sig"));
        self.attach(subject, &manifest, link)
    }

    /// Signs with a bundle that refers to the subject.
    pub(super) fn refer(&mut self, subject: &OciDigest, by: &str) -> Descriptor {
        let config = self.add(EMPTY, b"{}");
        let bundle = self.add(BUNDLE, format!("a bundle for {subject} {by}").as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageManifest.as_ref(),
            "artifactType": BUNDLE, "config": config, "layers": [bundle],
            "subject": {
                "mediaType": MediaType::ImageManifest.as_ref(), "digest": subject, "size": 1,
            },
        });
        self.attach(subject, &manifest, Link::Subject)
    }

    /// One that is attached, with all that it needs in memory.
    pub(super) fn attachment(&self, subject: &OciDigest, number: usize) -> Attachment {
        let Attached { manifest, link } = self.attached[subject.as_ref()][number].clone();
        Attachment {
            entry: Entry {
                root: manifest,
                documents: self.blobs.clone(),
                blobs: Vec::new(),
            },
            link,
            instead: Vec::new(),
        }
    }

    /// The digests for which it was asked since the last time.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Source for Signed {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        let mut index = ImageIndex::default();
        index.set_manifests(self.root.clone().into_iter().collect());
        Ok(index)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        match self.blobs.get(descriptor.digest().as_ref()) {
            Some(bytes) => Ok(Box::new(bytes.as_slice())),
            None => Err(StoreError::MissingBlob {
                store: self.name(),
                digest: descriptor.digest().to_string(),
            }),
        }
    }

    fn attached(&self, subject: &OciDigest) -> Result<Vec<Attached>, StoreError> {
        self.asked.lock().unwrap().push(subject.to_string());
        match self.is_silent {
            true => Err(StoreError::Empty(self.name())),
            false => Ok(self
                .attached
                .get(subject.as_ref())
                .cloned()
                .unwrap_or_default()),
        }
    }

    fn name(&self) -> String {
        "the signed store".to_owned()
    }

    fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }
}
