//! The payload of a classic signature: simple signing, as containers-signature(5) has it and
//! cosign uses it.

use std::collections::BTreeMap;

use oci_spec::image::{Digest, DigestAlgorithm};
use serde_json::{Value, json};

use super::DocumentError;
use super::json::{Limits, Object, read, shown, written_for_html};

const WHAT: &str = "the payload";

/// `critical.type` of what cosign signs.
const TYPE: &str = "cosign container image signature";

/// What a classic signature says.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// What the signer calls the image: its repository, for most.
    pub identity: String,
    /// The manifest or index that is signed.
    pub digest: Digest,
    /// What the signer adds (`optional` in the payload).
    pub annotations: BTreeMap<String, Value>,
}

impl Payload {
    /// The media type of a layer that holds one.
    pub const MEDIA_TYPE: &'static str = "application/vnd.dev.cosign.simplesigning.v1+json";

    /// The most bytes of one that are read: 1 MiB.
    pub const LARGEST: usize = 1 << 20;

    /// Its bytes, as cosign would write them.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        written_for_html(&self.claims())
    }

    /// Reads one. Strict: of the type that cosign signs, with a digest, no member twice. Members
    /// that are not known are let be, as the format asks.
    ///
    /// # Errors
    /// When it is none, or larger than [`Payload::LARGEST`].
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let limits = Limits {
            bytes: Self::LARGEST,
            values: 20_000,
        };
        let value = read(WHAT, bytes, limits)?;
        let mut payload = Object::new(WHAT, value, &["critical", "optional"])?;
        let mut critical = payload.object("critical", &["identity", "image", "type"])?;
        let found = critical.text("type")?;
        if found != TYPE {
            return Err(DocumentError::Type {
                what: WHAT,
                found: shown(&found),
                expected: "that of cosign, \"cosign container image signature\"",
            });
        }
        let identity = critical
            .object("identity", &["docker-reference"])?
            .text("docker-reference")?;
        let digest = if critical.has("image") {
            critical
                .object("image", &["docker-manifest-digest"])?
                .optional_text("docker-manifest-digest")?
        } else {
            None
        };
        let Some(digest) = digest.filter(|digest| !digest.is_empty()) else {
            return Err(DocumentError::SignsName {
                identity: shown(&identity),
            });
        };
        Ok(Self {
            identity,
            digest: image_digest(&digest)?,
            annotations: payload.map("optional")?.into_iter().collect(),
        })
    }

    /// The JSON that cosign's `verify` prints for it: `critical` and `optional`.
    #[must_use]
    pub fn claims(&self) -> Value {
        // The members of a `Value` are sorted, which is cosign's order, too.
        json!({
            "critical": {
                "identity": {"docker-reference": self.identity},
                "image": {"docker-manifest-digest": self.digest.to_string()},
                "type": TYPE,
            },
            "optional": (!self.annotations.is_empty()).then_some(&self.annotations),
        })
    }
}

/// A digest of an algorithm that is registered (image-spec, `descriptor.md`): of another nobody
/// could tell whether it is one.
fn image_digest(text: &str) -> Result<Digest, DocumentError> {
    let refused = |problem: String| DocumentError::Digest {
        what: WHAT,
        digest: shown(text),
        problem,
    };
    let digest = Digest::try_from(text).map_err(|error| refused(shown(&error.to_string())))?;
    if let DigestAlgorithm::Other(_) = digest.algorithm() {
        return Err(refused(
            "only sha256, sha384 and sha512 are known".to_owned(),
        ));
    }
    Ok(digest)
}

#[cfg(test)]
mod tests;
