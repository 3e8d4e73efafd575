//! What a registry keeps.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256, Sha512};

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) repositories: BTreeMap<String, Repository>,
    /// Sessions by their id.
    pub(crate) uploads: BTreeMap<String, Upload>,
    /// How many sessions there were.
    pub(crate) count: usize,
}

/// A repository: each blob and manifest by its digest.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Repository {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifests: BTreeMap<String, Manifest>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A manifest or index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

/// A session.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    pub(crate) repository: String,
    pub(crate) bytes: Vec<u8>,
    /// The size of the last part.
    pub(crate) last: Option<usize>,
    /// Which of its URLs is the newest.
    pub(crate) state: usize,
}

impl Content {
    /// A copy of a repository; an empty one when there is none.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        self.repositories.get(name).cloned().unwrap_or_default()
    }

    /// Puts a blob there; gives its digest.
    pub(crate) fn put_blob(&mut self, name: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let repository = self.repositories.entry(name.to_owned()).or_default();
        repository.blobs.insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Puts a manifest there, unchecked; gives its digest.
    pub(crate) fn put_manifest(
        &mut self,
        name: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        let digest = digest(bytes);
        let repository = self.repositories.entry(name.to_owned()).or_default();
        repository.manifests.insert(
            digest.clone(),
            Manifest {
                media_type: media_type.to_owned(),
                bytes: bytes.to_vec(),
            },
        );
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), digest.clone());
        }
        digest
    }
}

impl Repository {
    /// The manifest of a tag or digest.
    pub(crate) fn manifest(&self, wanted: &str) -> Option<(&String, &Manifest)> {
        let digest = self.tags.get(wanted).map_or(wanted, String::as_str);
        self.manifests.get_key_value(digest)
    }
}

/// The `sha256` digest of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Whether `bytes` have that digest; `None` when nobody can tell.
pub(super) fn has_digest(bytes: &[u8], wanted: &str) -> Option<bool> {
    let (algorithm, expected) = wanted.split_once(':')?;
    match algorithm {
        "sha256" if expected.len() == 64 => Some(hex(&Sha256::digest(bytes)) == expected),
        "sha512" if expected.len() == 128 => Some(hex(&Sha512::digest(bytes)) == expected),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
