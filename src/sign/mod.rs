//! Signatures and attestations of images, interchangeable with cosign's.
//!
//! An image is signed by its digest, in two forms that say the same: a *classic* signature, which
//! cosign 2 and most admission controllers read, and a *bundle*, which cosign 3 reads. Both are
//! made with a key alone: no certificate authority and no transparency log is asked.
//!
//! | form | what is signed | where it lies |
//! |---|---|---|
//! | classic signature | simple-signing JSON, [`Payload`] | a layer of the manifest under the tag `sha256-….sig` |
//! | classic attestation | a DSSE [`Envelope`] around an in-toto [`Statement`] | a layer under `sha256-….att` |
//! | bundle, of either | the same envelope in a sigstore [`Bundle`] | a manifest with the image as its `subject` |
//!
//! | file | what it holds |
//! |---|---|
//! | `key/` | key pairs: made, read, kept encrypted |
//! | `payload.rs` `envelope.rs` `statement.rs` `bundle.rs` `predicate.rs` | the documents |
//! | `json.rs` | JSON that every reader reads alike |
//! | `layers.rs` `manifest.rs` | the manifests that hold them: read; written |
//! | `making.rs` | signing and attesting |
//! | `checking.rs` `certificate.rs` | verifying |
//! | `intact.rs` | the image itself, all of it |
//!
//! What counts is the key that was asked for: hints at keys, annotations and media types decide
//! what is looked at, never whether it holds. A signature holds when it is by the key over these
//! very bytes, and these name the image's digest. Verifying is strict where cosign is not: a
//! bundle is a signature only when it says so (cosign 3 takes any attestation by the key for one),
//! a certificate beside a signature has to fit, and a damaged blob ends all.
//!
//! Sources: cosign `specs/SIGNATURE_SPEC.md` and `specs/BUNDLE_SPEC.md`, DSSE 1.0, in-toto
//! attestation framework 1.0, sigstore protobuf-specs 0.5.

mod bundle;
mod certificate;
mod checking;
mod envelope;
mod error;
mod intact;
mod json;
pub mod key;
#[cfg(test)]
mod known;
mod layers;
mod making;
mod manifest;
mod payload;
mod predicate;
mod statement;

pub use bundle::{BUNDLE_MEDIA_TYPE, Bundle, Content, Proof};
pub use checking::{Check, Checked, Found, Refused, Verified, What, attestations, signatures};
pub use envelope::{Envelope, EnvelopeSignature};
pub use error::{DocumentError, SignError};
pub use intact::{Reach, intact};
pub use layers::MOST_SIGNATURES;
pub use making::{Attest, Form, Forms, Made, Sign, attestation, signature};
pub(crate) use manifest::config_of;
pub use payload::Payload;
pub use predicate::PredicateType;
pub use statement::{COSIGN_SIGN, Statement, Subject};

#[cfg(test)]
mod tests;
