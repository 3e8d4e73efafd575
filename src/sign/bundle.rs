//! Sigstore bundles (sigstore/protobuf-specs, `sigstore_bundle.proto`), as JSON.

use serde::Serialize;

use super::envelope::{EnvelopeJson, LIMITS, MEMBERS};
use super::json::{Object, read, shown, written};
use super::{DocumentError, Envelope};

const WHAT: &str = "the bundle";

/// What the media types of all versions begin with.
const FAMILY: &str = "application/vnd.dev.sigstore.bundle";

/// The media types that are read.
const READ: [&str; 4] = [
    BUNDLE_MEDIA_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
];

/// The most log entries, and the most timestamps, of a bundle: as many as sigstore-go takes.
const MOST_ENTRIES: usize = 32;

/// The media type of the bundles that are written.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A signature with what is needed to verify it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Whose it is.
    pub proof: Proof,
    /// What is signed.
    pub content: Content,
    /// Entries of transparency logs. They are kept out of what is verified.
    pub log_entries: usize,
    /// Signed timestamps. They are kept out of what is verified.
    pub timestamps: usize,
}

/// Whose signature it is said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// That of a key, which the verifier has.
    PublicKey {
        /// A hint at it; not to be trusted.
        hint: String,
    },
    /// That of the holder of a certificate.
    Certificate,
}

/// What a bundle has signed.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// An envelope.
    Envelope(Envelope),
    /// A file that is not in the bundle.
    Message,
}

impl Bundle {
    /// Whether a media type is that of a bundle, of any version.
    #[must_use]
    pub fn is_media_type(media_type: &str) -> bool {
        media_type.strip_prefix(FAMILY).is_some_and(|version| {
            version == "+json"
                || version.starts_with("+json;version=")
                || (version.starts_with(".v") && version.ends_with("+json"))
        })
    }

    /// The JSON of a bundle of an envelope with a key, as cosign writes it.
    #[must_use]
    pub fn of_key(envelope: &Envelope, hint: &str) -> Vec<u8> {
        written(&BundleJson {
            media_type: BUNDLE_MEDIA_TYPE,
            verification_material: MaterialJson {
                public_key: HintJson { hint },
            },
            dsse_envelope: envelope.json(),
        })
    }

    /// Reads one, of version 0.1, 0.2 or 0.3.
    ///
    /// Members have their names in JSON (`dsseEnvelope`), as all writers write them. The names
    /// with underscores, which the JSON of Protocol Buffers allows, are refused, as are members
    /// that are not known: cosign refuses those, too.
    ///
    /// # Errors
    /// When it is none, or of another version, or larger than [`Envelope::LARGEST`]; when its
    /// envelope has not exactly one signature, or one that names another key than the bundle.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let known = [
            "mediaType",
            "verificationMaterial",
            "dsseEnvelope",
            "messageSignature",
        ];
        let mut bundle = Object::new(WHAT, read(WHAT, bytes, LIMITS)?, &known)?;
        let media_type = bundle.text("mediaType")?;
        if !READ.contains(&media_type.as_str()) {
            return Err(DocumentError::Type {
                what: WHAT,
                found: shown(&media_type),
                expected: "a sigstore bundle of version 0.1, 0.2 or 0.3",
            });
        }
        let known = [
            "publicKey",
            "certificate",
            "x509CertificateChain",
            "tlogEntries",
            "timestampVerificationData",
        ];
        let mut material = bundle.object("verificationMaterial", &known)?;
        let proof = Proof::of(&mut material)?;
        let log_entries = entries(&mut material, "tlogEntries")?;
        let timestamps = if material.has("timestampVerificationData") {
            let known = ["rfc3161Timestamps"];
            let mut data = material.object("timestampVerificationData", &known)?;
            let count = entries(&mut data, "rfc3161Timestamps")?;
            data.nothing_else()?;
            count
        } else {
            0
        };
        material.nothing_else()?;
        let content = Content::of(&mut bundle, &proof)?;
        bundle.nothing_else()?;
        Ok(Self {
            proof,
            content,
            log_entries,
            timestamps,
        })
    }
}

impl Proof {
    fn of(material: &mut Object) -> Result<Self, DocumentError> {
        let proof = match one_of(
            material,
            &["publicKey", "certificate", "x509CertificateChain"],
        )? {
            "publicKey" => {
                let mut key = material.object("publicKey", &["hint"])?;
                let hint = key.optional_text("hint")?.unwrap_or_default();
                key.nothing_else()?;
                Self::PublicKey { hint }
            }
            "certificate" => {
                let mut certificate = material.object("certificate", &["rawBytes"])?;
                certificate.base64("rawBytes")?;
                certificate.nothing_else()?;
                Self::Certificate
            }
            name => {
                let mut chain = material.object(name, &["certificates"])?;
                if chain.list("certificates")?.is_empty() {
                    return Err(shape(format!("{} is empty", chain.path("certificates"))));
                }
                chain.nothing_else()?;
                Self::Certificate
            }
        };
        Ok(proof)
    }
}

impl Content {
    fn of(bundle: &mut Object, proof: &Proof) -> Result<Self, DocumentError> {
        if one_of(bundle, &["dsseEnvelope", "messageSignature"])? == "messageSignature" {
            let mut message = bundle.object("messageSignature", &["messageDigest", "signature"])?;
            message.base64("signature")?;
            return Ok(Self::Message);
        }
        let mut object = bundle.object("dsseEnvelope", &MEMBERS)?;
        let envelope = Envelope::of(&mut object, WHAT, Object::nothing_else)?;
        let [signature] = envelope.signatures.as_slice() else {
            return Err(DocumentError::TooManySignatures {
                what: WHAT,
                count: envelope.signatures.len(),
                most: 1,
            });
        };
        if let Proof::PublicKey { hint } = proof
            && !signature.key_id.is_empty()
            && signature.key_id != *hint
        {
            return Err(shape(format!(
                "its key is \"{}\" in one place and \"{}\" in another",
                shown(hint),
                shown(&signature.key_id)
            )));
        }
        Ok(Self::Envelope(envelope))
    }
}

/// The one of some members that is there.
fn one_of(object: &Object, names: &[&'static str]) -> Result<&'static str, DocumentError> {
    let mut present = names.iter().filter(|name| object.has(name));
    match (present.next(), present.next()) {
        (Some(name), None) => Ok(name),
        (None, _) => {
            let paths: Vec<String> = names.iter().map(|name| object.path(name)).collect();
            Err(shape(format!("there is none of {}", paths.join(", "))))
        }
        (Some(one), Some(other)) => Err(shape(format!(
            "there are both {} and {}",
            object.path(one),
            object.path(other)
        ))),
    }
}

/// How many entries a list has that is not looked into.
fn entries(object: &mut Object, name: &str) -> Result<usize, DocumentError> {
    let list = object.list(name)?;
    if list.len() > MOST_ENTRIES {
        return Err(shape(format!(
            "{} has {} entries: at most {MOST_ENTRIES} may be there",
            object.path(name),
            list.len()
        )));
    }
    if !list.iter().all(serde_json::Value::is_object) {
        return Err(shape(format!(
            "{} has an entry that is no object",
            object.path(name)
        )));
    }
    Ok(list.len())
}

fn shape(problem: String) -> DocumentError {
    DocumentError::Shape {
        what: WHAT,
        problem,
    }
}

/// A bundle as it is written, in the order of its members in `sigstore_bundle.proto`, where the
/// envelope is the last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleJson<'a> {
    media_type: &'static str,
    verification_material: MaterialJson<'a>,
    dsse_envelope: EnvelopeJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MaterialJson<'a> {
    public_key: HintJson<'a>,
}

#[derive(Serialize)]
struct HintJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: &'a str,
}

#[cfg(test)]
mod tests;
