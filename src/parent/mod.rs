//! An image that others are built on: `FROM`, in a Dockerfile's word.
//!
//! [`Parent::open`] reads an image, ours or not, and makes a [`Base`] of it: its layers laid over
//! each other as a runtime would lay them, whiteouts applied, so that the app's libraries are
//! looked up *in it*; what it has is not added again. Its layers stay what they are, by digest,
//! below those of the app; its config is inherited. [`rebase`] moves an image from one parent onto
//! another by its manifests and configs alone.
//!
//! | file | what it holds |
//! |---|---|
//! | `document.rs` | manifest and config, read and checked |
//! | `unpack.rs` `record.rs` | one layer in a directory of its own, kept between builds |
//! | `lay.rs` | layers over each other |
//! | `rebase.rs` | another parent below the same app |

mod document;
mod error;
mod lay;
mod rebase;
mod record;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use oci_spec::image::Descriptor;
use serde_json::Value;

use crate::image::Platform;
use crate::layer::{Digest, Layer};
use crate::rootfs::{Base, BaseConfig, Rootfs};
use crate::shelf::Hold;
use crate::store::Source;

pub use error::ParentError;
pub use rebase::{BasedOn, based_on, rebase};

use document::Document;
use lay::Laid;
use unpack::Unpacked;

/// The annotation with the number of layers of an image that are its base's.
pub const ANNOTATION_BASE_LAYERS: &str = "dev.distrobuild.base.layers";
/// The annotation with the name of an image's base (image-spec `annotations.md`).
pub const ANNOTATION_BASE_NAME: &str = "org.opencontainers.image.base.name";
/// The annotation with the digest of the manifest of an image's base.
pub const ANNOTATION_BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// An image that others are built on.
pub struct Parent {
    /// What it is called, `gcr.io/distroless/cc:latest` (annotation
    /// `org.opencontainers.image.base.name`); `None` for one that only this machine knows.
    pub name: Option<String>,
    /// The digest of its manifest (annotation `org.opencontainers.image.base.digest`).
    pub digest: Digest,
    /// Its platform.
    pub platform: Platform,
    /// Its config, every member of it.
    pub config: serde_json::Value,
    /// Its layers, lowest first.
    pub layers: Vec<ParentLayer>,
    /// What the user should know of it.
    pub notices: Vec<String>,
    /// Who has their blobs.
    pub source: Arc<dyn Source>,
    /// Keeps the unpacked files in their place.
    _unpacked: Vec<Hold>,
}

/// A layer of an image that others are built on.
#[derive(Debug, Clone, PartialEq)]
pub struct ParentLayer {
    /// As its manifest has it, with an OCI media type.
    pub descriptor: Descriptor,
    /// The digest of the blob, as in the descriptor.
    pub digest: Digest,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Size of the uncompressed tar in bytes; 0 until it has been read.
    pub tar_size: u64,
}

/// Where its files are unpacked.
#[derive(Debug, Clone, Default)]
pub struct Unpacking {
    /// The directory in which unpacked layers are kept between builds; `None` for one that goes
    /// with the base.
    pub kept: Option<PathBuf>,
}

impl ParentLayer {
    /// It as a layer of an image that is written.
    pub fn layer(&self) -> Layer {
        let annotations = self.descriptor.annotations().clone().unwrap_or_default();
        Layer {
            media_type: self.descriptor.media_type().clone(),
            digest: self.digest,
            size: self.descriptor.size(),
            diff_id: self.diff_id,
            tar_size: self.tar_size,
            annotations: annotations.into_iter().collect(),
        }
    }
}

impl Parent {
    /// Opens the image that `manifest` of `source` is, and makes a base of it. `shown` is what it
    /// is called in messages.
    ///
    /// Every layer is read and checked against its digest and its `diff_id`, unless it was
    /// unpacked by an earlier build and nothing there has changed since.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or has an entry that leads out of it.
    pub fn open(
        source: Arc<dyn Source>,
        manifest: &Descriptor,
        name: Option<String>,
        shown: &str,
        unpacking: &Unpacking,
    ) -> Result<Base, ParentError> {
        let document = Document::read(&*source, manifest, shown)?;
        let mut notices = Vec::new();
        let kept = unpack::Kept::open(unpacking.kept.clone())?;
        notices.extend(kept.degraded().map(str::to_owned));
        let mut layers = document.layers.clone();
        let unpacked = kept.get_all(&*source, &layers, shown)?;
        for (layer, unpacked) in layers.iter_mut().zip(&unpacked) {
            layer.tar_size = unpacked.tar_size;
        }
        let (rootfs, left_out) = laid(&layers, &unpacked, shown)?;
        notices.extend(left_out);
        notices.extend(on_build(&document.config_value, shown));
        let config = BaseConfig {
            user: document.text("User"),
            env: document.env(),
        };
        let parent = Self {
            name,
            digest: document.digest,
            platform: document.platform.clone(),
            config: document.config_value,
            layers,
            notices,
            source,
            _unpacked: unpacked.into_iter().map(|layer| layer.hold).collect(),
        };
        Ok(Base::of_parent(shown, config, rootfs, Arc::new(parent)))
    }

    /// A text of its config's `config`, such as `WorkingDir`; empty when there is none.
    pub fn text(&self, member: &str) -> String {
        document::text(&self.config, member)
    }

    /// The names of the members of an object of its config's `config`, such as `ExposedPorts`.
    pub(crate) fn names(&self, member: &str) -> Vec<String> {
        let object = document::member(&self.config, member).and_then(Value::as_object);
        object.map_or(Vec::new(), |object| object.keys().cloned().collect())
    }

    /// Its labels.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (String, String)> {
        let labels = document::member(&self.config, "Labels").and_then(Value::as_object);
        labels
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
    }

    /// Its history, with as many entries of layers as there are layers.
    pub(crate) fn history(&self) -> Vec<Value> {
        document::history(&self.config, self.layers.len())
    }

    /// Whether its processes run as root unless something else is said.
    pub fn runs_as_root(&self) -> bool {
        let user = self.text("User");
        let user = user.split(':').next().unwrap_or_default();
        matches!(user, "" | "root") || user.parse::<u32>() == Ok(0)
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parent")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .field("platform", &self.platform)
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

/// The layers over each other, and what the user should know of it.
fn laid(
    layers: &[ParentLayer],
    unpacked: &[Unpacked],
    shown: &str,
) -> Result<(Rootfs, Option<String>), ParentError> {
    let mut laid = Laid::default();
    for (layer, unpacked) in layers.iter().zip(unpacked) {
        laid.add(&unpacked.items)
            .map_err(|fault| fault.of(shown, &layer.digest))?;
    }
    let left_out = laid.left_out();
    let notice = match left_out.as_slice() {
        [] => None,
        [only] => Some(format!(
            "{only} of the base {shown} is a device, a pipe or a sparse file: it stays in its layer, and nothing is looked up in it"
        )),
        [first, others @ ..] => Some(format!(
            "{first} and {} more of the base {shown} are devices, pipes or sparse files: they stay in their layers, and nothing is looked up in them",
            others.len()
        )),
    };
    Ok((laid.into_rootfs(shown)?, notice))
}

/// What is said of triggers, which a Dockerfile's `FROM` would run.
fn on_build(config: &Value, shown: &str) -> Option<String> {
    let triggers = document::member(config, "OnBuild")?.as_array()?;
    (!triggers.is_empty()).then(|| {
        format!(
            "the base {shown} has ONBUILD triggers, which are not run and not inherited: what they would do is to be done by the build of the app"
        )
    })
}
