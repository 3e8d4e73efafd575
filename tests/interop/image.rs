//! An image in an OCI layout, read with nothing of ours: JSON, `tar`, `skopeo`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::tools::{run, tool};

/// An image in a layout directory.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) layout: PathBuf,
    pub(crate) tag: String,
}

impl Image {
    pub(crate) fn new(layout: impl Into<PathBuf>, tag: &str) -> Self {
        Self {
            layout: layout.into(),
            tag: tag.to_owned(),
        }
    }

    /// `PATH:TAG`, as `umoci` wants it.
    pub(crate) fn reference(&self) -> String {
        format!("{}:{}", self.layout.display(), self.tag)
    }

    /// `oci:PATH:TAG`, as `skopeo` wants it.
    pub(crate) fn transport(&self) -> String {
        format!("oci:{}", self.reference())
    }

    /// The digest of its manifest.
    #[track_caller]
    pub(crate) fn digest(&self) -> String {
        let index = json(&self.layout.join("index.json"));
        let found: Vec<&Value> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| {
                entry["annotations"]["org.opencontainers.image.ref.name"] == self.tag.as_str()
            })
            .collect();
        assert_eq!(
            found.len(),
            1,
            "manifests with tag {} in {index:#}",
            self.tag
        );
        found[0]["digest"].as_str().unwrap().to_owned()
    }

    pub(crate) fn manifest(&self) -> Value {
        json(&self.blob(&self.digest()))
    }

    pub(crate) fn config(&self) -> Value {
        json(&self.blob(self.manifest()["config"]["digest"].as_str().unwrap()))
    }

    /// The digests of its layers, lowest first.
    pub(crate) fn layers(&self) -> Vec<String> {
        self.manifest()["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer["digest"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The media types of its layers, lowest first.
    pub(crate) fn media_types(&self) -> Vec<String> {
        self.manifest()["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer["mediaType"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        self.layout.join("blobs").join(digest.replace(':', "/"))
    }

    /// The paths in all layers as `tar` lists them, without a leading `./` or `/` and without a
    /// trailing `/`.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        self.layers()
            .iter()
            .flat_map(|layer| {
                let listing = run(tool("tar").arg("-tf").arg(self.blob(layer))).output();
                listing
                    .lines()
                    .map(|line| line.trim_start_matches("./").trim_matches('/').to_owned())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// What `tar -tvf` says of each layer, with numeric owners and full times.
    pub(crate) fn listings(&self) -> Vec<String> {
        self.layers()
            .iter()
            .map(|layer| {
                run(tool("tar")
                    .env("TZ", "UTC")
                    .args(["--numeric-owner", "--full-time", "-tvf"])
                    .arg(self.blob(layer)))
                .output()
            })
            .collect()
    }

    /// Checks each blob that the image names against its digest and size.
    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        let manifest = self.manifest();
        assert_eq!(sha256(&self.blob(&self.digest())), self.digest());
        let layers = manifest["layers"].as_array().unwrap();
        for descriptor in layers.iter().chain([&manifest["config"]]) {
            let digest = descriptor["digest"].as_str().unwrap();
            let blob = self.blob(digest);
            assert_eq!(sha256(&blob), digest);
            assert_eq!(
                fs::metadata(blob).unwrap().len(),
                descriptor["size"].as_u64().unwrap(),
                "size of {digest}"
            );
        }
    }
}

/// Every file below `directory` with the digest of its content, every link with its target: two
/// directories that give the same have the same bytes.
pub(crate) fn contents(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            let content = if kind.is_dir() {
                pending.push(path);
                continue;
            } else if kind.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else {
                sha256(&path)
            };
            found.insert(path.strip_prefix(directory).unwrap().to_path_buf(), content);
        }
    }
    found
}

/// The digest of a file in OCI's form.
pub(crate) fn sha256(path: &Path) -> String {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::io::copy(&mut file, &mut HashWriter(&mut hasher)).unwrap();
    let hex: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// A hasher as a writer: sha2 has no such trait without its `std` features.
struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file's JSON.
#[track_caller]
pub(crate) fn json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
