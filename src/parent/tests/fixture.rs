//! Images made by hand: layers, a config with any members, and a layout that holds them. It
//! stands on no part of this crate, since tests outside of it use it too.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, MediaType, Sha256Digest};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A layer in the making.
pub struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Any entry; the name is taken as it is.
    pub fn entry(
        mut self,
        name: &str,
        kind: tar::EntryType,
        mode: u32,
        link: &str,
        content: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub fn directory(self, name: &str, mode: u32) -> Self {
        self.entry(name, tar::EntryType::Directory, mode, "", b"")
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let regular = tar::EntryType::Regular;
        self.entry(name, regular, 0o644, "", content.as_ref())
    }

    pub fn program(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let regular = tar::EntryType::Regular;
        self.entry(name, regular, 0o755, "", content.as_ref())
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Symlink, 0o777, target, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Link, 0o644, target, b"")
    }

    pub fn device(self, name: &str) -> Self {
        self.entry(name, tar::EntryType::Char, 0o666, "", b"")
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// How a layer's blob is made, and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Plain,
    Gzip,
    Zstd,
    /// Gzip, with docker's names of all documents.
    Docker,
}

/// A layout with images in it.
pub struct Images {
    pub directory: TempDir,
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of `bytes`, as documents spell it.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

/// The members of a config that every image has.
pub fn config(architecture: &str, config: Value) -> Value {
    json!({"os": "linux", "architecture": architecture, "config": config})
}

impl Images {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        let layout = r#"{"imageLayoutVersion":"1.0.0"}"#;
        fs::write(directory.path().join("oci-layout"), layout).unwrap();
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        fs::write(directory.path().join("index.json"), index).unwrap();
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The file of a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.path().join("blobs/sha256").join(hex)
    }

    /// Puts a blob there.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        fs::write(self.blob(&digest), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Puts an image there: `config` gets its diff_ids, and a history unless it has one.
    pub fn image(&self, layers: &[Vec<u8>], mut config: Value, form: Form) -> Descriptor {
        let docker = form == Form::Docker;
        let blobs: Vec<Value> = layers
            .iter()
            .map(|tar| match form {
                Form::Plain => self.put("application/vnd.oci.image.layer.v1.tar", tar),
                Form::Gzip => self.put("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(tar)),
                Form::Zstd => {
                    let bytes = zstd::encode_all(tar.as_slice(), 3).unwrap();
                    self.put("application/vnd.oci.image.layer.v1.tar+zstd", &bytes)
                }
                Form::Docker => {
                    let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
                    self.put(docker, &gzip(tar))
                }
            })
            .collect();
        let diff_ids: Vec<String> = layers.iter().map(|tar| digest(tar)).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        if config.get("history").is_none() {
            let steps = (0..layers.len()).map(|n| json!({"created_by": format!("step {n}")}));
            config["history"] = steps.collect();
        }
        let config_type = match docker {
            true => "application/vnd.docker.container.image.v1+json",
            false => "application/vnd.oci.image.config.v1+json",
        };
        let config = self.put(config_type, config.to_string().as_bytes());
        let manifest_type = match docker {
            true => "application/vnd.docker.distribution.manifest.v2+json",
            false => "application/vnd.oci.image.manifest.v1+json",
        };
        self.manifest(&json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": config,
            "layers": blobs,
        }))
    }

    /// Puts a manifest there, as it is.
    pub fn manifest(&self, manifest: &Value) -> Descriptor {
        let media_type = manifest["mediaType"].as_str().unwrap();
        let bytes = manifest.to_string();
        self.put(media_type, bytes.as_bytes());
        let digest: Sha256Digest = hex(bytes.as_bytes()).parse().unwrap();
        Descriptor::new(MediaType::from(media_type), bytes.len() as u64, digest)
    }

    /// A document that is there.
    pub fn document(&self, digest: &str) -> Value {
        serde_json::from_slice(&fs::read(self.blob(digest)).unwrap()).unwrap()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}
