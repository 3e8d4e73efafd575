//! Verifying.
//!
//! Each candidate goes the same way, and nothing that it says counts before its signature does:
//! its bytes, which are those of its digest; the signature over them by the key; what kind of
//! thing is signed; the image; the annotations; the certificate where there is one.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::{Descriptor, Digest};
use serde_json::{Map, Value, json};

use super::certificate;
use super::key::PublicKey;
use super::layers::{CERTIFICATE, Candidate, LOG_ENTRIES, SIGNATURE, candidates, fetch, held};
use super::layers::{Part, is_asked};
use super::making::Form;
use super::{
    Bundle, COSIGN_SIGN, Content, Envelope, Payload, Proof, SignError, Statement, Subject,
};
use crate::store::{Source, read_document};

/// What a signature must be to count.
#[derive(Debug, Clone)]
pub struct Check<'a> {
    /// By this key.
    pub key: &'a PublicKey,
    /// With all of these annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// Attestations alone: of this predicate type. Of any without one.
    pub predicate_type: Option<&'a str>,
    /// The time by which certificates are judged, in seconds since 1970.
    pub now: i64,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Signatures.
    Signatures,
    /// Attestations.
    Attestations,
}

impl What {
    /// Several of them.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Signatures => "signatures",
            Self::Attestations => "attestations",
        }
    }

    /// One of them.
    fn one(self) -> &'static str {
        match self {
            Self::Signatures => "signature",
            Self::Attestations => "attestation",
        }
    }
}

/// A signature or attestation that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its form.
    pub form: Form,
    /// The manifest that has it.
    pub manifest: Digest,
    /// Its place among the layers there.
    pub layer: usize,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            form,
            manifest,
            layer,
        } = self;
        write!(f, "{form} form, layer {} of {manifest}", layer + 1)
    }
}

/// One that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Where it was.
    pub found: Found,
    /// What it says, as cosign prints it: simple signing's `critical` and `optional`.
    pub claims: Value,
    /// The envelope, of an attestation or a bundle.
    pub envelope: Option<Envelope>,
    /// Whether it has entries of transparency logs or signed timestamps, which were not looked at.
    pub has_log_entries: bool,
}

/// One that does not, and why.
#[derive(Debug)]
pub struct Refused {
    /// Where it was.
    pub found: Found,
    /// Why.
    pub why: SignError,
}

/// What verifying an image gave: at least one holds.
#[derive(Debug)]
pub struct Checked {
    /// Those that hold.
    pub verified: Vec<Verified>,
    /// Those that do not: of other keys, for other images, damaged.
    pub refused: Vec<Refused>,
}

/// Verifies the signatures of `image`, a manifest or an index of `source`. `name` is what the
/// image is called in the claims of a bundle, which has no name of its own: cosign says the
/// reference that it was given, pinned by its digest.
///
/// The image's own manifest is read, and with it that it has the digest; what lies below is for
/// [`intact`](super::intact).
///
/// # Errors
/// When none holds; then it says why: there is none, or what is wrong with the one there is, or
/// with each of them. When there are too many, or one twice in a manifest. When the store is
/// damaged, be it in one of several signatures.
pub fn signatures(
    source: &dyn Source,
    image: &Descriptor,
    name: &str,
    check: &Check<'_>,
) -> Result<Checked, SignError> {
    verify(source, image, Some(name), What::Signatures, check)
}

/// Verifies the attestations of `image`. As [`signatures`].
///
/// # Errors
/// As [`signatures`].
pub fn attestations(
    source: &dyn Source,
    image: &Descriptor,
    check: &Check<'_>,
) -> Result<Checked, SignError> {
    verify(source, image, None, What::Attestations, check)
}

fn verify(
    source: &dyn Source,
    image: &Descriptor,
    name: Option<&str>,
    what: What,
    check: &Check<'_>,
) -> Result<Checked, SignError> {
    read_document(source, image)?;
    let asked = match what {
        What::Signatures => Some(COSIGN_SIGN),
        What::Attestations => check.predicate_type,
    };
    let (held, mut refused) = held(source, image, what)?;
    let there = candidates(source, image, &held, what, asked)?;
    refused.extend(there.refused);
    let judge = Judge {
        image: image.digest(),
        name,
        what,
        asked,
        check,
    };
    let mut verified = Vec::new();
    for candidate in there.candidates {
        let judged = match fetch(source, &candidate, what)? {
            Ok(bytes) => judge.judge(&candidate, &bytes),
            Err(why) => Err(why),
        };
        match judged {
            Ok(one) => verified.push(one),
            Err(why) => refused.push(Refused {
                found: candidate.found,
                why,
            }),
        }
    }
    if !verified.is_empty() {
        return Ok(Checked { verified, refused });
    }
    let (store, image) = (source.name(), image.digest().to_string());
    let others = there.others.into_iter().collect();
    Err(match what {
        _ if !refused.is_empty() => SignError::NoneHolds {
            store,
            image,
            what: what.one(),
            refused,
        },
        What::Signatures => SignError::Unsigned {
            store,
            image,
            others,
        },
        What::Attestations => SignError::Unattested {
            store,
            image,
            wanted: asked.map(str::to_owned),
            others,
        },
    })
}

/// What a candidate is held against.
struct Judge<'a> {
    image: &'a Digest,
    name: Option<&'a str>,
    what: What,
    asked: Option<&'a str>,
    check: &'a Check<'a>,
}

impl Judge<'_> {
    fn judge(&self, candidate: &Candidate<'_>, bytes: &[u8]) -> Result<Verified, SignError> {
        let part = candidate.part;
        let (claims, envelope, has_log_entries) = match (candidate.found.form, self.what) {
            (Form::Classic, What::Signatures) => {
                (self.payload(part, bytes)?, None, is_logged(part))
            }
            (Form::Classic, What::Attestations) => {
                let envelope = Envelope::read(bytes)?;
                if !is_signed(&envelope, self.check.key) {
                    return Err(self.not_by_key(part, None));
                }
                let claims = self.statement(&envelope)?;
                self.certificate(part)?;
                (claims, Some(envelope), is_logged(part))
            }
            (Form::Bundle, _) => {
                let bundle = Bundle::read(bytes)?;
                let (envelope, hint) = match (bundle.content, &bundle.proof) {
                    (Content::Message, _) => return Err(SignError::Message),
                    (_, Proof::Certificate) => return Err(SignError::Keyless),
                    (Content::Envelope(envelope), Proof::PublicKey { hint }) => (envelope, hint),
                };
                if !is_signed(&envelope, self.check.key) {
                    return Err(self.not_by_key(part, Some(hint)));
                }
                let claims = self.statement(&envelope)?;
                let has_log_entries = bundle.log_entries > 0 || bundle.timestamps > 0;
                (claims, Some(envelope), has_log_entries)
            }
        };
        Ok(Verified {
            found: candidate.found.clone(),
            claims,
            envelope,
            has_log_entries,
        })
    }

    /// Checks a payload with the signature in the annotation of its layer; gives its claims.
    fn payload(&self, part: &Part, bytes: &[u8]) -> Result<Value, SignError> {
        let signature = signature_of(part)?;
        if self.check.key.verify(bytes, &signature).is_err() {
            return Err(self.not_by_key(part, None));
        }
        let payload = Payload::read(bytes)?;
        if payload.digest != *self.image {
            return Err(self.moved(payload.digest.to_string()));
        }
        self.annotations(|name| payload.annotations.get(name))?;
        self.certificate(part)?;
        Ok(payload.claims())
    }

    /// Checks what an envelope says that is signed; gives its claims.
    fn statement(&self, envelope: &Envelope) -> Result<Value, SignError> {
        if envelope.payload_type != Statement::PAYLOAD_TYPE {
            return Err(SignError::PayloadType(envelope.payload_type.clone()));
        }
        let statement = Statement::read(&envelope.payload)?;
        if !is_asked(self.what, self.asked, &statement.predicate_type) {
            return Err(SignError::Predicate {
                found: statement.predicate_type,
                wanted: self.asked.map(str::to_owned),
            });
        }
        let Some(subject) = statement.subject(self.image) else {
            return Err(self.moved(digests(&statement.subjects)));
        };
        self.annotations(|name| subject.annotations.get(name))?;
        Ok(json!({
            "critical": {
                "identity": { "docker-reference": self.name.unwrap_or(&subject.name) },
                "image": { "docker-manifest-digest": self.image.to_string() },
                "type": statement.predicate_type,
            },
            "optional": Map::clone(&subject.annotations),
        }))
    }

    /// Checks that all annotations are there that were asked for.
    fn annotations<'v>(&self, found: impl Fn(&str) -> Option<&'v Value>) -> Result<(), SignError> {
        for (name, wanted) in self.check.annotations {
            let found = found(name);
            if found.and_then(Value::as_str) != Some(wanted) {
                return Err(SignError::Annotation {
                    name: name.clone(),
                    wanted: wanted.clone(),
                    found: found.map(|value| match value {
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    }),
                });
            }
        }
        Ok(())
    }

    fn certificate(&self, part: &Part) -> Result<(), SignError> {
        match part.annotation(CERTIFICATE) {
            // What cosign 1 wrote where there was none.
            None | Some("") => Ok(()),
            Some(pem) => certificate::check(pem, self.check.key, self.check.now),
        }
    }

    fn moved(&self, signs: String) -> SignError {
        let image = self.image.to_string();
        SignError::Moved { signs, image }
    }

    /// Why it is not by the key, as far as can be told: what it says itself may be wrong.
    fn not_by_key(&self, part: &Part, hint: Option<&String>) -> SignError {
        let key = self.check.key.hint();
        match hint {
            _ if part
                .annotation(CERTIFICATE)
                .is_some_and(|pem| !pem.is_empty()) =>
            {
                SignError::Keyless
            }
            Some(hint) if *hint == key => SignError::Changed { key },
            says => {
                let says = says.cloned();
                SignError::OtherKey { says, key }
            }
        }
    }
}

/// The signature in the annotation of a classic signature's layer.
pub(super) fn signature_of(part: &Part) -> Result<Vec<u8>, SignError> {
    match part.annotation(SIGNATURE) {
        None | Some("") => Err(SignError::SignatureAnnotation {
            problem: "is missing: the layer is not signed",
        }),
        Some(text) => STANDARD
            .decode(text)
            .map_err(|_| SignError::SignatureAnnotation {
                problem: "is not base64, so it is no signature",
            }),
    }
}

/// Whether one of an envelope's signatures is by the key: each may be by another (DSSE 1.0,
/// "Protocol").
pub(super) fn is_signed(envelope: &Envelope, key: &PublicKey) -> bool {
    let message = Envelope::signed_bytes(&envelope.payload_type, &envelope.payload);
    let mut signatures = envelope.signatures.iter();
    signatures.any(|one| key.verify(&message, &one.signature).is_ok())
}

fn is_logged(part: &Part) -> bool {
    LOG_ENTRIES
        .iter()
        .any(|name| part.annotation(name).is_some_and(|text| !text.is_empty()))
}

/// The digests of what a statement is about, as many as fit in a message.
fn digests(subjects: &[Subject]) -> String {
    let all = subjects.iter().flat_map(|subject| &subject.digest);
    let mut names: Vec<String> = all
        .take(4)
        .map(|(algorithm, hex)| format!("{algorithm}:{hex}"))
        .map(|digest| {
            digest
                .chars()
                .filter(|c| c.is_ascii_graphic())
                .take(150)
                .collect()
        })
        .collect();
    if subjects.len() > names.len() {
        names.push("…".to_owned());
    }
    names.join(", ")
}
