//! Signing and attesting.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::{Descriptor, Digest, DigestAlgorithm, MediaType};
use serde_json::{Map, Value};

use super::checking::{Found, What, is_signed, signature_of};
use super::key::{Algorithm, PrivateKey};
use super::layers::{
    BUNDLE_CONTENT, BUNDLE_PREDICATE, Document, Held, LAYER_PREDICATE, MOST_SIGNATURES, Part,
    SIGNATURE, candidates, fetch, held,
};
use super::manifest::{attachment, blobs, config, part};
use super::{
    BUNDLE_MEDIA_TYPE, Bundle, COSIGN_SIGN, Content, Envelope, EnvelopeSignature, Payload, Proof,
    SignError, Statement, Subject,
};
use crate::store::{Attachment, Link, Source, attached_tag, read_document};

/// The media type of a config that is not there (image-spec `manifest.md`, "Guidance for an Empty
/// Descriptor"), and its content.
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");

/// A form of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Under a tag: cosign 2, and most admission controllers.
    Classic,
    /// A bundle that refers to the image: cosign 3.
    Bundle,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic",
            Self::Bundle => "bundle",
        })
    }
}

/// The forms that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forms {
    /// Both, so that every verifier finds one.
    Both,
    /// One.
    One(Form),
}

impl Forms {
    fn has(self, form: Form) -> bool {
        match self {
            Self::Both => true,
            Self::One(one) => one == form,
        }
    }
}

/// What was made of a signature or attestation, to be [attached](crate::transfer::attach) to the
/// image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Made {
    /// The manifests that are new or changed; empty when all was there already. Layers of others
    /// in them are among the blobs of their entries: those are where the image is.
    pub attachments: Vec<Attachment>,
    /// Forms in which it was there already.
    pub present: Vec<Form>,
    /// Manifests that go, as what they hold was replaced.
    pub replaced: Vec<Digest>,
}

/// What a signature says beside the image's digest.
#[derive(Debug, Clone, Copy)]
pub struct Sign<'a> {
    /// What the image is called in it.
    pub identity: &'a str,
    /// What the signer adds.
    pub annotations: &'a BTreeMap<String, String>,
}

/// What is attested of an image.
#[derive(Debug, Clone, Copy)]
pub struct Attest<'a> {
    /// What the image is called in it.
    pub identity: &'a str,
    /// What kind of thing is said, as a URI.
    pub predicate_type: &'a str,
    /// What is said.
    pub predicate: &'a Value,
    /// Whether attestations of that type by the same key go, in the forms that are made.
    pub replace: bool,
}

/// Signs `image`, a manifest or an index of `source`, in these forms. What is attached to it
/// already is read from `source`, so that signatures of others stay.
///
/// The same key, image and annotations give the same bytes, and a signature that is there already
/// is not made again, be it of another program.
///
/// # Errors
/// When the image is not there, what is attached cannot be read or is none of signatures, there
/// are too many of them, or the key cannot sign.
pub fn signature(
    source: &dyn Source,
    image: &Descriptor,
    key: &PrivateKey,
    says: &Sign<'_>,
    forms: Forms,
) -> Result<Made, SignError> {
    let annotations = says.annotations.iter();
    let annotations: BTreeMap<String, Value> = annotations
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect();
    let statement = Statement {
        subjects: vec![subject(
            "",
            image,
            annotations.clone().into_iter().collect(),
        )],
        predicate_type: COSIGN_SIGN.to_owned(),
        predicate: Value::Object(Map::new()),
    };
    let payload = Payload {
        identity: says.identity.to_owned(),
        digest: image.digest().clone(),
        annotations,
    };
    let maker = Maker {
        source,
        image,
        key,
        what: What::Signatures,
        predicate_type: COSIGN_SIGN,
        replace: false,
    };
    maker.make(forms, &payload.to_json(), &statement.to_json())
}

/// Attests something of `image`, in these forms. As [`signature`].
///
/// # Errors
/// As [`signature`].
pub fn attestation(
    source: &dyn Source,
    image: &Descriptor,
    key: &PrivateKey,
    says: &Attest<'_>,
    forms: Forms,
) -> Result<Made, SignError> {
    let statement = Statement {
        subjects: vec![subject(says.identity, image, Map::new())],
        predicate_type: says.predicate_type.to_owned(),
        predicate: says.predicate.clone(),
    }
    .to_json_v01();
    let maker = Maker {
        source,
        image,
        key,
        what: What::Attestations,
        predicate_type: says.predicate_type,
        replace: says.replace,
    };
    maker.make(forms, &statement, &statement)
}

fn subject(name: &str, image: &Descriptor, annotations: Map<String, Value>) -> Subject {
    let digest = image.digest();
    Subject {
        name: name.to_owned(),
        digest: BTreeMap::from([(digest.algorithm().to_string(), digest.digest().to_owned())]),
        annotations,
    }
}

/// A layer that is made, and its content.
struct Layer {
    part: Part,
    bytes: Vec<u8>,
}

impl Layer {
    fn new(media_type: &str, bytes: Vec<u8>, annotations: BTreeMap<String, String>) -> Self {
        let mut part = part(media_type, &bytes);
        part.annotations = annotations;
        Self { part, bytes }
    }
}

/// Makes a signature or an attestation in some forms, beside what is there.
struct Maker<'a> {
    source: &'a dyn Source,
    image: &'a Descriptor,
    key: &'a PrivateKey,
    what: What,
    predicate_type: &'a str,
    replace: bool,
}

impl Maker<'_> {
    /// `classic` is the document that the key signs for the one form, `bundle` for the other.
    fn make(&self, forms: Forms, classic: &[u8], bundle: &[u8]) -> Result<Made, SignError> {
        let Self { source, image, .. } = *self;
        read_document(source, image)?;
        if forms.has(Form::Classic) && *image.digest().algorithm() != DigestAlgorithm::Sha256 {
            return Err(SignError::NoTag(image.digest().to_string()));
        }
        let (held, refused) = held(source, image, self.what)?;
        // What cannot be read is not written over.
        let mut refused = refused.into_iter();
        if let Some(bad) = refused.find(|one| one.found.form == Form::Classic)
            && forms.has(Form::Classic)
        {
            return Err(bad.why);
        }
        let there = candidates(source, image, &held, self.what, Some(self.predicate_type))?;
        let mut mine = Vec::new();
        for candidate in &there.candidates {
            let form = candidate.found.form;
            let (is_in_place, document) = match form {
                // One that refers to its image is not where cosign 2 looks.
                Form::Classic => (candidate.tagged, classic),
                // With what else is in its manifest it would go.
                Form::Bundle => (candidate.alone, bundle),
            };
            if !forms.has(form) || !is_in_place {
                continue;
            }
            let Ok(bytes) = fetch(source, candidate, self.what)? else {
                continue;
            };
            if let Some(is_same) = self.is_same(form, candidate.part, &bytes, document) {
                mine.push((&candidate.found, is_same));
            }
        }
        let mut made = Made::default();
        let mut count = there.count;
        for (form, document) in [(Form::Classic, classic), (Form::Bundle, bundle)] {
            if !forms.has(form) {
                continue;
            }
            let here: Vec<_> = mine
                .iter()
                .filter(|(found, _)| found.form == form)
                .collect();
            let stays = here.iter().find(|(_, is_same)| *is_same);
            let stays = stays.map(|(found, _)| *found);
            let new = match stays {
                Some(_) => {
                    made.present.push(form);
                    None
                }
                None => {
                    count += 1;
                    Some(self.layer(form, document)?)
                }
            };
            let goes: Vec<&Found> = here
                .iter()
                .map(|(found, _)| *found)
                .filter(|found| self.replace && Some(*found) != stays)
                .collect();
            count -= goes.len();
            match form {
                Form::Classic if new.is_none() && goes.is_empty() => {}
                Form::Classic => made.attachments.push(self.tagged(&held, &goes, new)),
                Form::Bundle => {
                    if let Some(layer) = new {
                        made.attachments.push(self.referrer(layer));
                    }
                    made.replaced
                        .extend(goes.iter().map(|found| found.manifest.clone()));
                }
            }
        }
        if !made.attachments.is_empty() && count > MOST_SIGNATURES {
            return Err(SignError::Full {
                store: source.name(),
                image: image.digest().to_string(),
                what: self.what.name(),
                count: there.count,
                most: MOST_SIGNATURES,
            });
        }
        Ok(made)
    }

    /// Whether a layer has this document signed, and in the way in which it is signed here; `None`
    /// when it is not by this key, or of another type.
    fn is_same(&self, form: Form, part: &Part, bytes: &[u8], document: &[u8]) -> Option<bool> {
        let key = self.key.public();
        let envelope = match (form, self.what) {
            (Form::Classic, What::Signatures) => {
                let signature = signature_of(part).ok()?;
                key.verify(bytes, &signature).ok()?;
                return Some(bytes == document && self.is_ours(document, &signature));
            }
            (Form::Classic, What::Attestations) => Envelope::read(bytes).ok()?,
            (Form::Bundle, _) => match Bundle::read(bytes).ok()? {
                Bundle {
                    content: Content::Envelope(envelope),
                    proof: Proof::PublicKey { .. },
                    ..
                } => envelope,
                _ => return None,
            },
        };
        if envelope.payload_type != Statement::PAYLOAD_TYPE || !is_signed(&envelope, &key) {
            return None;
        }
        let statement = Statement::read(&envelope.payload).ok()?;
        let message = Envelope::signed_bytes(&envelope.payload_type, &envelope.payload);
        let mut signatures = envelope.signatures.iter();
        (statement.predicate_type == self.predicate_type).then(|| {
            envelope.payload == document
                && signatures.any(|one| self.is_ours(&message, &one.signature))
        })
    }

    /// Whether a signature that holds is one as it is made here.
    ///
    /// cosign signs with P-384 and Ed25519 in a way that its own `verify` does not take (see
    /// [`Algorithm`]): beside such a one another is made, so that every verifier finds one.
    fn is_ours(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.public().algorithm() == Algorithm::EcdsaP256
            || self.key.sign(message).is_ok_and(|ours| ours == signature)
    }

    /// Signs a document, and makes a layer of it.
    fn layer(&self, form: Form, document: &[u8]) -> Result<Layer, SignError> {
        if (form, self.what) == (Form::Classic, What::Signatures) {
            let signature = STANDARD.encode(self.key.sign(document)?);
            let annotations = BTreeMap::from([(SIGNATURE.to_owned(), signature)]);
            let bytes = document.to_vec();
            return Ok(Layer::new(Payload::MEDIA_TYPE, bytes, annotations));
        }
        let message = Envelope::signed_bytes(Statement::PAYLOAD_TYPE, document);
        let envelope = Envelope {
            payload_type: Statement::PAYLOAD_TYPE.to_owned(),
            payload: document.to_vec(),
            signatures: vec![EnvelopeSignature {
                key_id: String::new(),
                signature: self.key.sign(&message)?,
            }],
        };
        Ok(match form {
            Form::Classic => {
                let annotations = BTreeMap::from([
                    (SIGNATURE.to_owned(), String::new()),
                    (LAYER_PREDICATE.to_owned(), self.predicate_type.to_owned()),
                ]);
                Layer::new(Envelope::MEDIA_TYPE, envelope.to_json(), annotations)
            }
            Form::Bundle => {
                let bytes = Bundle::of_key(&envelope, &self.key.public().hint());
                Layer::new(BUNDLE_MEDIA_TYPE, bytes, BTreeMap::new())
            }
        })
    }

    /// The manifest under cosign's tag: the layers that are there, but for those that go, and then
    /// the new one.
    fn tagged(&self, held: &[Held], goes: &[&Found], new: Option<Layer>) -> Attachment {
        let there: Vec<&Held> = held.iter().filter(|held| held.tagged).collect();
        let mut layers = Vec::new();
        for held in &there {
            for (layer, part) in held.document.layers.iter().enumerate() {
                let is_there = |found: &&&Found| {
                    found.manifest == *held.descriptor.digest() && found.layer == layer
                };
                if !goes.iter().any(|found| is_there(&found)) {
                    layers.push(part.clone());
                }
            }
        }
        let mut documents = BTreeMap::new();
        if let Some(layer) = new {
            documents.insert(layer.part.digest.to_string(), layer.bytes);
            layers.push(layer.part);
        }
        let blobs = blobs(&layers, &documents);
        let config = config(&layers);
        let first = there.first().map(|held| &held.document);
        let manifest = Document {
            schema_version: 2,
            media_type: Some(MediaType::ImageManifest.to_string()),
            config: part(MediaType::ImageConfig.as_ref(), &config),
            layers,
            annotations: first
                .map(|first| first.annotations.clone())
                .unwrap_or_default(),
            subject: None,
            artifact_type: None,
        };
        documents.insert(manifest.config.digest.to_string(), config);
        let tag = attached_tag(self.image.digest(), self.what.suffix());
        let there = there.iter().map(|held| held.descriptor.digest().clone());
        attachment(&manifest, documents, blobs, Link::Tag(tag), there.collect())
    }

    /// A manifest that refers to the image, with a bundle.
    fn referrer(&self, bundle: Layer) -> Attachment {
        let (empty, content) = EMPTY;
        let mut config = part(empty, content);
        let artifact_type = Value::String(BUNDLE_MEDIA_TYPE.to_owned());
        config
            .other
            .insert("artifactType".to_owned(), artifact_type);
        let documents = BTreeMap::from([
            (bundle.part.digest.to_string(), bundle.bytes),
            (config.digest.to_string(), content.to_vec()),
        ]);
        let manifest = Document {
            schema_version: 2,
            media_type: Some(MediaType::ImageManifest.to_string()),
            config,
            layers: vec![bundle.part],
            annotations: BTreeMap::from([
                (BUNDLE_CONTENT.to_owned(), "dsse-envelope".to_owned()),
                (BUNDLE_PREDICATE.to_owned(), self.predicate_type.to_owned()),
            ]),
            subject: Some(Part {
                media_type: self.image.media_type().to_string(),
                size: self.image.size(),
                digest: self.image.digest().clone(),
                annotations: BTreeMap::new(),
                other: BTreeMap::new(),
            }),
            artifact_type: Some(BUNDLE_MEDIA_TYPE.to_owned()),
        };
        attachment(&manifest, documents, Vec::new(), Link::Subject, Vec::new())
    }
}
