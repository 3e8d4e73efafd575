//! What can go wrong with signatures.

use super::checking::Refused;
use super::key::KeyError;
use crate::store::StoreError;

/// Why a document of a signature is not what it should be: a payload, an envelope, a statement, a
/// bundle, a predicate. Says what is wrong with it, for the one who knows which it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is no JSON, or lacks a member, or has one of another kind.
    #[error("{what} cannot be read: {problem}")]
    Shape {
        /// What it should be: `the payload`.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// It has more bytes than are read.
    #[error("{what} has {size} bytes: more than {most} are not read")]
    TooLarge {
        /// What it should be.
        what: &'static str,
        /// Its bytes.
        size: usize,
        /// The most that are read.
        most: usize,
    },
    /// It has more values than are read.
    #[error("{what} has more than {most} JSON values: such a document is not read")]
    TooManyValues {
        /// What it should be.
        what: &'static str,
        /// The most that are read.
        most: usize,
    },
    /// An object in it has two members of one name.
    #[error("{what} has the member \"{member}\" twice: programs would read different things in it")]
    Twice {
        /// What it should be.
        what: &'static str,
        /// The name.
        member: String,
    },
    /// An object in it has a member that some programs take for another.
    #[error(
        "{what} has the member \"{member}\", which some programs take for \"{meant}\": \
         they would read different things in it"
    )]
    Alike {
        /// What it should be.
        what: &'static str,
        /// The member.
        member: String,
        /// What it is taken for.
        meant: String,
    },
    /// It is a document of another type.
    #[error("{what} is of the type \"{found}\", not {expected}")]
    Type {
        /// What it should be.
        what: &'static str,
        /// The type that it says.
        found: String,
        /// What the type must be.
        expected: &'static str,
    },
    /// A payload that has a name, but no digest: whatever the name stands for tomorrow would
    /// count as signed.
    #[error(
        "the payload signs the name \"{identity}\", not an image: it has no digest; \
         sign the image anew, by its digest"
    )]
    SignsName {
        /// The name.
        identity: String,
    },
    /// A digest in it is none.
    #[error("{what} has \"{digest}\" for a digest: {problem}")]
    Digest {
        /// What it should be.
        what: &'static str,
        /// What stands there.
        digest: String,
        /// What is wrong.
        problem: String,
    },
    /// A member is no base64.
    #[error("{what} cannot be read: {member} is no base64")]
    Base64 {
        /// What it should be.
        what: &'static str,
        /// The member.
        member: String,
    },
    /// It has no signature.
    #[error("{what} has no signature")]
    NoSignature {
        /// What it should be.
        what: &'static str,
    },
    /// It has more signatures than it may have.
    #[error("{what} has {count} signatures: {most} may be there")]
    TooManySignatures {
        /// What it should be.
        what: &'static str,
        /// How many it has.
        count: usize,
        /// How many it may have.
        most: usize,
    },
    /// Its signatures would take long to try, as each is over all of what is signed.
    #[error(
        "{what} has {count} signatures over {size} bytes each, which would take long to try: \
         of that size there may be {most}"
    )]
    TooMuchSigned {
        /// What it should be.
        what: &'static str,
        /// How many it has.
        count: usize,
        /// The bytes that each of them is over.
        size: usize,
        /// How many it may have.
        most: usize,
    },
    /// There is no predicate type of this name.
    #[error(
        "there is no predicate type \"{name}\": choose one of {}, or give a URI",
        super::PredicateType::names()
    )]
    PredicateType {
        /// What was given.
        name: String,
    },
    /// A file is no predicate of its type.
    #[error("a predicate of type \"{name}\" must be {expected}: {problem}")]
    Predicate {
        /// The type, as it was given.
        name: String,
        /// What the file must be.
        expected: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// Why something was not signed, attested or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store that has the image.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document of a signature.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// There is no signature.
    #[error(
        "{store}: the image {image} is not signed{}: sign it with distrobuild sign --key cosign.key IMAGE, or ask its publisher for a signed one",
        listed(others)
    )]
    Unsigned {
        /// The store.
        store: String,
        /// The image's digest.
        image: String,
        /// The types of what is attached in the same form, and is no signature.
        others: Vec<String>,
    },
    /// There is no attestation of the type asked for.
    #[error("{store}: the image {image} has no attestation{}{}: make one with distrobuild attest --key cosign.key --type TYPE --predicate FILE IMAGE", of_type(wanted.as_deref()), listed(others))]
    Unattested {
        /// The store.
        store: String,
        /// The image's digest.
        image: String,
        /// The type that was asked for.
        wanted: Option<String>,
        /// The types that there are.
        others: Vec<String>,
    },
    /// None of those that are there holds.
    #[error("{store}: no {what} of the image {image} holds{}", reasons(refused))]
    NoneHolds {
        /// The store.
        store: String,
        /// The image's digest.
        image: String,
        /// `signature` or `attestation`.
        what: &'static str,
        /// Each with its reason: at least one.
        refused: Vec<Refused>,
    },
    /// There are more than are looked at.
    #[error(
        "{store}: the image {image} has more than {most} {what}: no more are looked at, so that nobody is kept busy with a flood of them; remove those that are not needed"
    )]
    TooMany {
        /// The store.
        store: String,
        /// The image's digest.
        image: String,
        /// `signatures`, `attestations`, or `manifests that refer to it`.
        what: &'static str,
        /// The most that are looked at.
        most: usize,
    },
    /// There are as many as are looked at, so that one more would hide them all.
    #[error(
        "{store}: the image {image} has {count} {what}, and no more than {most} are looked at: remove those that are not needed, then sign it"
    )]
    Full {
        /// The store.
        store: String,
        /// The image's digest.
        image: String,
        /// `signatures` or `attestations`.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The most that are looked at.
        most: usize,
    },
    /// A manifest has one of its layers twice.
    #[error(
        "{store}: the manifest {manifest} has the layer {layer} with the same signature twice, which no tool writes: remove that manifest, and sign the image again"
    )]
    Twice {
        /// The store.
        store: String,
        /// The manifest.
        manifest: String,
        /// The layer.
        layer: String,
    },
    /// A bundle or an envelope was seen already, in another manifest or layer.
    #[error("it is the content {0} once more, which was looked at already")]
    Again(String),
    /// What has cosign's tag is no manifest of signatures.
    #[error("what has the tag {tag} is no manifest of signatures or attestations: {problem}")]
    NotSignatures {
        /// The tag.
        tag: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A manifest says that it belongs to another image, or to none.
    #[error("its manifest belongs to {}, and not to {image}: it was moved here", subject.as_deref().unwrap_or("no image"))]
    OtherSubject {
        /// The digest of the image that it says to belong to.
        subject: Option<String>,
        /// That of the image that is verified.
        image: String,
    },
    /// A layer is of another kind.
    #[error("it is of the type {}, not {expected}", shown(found))]
    MediaType {
        /// Its media type.
        found: String,
        /// That of what should be there.
        expected: &'static str,
    },
    /// A layer lacks its signature, or has something else in its place.
    #[error("its annotation {} {problem}", super::layers::SIGNATURE)]
    SignatureAnnotation {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is not by the key, or not what was signed.
    #[error("it is not by this key, or was changed after it was signed{}", other_key(says.as_deref(), key))]
    OtherKey {
        /// What it calls its own key, when it does; not to be trusted.
        says: Option<String>,
        /// What it would call the key that was asked for.
        key: String,
    },
    /// It names the key, and is not by it.
    #[error(
        "it was changed after it was signed, or never was: it names this key ({key}), which did not sign this content"
    )]
    Changed {
        /// What it calls the key.
        key: String,
    },
    /// It is proven by a certificate.
    #[error(
        "it is proven by a certificate, and a key was asked for: it was made without this key (keyless), which is not verified here; ask its signer for a signature by a key"
    )]
    Keyless,
    /// A bundle has the signature of a file.
    #[error("it is a signature of a file (messageSignature), not of an image")]
    Message,
    /// An envelope holds something else than a statement.
    #[error("what is signed is of the type {}, not {}", shown(.0), super::Statement::PAYLOAD_TYPE)]
    PayloadType(String),
    /// It says something else than what was asked for.
    #[error("it says {}, not {}", shown(found), wanted.as_deref().unwrap_or("anything that is attested of an image"))]
    Predicate {
        /// The predicate type.
        found: String,
        /// The one asked for.
        wanted: Option<String>,
    },
    /// It is by the key, and for another image.
    #[error("it is by this key, but signs {signs}: it was moved here, and says nothing of {image}")]
    Moved {
        /// What it signs.
        signs: String,
        /// The digest of the image that is verified.
        image: String,
    },
    /// It lacks an annotation, or has another value there.
    #[error("it does not say {}={}, which was asked for: {}", shown(name), shown(wanted), said(found.as_deref()))]
    Annotation {
        /// The name.
        name: String,
        /// The value that was asked for.
        wanted: String,
        /// What it says there.
        found: Option<String>,
    },
    /// Its certificate cannot be read.
    #[error("its certificate cannot be read: {problem}")]
    Certificate {
        /// What is wrong with it.
        problem: String,
    },
    /// Its certificate has another key.
    #[error("the certificate beside it is one of another key")]
    CertificateOfOtherKey,
    /// Its certificate has run out.
    #[error("the certificate beside it ran out at {0}")]
    Expired(String),
    /// Its certificate is not valid yet.
    #[error(
        "the certificate beside it is not valid before {0}: is the clock of this machine right?"
    )]
    NotYetValid(String),
    /// There can be no tag for what is attached to it.
    #[error(
        "the image {0} cannot have a classic signature, whose tag has room for a sha256 digest alone: take --signature-form bundle"
    )]
    NoTag(String),
}

/// The most characters of a text from outside that are shown.
const SHOWN: usize = 200;
/// The most reasons that are listed.
const REASONS: usize = 10;

/// A text from outside in quotation marks, without what a terminal would act on.
fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

fn of_type(wanted: Option<&str>) -> String {
    wanted.map_or_else(String::new, |wanted| {
        format!(" of the type {}", shown(wanted))
    })
}

fn listed(types: &[String]) -> String {
    if types.is_empty() {
        return String::new();
    }
    let names: Vec<String> = types.iter().take(REASONS).map(|name| shown(name)).collect();
    let more = if types.len() > REASONS { ", …" } else { "" };
    format!(" (what it has says {}{more})", names.join(", "))
}

fn reasons(refused: &[Refused]) -> String {
    if let [one] = refused {
        return format!(": {} ({})", one.why, one.found);
    }
    let mut text = String::from(", for each its own reason:");
    for one in refused.iter().take(REASONS) {
        text.push_str(&format!("\n  {}: {}", one.found, one.why));
    }
    if let Some(more) = refused.len().checked_sub(REASONS).filter(|more| *more > 0) {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
}

fn other_key(says: Option<&str>, key: &str) -> String {
    match says.filter(|says| !says.is_empty()) {
        Some(says) => format!(
            ": it names the key {}, and this one is {key:?}",
            shown(says)
        ),
        None => String::new(),
    }
}

fn said(found: Option<&str>) -> String {
    match found {
        Some(found) => format!("it says {}", shown(found)),
        None => "it says nothing of it".to_owned(),
    }
}
