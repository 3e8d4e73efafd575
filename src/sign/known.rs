//! Documents that the real cosign wrote, for tests: see `tests/data/cosign/documents/README.md`.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;

use super::DocumentError;

/// The image that is signed in them.
pub(super) const IMAGE: &str =
    "sha256:f1ee24b90db5b92b11b59fd2b0dd86de96ff07b40d296dff93c9d3685551bfdb";
/// What it is called in them.
pub(super) const NAME: &str = "127.0.0.1:5601/demo";
/// The hint at the key in bundles.
pub(super) const HINT: &str = "+iAr8fy7RAYQzTLCgOgO77qjtYVg2xMBAg1pOB9pPG0=";

pub(super) const PAYLOAD: &[u8] = include_bytes!("../../tests/data/cosign/documents/payload.json");
pub(super) const PAYLOAD_SIGNATURE: &str =
    include_str!("../../tests/data/cosign/documents/payload.sig");
pub(super) const ANNOTATED: &[u8] =
    include_bytes!("../../tests/data/cosign/documents/payload-annotations.json");
pub(super) const ANNOTATED_SIGNATURE: &str =
    include_str!("../../tests/data/cosign/documents/payload-annotations.sig");
pub(super) const SIGNED_BUNDLE: &[u8] =
    include_bytes!("../../tests/data/cosign/documents/sign.bundle.json");
pub(super) const ANNOTATED_BUNDLE: &[u8] =
    include_bytes!("../../tests/data/cosign/documents/sign-annotations.bundle.json");
pub(super) const BUNDLE_OF_VERSION_2: &[u8] =
    include_bytes!("../../tests/data/cosign/documents/attest/custom.bundle-v2.json");
pub(super) const ENVELOPES_OF_VERSION_2: [&[u8]; 2] = [
    include_bytes!("../../tests/data/cosign/documents/attest/custom.envelope-v2.json"),
    include_bytes!("../../tests/data/cosign/documents/attest/spdx.envelope-v2.json"),
];

/// An attestation in both forms.
pub(super) struct Attested {
    /// The type that was asked for.
    pub(super) kind: &'static str,
    /// The predicate's file.
    pub(super) file: &'static [u8],
    pub(super) envelope: &'static [u8],
    pub(super) bundle: &'static [u8],
}

macro_rules! attested {
    ($($kind:literal $name:literal $file:literal)*) => {
        &[$(Attested {
            kind: $kind,
            file: include_bytes!(concat!("../../tests/data/cosign/documents/attest/", $file, ".in")),
            envelope: include_bytes!(concat!(
                "../../tests/data/cosign/documents/attest/", $name, ".envelope.json"
            )),
            bundle: include_bytes!(concat!(
                "../../tests/data/cosign/documents/attest/", $name, ".bundle.json"
            )),
        }),*]
    };
}

/// One of each type.
pub(super) const ATTESTED: &[Attested] = attested![
    "custom" "custom" "text"
    "cyclonedx" "cyclonedx" "object"
    "link" "link" "link"
    "openvex" "openvex" "object"
    "slsaprovenance" "slsaprovenance" "slsa02"
    "slsaprovenance02" "slsaprovenance02" "slsa02"
    "slsaprovenance1" "slsaprovenance1" "slsa1"
    "spdx" "spdx" "text"
    "spdxjson" "spdxjson" "object"
    "vuln" "vuln" "vuln"
    "https://example.com/x" "uri" "object"
];

/// Whether the key of these documents signed `message`.
pub(super) fn is_signed(message: &[u8], signature: &[u8]) -> bool {
    let pem = include_bytes!("../../tests/data/cosign/documents/p256.pub");
    let (_, der) = x509_cert::der::pem::decode_vec(pem).unwrap();
    let key = VerifyingKey::from_public_key_der(&der).unwrap();
    key.verify(message, &Signature::from_der(signature).unwrap())
        .is_ok()
}

/// The bytes of a signature's base64.
pub(super) fn base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

/// What a reader says of each document, to look at all of it.
pub(super) fn refusals<T: std::fmt::Debug>(
    read: impl Fn(&[u8]) -> Result<T, DocumentError>,
    documents: &[&str],
) -> Vec<String> {
    documents
        .iter()
        .map(|document| read(document.as_bytes()).unwrap_err().to_string())
        .collect()
}
