//! DSSE envelopes (secure-systems-lab/dsse, protocol 1.0).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::DocumentError;
use super::json::{Limits, Object, read, written};

const WHAT: &str = "the envelope";

/// A signed document of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The document that is signed.
    pub payload: Vec<u8>,
    /// Its signatures: at least one.
    pub signatures: Vec<EnvelopeSignature>,
}

/// A signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// A hint at the key; not to be trusted.
    pub key_id: String,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

impl Envelope {
    /// The media type of a layer that holds one.
    pub const MEDIA_TYPE: &'static str = "application/vnd.dsse.envelope.v1+json";

    /// The most bytes of one that are read: 64 MiB, for the bill of materials of a large image.
    pub const LARGEST: usize = 64 << 20;

    /// The most signatures of one that are read.
    pub const MOST_SIGNATURES: usize = 100;

    /// The most bytes that are hashed to try all signatures of one: each is over the whole payload.
    const MOST_HASHED: usize = 128 << 20;

    /// What is signed: the payload with its type, unambiguously (`PAE`).
    #[must_use]
    pub fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
        let mut bytes = format!(
            "DSSEv1 {} {payload_type} {} ",
            payload_type.len(),
            payload.len()
        )
        .into_bytes();
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Its JSON, as cosign 3 writes it. cosign 2 has the members in another order, and a `keyid`
    /// that is empty.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        written(&self.json())
    }

    /// Reads one. Base64 may be of either alphabet, as the protocol says. Members that are not
    /// known are let be, as it says, too.
    ///
    /// # Errors
    /// When it is none: also without a signature, with more than [`Envelope::MOST_SIGNATURES`],
    /// or fewer where the payload is large, or larger than [`Envelope::LARGEST`].
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let value = read(WHAT, bytes, LIMITS)?;
        let mut object = Object::new(WHAT, value, &MEMBERS)?;
        Self::of(&mut object, WHAT, |_| Ok(()))
    }

    /// Reads one out of its object. `rest` looks at what is left of it and of each signature.
    pub(super) fn of(
        object: &mut Object,
        what: &'static str,
        rest: impl Fn(&Object) -> Result<(), DocumentError>,
    ) -> Result<Self, DocumentError> {
        let payload_type = object.text("payloadType")?;
        let payload = object.base64("payload")?;
        let list = object.list("signatures")?;
        if list.is_empty() {
            return Err(DocumentError::NoSignature { what });
        }
        if list.len() > Self::MOST_SIGNATURES {
            return Err(DocumentError::TooManySignatures {
                what,
                count: list.len(),
                most: Self::MOST_SIGNATURES,
            });
        }
        let most = Self::MOST_HASHED / payload.len().max(1);
        if list.len() > most {
            return Err(DocumentError::TooMuchSigned {
                what,
                count: list.len(),
                size: payload.len(),
                most,
            });
        }
        let signature = |(at, value): (usize, Value)| {
            let place = object.path(&format!("signatures[{at}]."));
            let mut object = Object::at(what, place, value, &["sig", "keyid"])?;
            let signature = EnvelopeSignature {
                key_id: object.optional_text("keyid")?.unwrap_or_default(),
                signature: object.base64("sig")?,
            };
            rest(&object)?;
            Ok(signature)
        };
        let signatures = list
            .into_iter()
            .enumerate()
            .map(signature)
            .collect::<Result<_, DocumentError>>()?;
        rest(object)?;
        Ok(Self {
            payload_type,
            payload,
            signatures,
        })
    }

    /// What is written for it.
    pub(super) fn json(&self) -> EnvelopeJson<'_> {
        let signature = |signature: &'_ EnvelopeSignature| SignatureJson {
            sig: STANDARD.encode(&signature.signature),
            keyid: signature.key_id.clone(),
        };
        EnvelopeJson {
            payload: STANDARD.encode(&self.payload),
            payload_type: &self.payload_type,
            signatures: self.signatures.iter().map(signature).collect(),
        }
    }
}

/// The members of an envelope.
pub(super) const MEMBERS: [&str; 3] = ["payload", "payloadType", "signatures"];

/// How large an envelope may be, or a bundle around one: it has few values, of which one is large.
pub(super) const LIMITS: Limits = Limits {
    bytes: Envelope::LARGEST,
    values: 20_000,
};

/// An envelope as it is written, in the order of its members in `envelope.proto` of DSSE.
#[derive(Serialize)]
pub(super) struct EnvelopeJson<'a> {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: &'a str,
    signatures: Vec<SignatureJson>,
}

#[derive(Serialize)]
struct SignatureJson {
    sig: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    keyid: String,
}

#[cfg(test)]
mod tests;
