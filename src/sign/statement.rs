//! in-toto statements (in-toto/attestation, `spec/v1/statement.md`; v0.1 is read, too).

use std::collections::BTreeMap;

use oci_spec::image::Digest;
use serde::Serialize;
use serde_json::{Map, Value};

use super::DocumentError;
use super::json::{Limits, Object, read, shown, written, written_for_html};

const WHAT: &str = "the statement";

/// `_type` of a statement of the version that is current.
const V1: &str = "https://in-toto.io/Statement/v1";
/// `_type` of a statement as cosign's attestations have it.
const V01: &str = "https://in-toto.io/Statement/v0.1";

/// The predicate type of a signature: nothing but that the image was signed.
pub const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// What is said of some artifacts.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The artifacts.
    pub subjects: Vec<Subject>,
    /// What kind of thing is said.
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
}

/// An artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// What it is called; may be empty.
    pub name: String,
    /// Its digests in hexadecimal, by algorithm.
    pub digest: BTreeMap<String, String>,
    /// What the signer adds.
    pub annotations: Map<String, Value>,
}

impl Statement {
    /// The payload type of an envelope around one.
    pub const PAYLOAD_TYPE: &'static str = "application/vnd.in-toto+json";

    /// The most bytes of one that are read: 48 MiB, which is what an envelope of
    /// [`Envelope::LARGEST`](super::Envelope::LARGEST) holds.
    pub const LARGEST: usize = 48 << 20;

    /// A statement of type v1, as cosign 3 writes it into signatures: a subject has annotations,
    /// were they none.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        written(&self.json(V1, true))
    }

    /// A statement of type v0.1, as cosign 3 writes it into attestations of both forms. cosign 2
    /// has its members in another order.
    #[must_use]
    pub fn to_json_v01(&self) -> Vec<u8> {
        let json = self.json(V01, false);
        if self.predicate.is_string() {
            // No statement by the book, whose predicates are objects: cosign writes these apart,
            // sorted and safe for HTML.
            return written_for_html(&TextJson {
                kind: json.kind,
                predicate: json.predicate,
                predicate_type: json.predicate_type,
                subject: json.subject,
            });
        }
        written(&json)
    }

    /// Reads one of either type. Strict: at least one subject, each with a digest, no member
    /// twice. Members that are not known are let be, as the specification asks.
    ///
    /// # Errors
    /// When it is none, or larger than [`Statement::LARGEST`].
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let limits = Limits {
            bytes: Self::LARGEST,
            values: MOST_VALUES,
        };
        let known = ["_type", "subject", "predicateType", "predicate"];
        let mut object = Object::new(WHAT, read(WHAT, bytes, limits)?, &known)?;
        let found = object.text("_type")?;
        if found != V1 && found != V01 {
            return Err(DocumentError::Type {
                what: WHAT,
                found: shown(&found),
                expected: "an in-toto statement of version 0.1 or 1",
            });
        }
        let subjects = object
            .list("subject")?
            .into_iter()
            .enumerate()
            .map(|(at, value)| Subject::of(at, value))
            .collect::<Result<Vec<_>, _>>()?;
        if subjects.is_empty() {
            return Err(shape("it has no subject".to_owned()));
        }
        let predicate_type = object.text("predicateType")?;
        if predicate_type.is_empty() {
            return Err(shape("predicateType is empty".to_owned()));
        }
        // None is as good as an empty one.
        let predicate = object
            .take("predicate")
            .unwrap_or_else(|| Map::new().into());
        if !predicate.is_object() && !predicate.is_string() {
            return Err(shape("predicate is no object and no text".to_owned()));
        }
        Ok(Self {
            subjects,
            predicate_type,
            predicate,
        })
    }

    /// The first subject with this digest.
    #[must_use]
    pub fn subject(&self, digest: &Digest) -> Option<&Subject> {
        let algorithm = digest.algorithm().to_string();
        self.subjects.iter().find(|subject| {
            subject.digest.get(&algorithm).map(String::as_str) == Some(digest.digest())
        })
    }

    fn json<'a>(&'a self, kind: &'static str, all_annotations: bool) -> StatementJson<'a> {
        let subject = |subject: &'a Subject| SubjectJson {
            name: &subject.name,
            digest: &subject.digest,
            annotations: (all_annotations || !subject.annotations.is_empty())
                .then_some(&subject.annotations),
        };
        StatementJson {
            kind,
            subject: self.subjects.iter().map(subject).collect(),
            predicate_type: &self.predicate_type,
            predicate: &self.predicate,
        }
    }
}

impl Subject {
    fn of(at: usize, value: Value) -> Result<Self, DocumentError> {
        let known = [
            "name",
            "digest",
            "annotations",
            "uri",
            "content",
            "downloadLocation",
            "mediaType",
        ];
        let mut object = Object::at(WHAT, format!("subject[{at}]."), value, &known)?;
        let name = object.optional_text("name")?.unwrap_or_default();
        let annotations = object.map("annotations")?;
        let mut digests = BTreeMap::new();
        for (algorithm, value) in object.map("digest")? {
            let place = object.path(&format!("digest.{}", shown(&algorithm)));
            let Value::String(value) = value else {
                return Err(shape(format!("{place} is no text")));
            };
            check_digest(&algorithm, &value)?;
            digests.insert(algorithm, value);
        }
        if digests.is_empty() {
            return Err(shape(format!("subject[{at}] has no digest")));
        }
        Ok(Self {
            name,
            digest: digests,
            annotations,
        })
    }
}

/// A digest of an algorithm that OCI has, too, is what it is there. Of others (`gitCommit`) the
/// form is not known here, and nothing is made of them.
fn check_digest(algorithm: &str, value: &str) -> Result<(), DocumentError> {
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Ok(()),
    };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if value.len() == digits && value.bytes().all(is_digit) {
        return Ok(());
    }
    Err(DocumentError::Digest {
        what: WHAT,
        digest: shown(value),
        problem: format!("{algorithm} has {digits} hexadecimal digits in lower case"),
    })
}

fn shape(problem: String) -> DocumentError {
    DocumentError::Shape {
        what: WHAT,
        problem,
    }
}

/// The most values of a statement: a bill of materials of some hundred thousand files.
const MOST_VALUES: usize = 2 << 20;

/// A statement as it is written, in the order of its members in `statement.proto` of in-toto.
#[derive(Serialize)]
struct StatementJson<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<SubjectJson<'a>>,
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
    predicate: &'a Value,
}

/// A statement of a text.
#[derive(Serialize)]
struct TextJson<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    predicate: &'a Value,
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
    subject: Vec<SubjectJson<'a>>,
}

/// A subject as it is written, in the order of `resource_descriptor.proto`.
#[derive(Serialize)]
struct SubjectJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    digest: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a Map<String, Value>>,
}

#[cfg(test)]
mod tests;
