//! Images to send around, clients to send them with, and what all tests ask.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use distrobuild::download::Proxy;
use distrobuild::registry::credentials::{Anonymous, CredentialError, Login, Secret};
use distrobuild::registry::{Client, Credentials, Options, Reference, Remote, Repository};
use distrobuild::store::{self, Destination, Source};
use distrobuild::transfer::{self, Chosen, Copied, Quiet, Target};
use oci_spec::image::Descriptor;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::digest;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Where the test's credentials say they come from.
pub(crate) const PLACE: &str = "the pocket of this test";

/// What went wrong, with all causes.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// An OCI layout in the making, written byte by byte.
pub(crate) struct Layout {
    directory: TempDir,
    entries: Vec<Value>,
}

impl Layout {
    pub(crate) fn new() -> Self {
        let layout = Self {
            directory: tempfile::tempdir().unwrap(),
            entries: Vec::new(),
        };
        let path = layout.path();
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(
            path.join("oci-layout"),
            "{\"imageLayoutVersion\":\"1.0.0\"}",
        )
        .unwrap();
        layout
    }

    /// One with an image for linux/amd64 with these layers, tagged `v1`.
    pub(crate) fn of(layers: &[Vec<u8>]) -> Self {
        let mut layout = Self::new();
        let image = layout.image("amd64", layers);
        layout.tag(&image, "v1");
        layout
    }

    /// One with a small image.
    pub(crate) fn small() -> Self {
        Self::of(&[layer(1, 2000), layer(2, 70_000)])
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("image.oci")
    }

    /// Puts a blob there; gives its descriptor.
    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        fs::write(blob_file(&self.path(), &digest), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    pub(crate) fn image(&self, architecture: &str, layers: &[Vec<u8>]) -> Value {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux",
            "config": { "Entrypoint": ["/app"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(LAYER, layer)).collect();
        // With white space, as only those keep it who copy byte for byte.
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        let manifest = serde_json::to_vec_pretty(&manifest).unwrap();
        let mut descriptor = self.blob(MANIFEST, &manifest);
        descriptor["platform"] = json!({ "architecture": architecture, "os": "linux" });
        descriptor
    }

    /// An attestation of an image, as buildkit writes it.
    pub(crate) fn attestation(&self, of: &Value) -> Value {
        let config = json!({
            "architecture": "unknown", "os": "unknown",
            "rootfs": { "type": "layers", "diff_ids": [digest(b"{\"statement\":1}")] },
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let statement = self.blob("application/vnd.in-toto+json", b"{\"statement\":1}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [statement],
        });
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().as_bytes());
        descriptor["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        descriptor["annotations"] = json!({
            "vnd.docker.reference.digest": of["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        });
        descriptor
    }

    pub(crate) fn index(&self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        self.blob(INDEX, &serde_json::to_vec_pretty(&index).unwrap())
    }

    /// An index of images for amd64 and arm64 and an attestation of the first, tagged `v1`.
    pub(crate) fn with_index() -> Self {
        let mut layout = Self::new();
        let first = layout.image("amd64", &[layer(1, 3000), layer(2, 5000)]);
        let second = layout.image("arm64", &[layer(1, 3000), layer(3, 4000)]);
        let attestation = layout.attestation(&first);
        let index = layout.index(&[first, second, attestation]);
        layout.tag(&index, "v1");
        layout
    }

    /// Names what `descriptor` describes.
    pub(crate) fn tag(&mut self, descriptor: &Value, tag: &str) {
        let mut entry = descriptor.clone();
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        self.entries.push(entry);
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries });
        fs::write(self.path().join("index.json"), index.to_string()).unwrap();
    }

    /// The digest of what was named first.
    pub(crate) fn root(&self) -> String {
        self.entries[0]["digest"].as_str().unwrap().to_owned()
    }

    /// All of its blobs.
    pub(crate) fn blobs(&self) -> BTreeMap<String, Vec<u8>> {
        blobs(&self.path())
    }
}

fn blob_file(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// The blobs of a layout by their digests.
pub(crate) fn blobs(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    files
        .map(|file| {
            let file = file.unwrap();
            let digest = format!("sha256:{}", file.file_name().to_str().unwrap());
            (digest, fs::read(file.path()).unwrap())
        })
        .collect()
}

/// The digests and tags in the index of a layout.
pub(crate) fn roots(layout: &Path) -> Vec<(String, String)> {
    let index = fs::read(layout.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|entry| {
            let tag = &entry["annotations"]["org.opencontainers.image.ref.name"];
            (text(&entry["digest"]), text(tag))
        })
        .collect()
}

/// A tar archive with one file of `size` bytes, which no other `seed` gives.
pub(crate) fn layer(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(size);
    let mut header = tar::Header::new_ustar();
    header.set_path(format!("file-{seed}")).unwrap();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, content.as_slice()).unwrap();
    archive.into_inner().unwrap()
}

/// Knows one login, and whom it is for is not asked.
#[derive(Debug)]
struct Known(Login);

impl Credentials for Known {
    fn find(&self, _repository: &Repository) -> Result<Option<Login>, CredentialError> {
        Ok(Some(self.0.clone()))
    }

    fn places(&self) -> Vec<String> {
        vec![PLACE.to_owned()]
    }
}

pub(crate) fn password(username: &str, password: &str) -> Login {
    Login::Password {
        username: username.to_owned(),
        password: Secret::new(password.to_owned()),
    }
}

/// Options for servers that are near, and for machines that are busy.
pub(crate) fn options() -> Options {
    Options {
        parallel: NonZeroUsize::new(2).unwrap(),
        attempts: NonZeroU32::new(5).unwrap(),
        backoff: Duration::from_millis(1),
        stall: Duration::from_secs(60),
        proxy: Proxy::Direct,
        ..Options::default()
    }
}

pub(crate) fn client() -> Arc<Client> {
    client_with(options())
}

pub(crate) fn client_with(options: Options) -> Arc<Client> {
    Arc::new(Client::new(options, Arc::new(Anonymous)))
}

pub(crate) fn client_of(login: Login) -> Arc<Client> {
    client_of_with(login, options())
}

pub(crate) fn client_of_with(login: Login, options: Options) -> Arc<Client> {
    Arc::new(Client::new(options, Arc::new(Known(login))))
}

pub(crate) fn reference(text: impl AsRef<str>) -> Reference {
    text.as_ref().parse().unwrap()
}

/// Sends what the layout names first.
pub(crate) fn push(client: &Arc<Client>, layout: &Layout, to: &str) -> Result<Copied, Failure> {
    push_mounting(client, layout, to, &[])
}

pub(crate) fn push_mounting(
    client: &Arc<Client>,
    layout: &Layout,
    to: &str,
    mounts: &[&str],
) -> Result<Copied, Failure> {
    let source = store::open(&store::Reference::parse(layout.path())?)?;
    let root = source.index()?.manifests()[0].clone();
    let to = in_registry(client, to, mounts);
    send(client, &*source, root, &to, false)
}

/// Copies all that is at `root`, with what is attached to it where that is wanted.
pub(crate) fn send(
    client: &Arc<Client>,
    source: &dyn Source,
    root: Descriptor,
    to: &Target,
    attached: bool,
) -> Result<Copied, Failure> {
    let parallel = client.options().parallel;
    let chosen = Chosen { root, attached };
    Ok(transfer::copy(source, &chosen, to, parallel, &Quiet)?)
}

pub(crate) fn in_registry(client: &Arc<Client>, name: &str, mounts: &[&str]) -> Target {
    Target::Registry {
        client: Arc::clone(client),
        reference: reference(name),
        mounts: mounts.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

/// The layout at this path, where what comes is tagged `v1`.
pub(crate) fn in_layout(path: &Path) -> Target {
    Target::Disk {
        destination: Destination::Layout(path.to_path_buf()),
        tag: "v1".to_owned(),
    }
}

/// Fetches all that `from` names into the layout at `to`, where it is tagged `v1`.
pub(crate) fn pull(client: &Arc<Client>, from: &str, to: &Path) -> Result<Copied, Failure> {
    let remote = Remote::open(Arc::clone(client), reference(from))?;
    let root = remote.root().clone();
    send(client, &remote, root, &in_layout(to), false)
}

/// An error with its causes, as a person reads them.
pub(crate) fn said(error: &Failure) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
