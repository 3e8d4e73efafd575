//! Public keys.

use base64ct::{Base64, Encoding};
use ed25519_dalek::Digest as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use pkcs8::der::Decode;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use sha2::{Digest, Sha256, Sha384};

use super::{Algorithm, KeyError, kind, pem, private};

/// The label of a public key in PEM.
pub(super) const LABEL: &str = "PUBLIC KEY";

/// What stands before the point in the `SubjectPublicKeyInfo` of each algorithm (RFC 5480 2,
/// RFC 8410 4): it is always the same.
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const P384: &[u8] =
    b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(pub(super) Point);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Point {
    P256(p256::PublicKey),
    P384(p384::PublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// A signature is not one of this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a signature by this key over this content")]
pub struct BadSignature;

impl PublicKey {
    /// Reads PEM `PUBLIC KEY` (SubjectPublicKeyInfo). `name` is the file's, for messages.
    ///
    /// # Errors
    /// When it is something else: a private key, a certificate, an RSA key, another curve: the
    /// message says which.
    pub fn read(pem: &[u8], name: &str) -> Result<Self, KeyError> {
        let block = pem::only(pem, name)?;
        if block.label != LABEL {
            return Err(private::wrong_label(block.label, name));
        }
        Self::of_der(&block.decode(name)?, name)
    }

    /// Reads a SubjectPublicKeyInfo.
    fn of_der(der: &[u8], name: &str) -> Result<Self, KeyError> {
        let damaged = |what: &str| KeyError::Damaged {
            name: name.to_owned(),
            what: what.to_owned(),
        };
        let info = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|_| damaged("it is no SubjectPublicKeyInfo (RFC 5280 4.1)"))?;
        let algorithm = kind::of(&info.algorithm, name)?;
        let bytes = info.subject_public_key.as_bytes().unwrap_or_default();
        let point = match algorithm {
            Algorithm::EcdsaP256 => p256::PublicKey::from_sec1_bytes(bytes)
                .map(Point::P256)
                .ok(),
            Algorithm::EcdsaP384 => p384::PublicKey::from_sec1_bytes(bytes)
                .map(Point::P384)
                .ok(),
            // A weak key accepts signatures over messages that nobody signed.
            Algorithm::Ed25519 => ed25519_dalek::VerifyingKey::try_from(bytes)
                .ok()
                .filter(|key| !key.is_weak())
                .map(Point::Ed25519),
        };
        let point = point.ok_or_else(|| damaged("its point is not one that a key has"))?;
        Ok(Self(point))
    }

    /// PEM `PUBLIC KEY`, as cosign writes it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::write(LABEL, &self.to_der())
    }

    /// Its SubjectPublicKeyInfo.
    fn to_der(&self) -> Vec<u8> {
        match &self.0 {
            Point::P256(key) => [P256, key.to_encoded_point(false).as_bytes()].concat(),
            Point::P384(key) => [P384, key.to_encoded_point(false).as_bytes()].concat(),
            Point::Ed25519(key) => [ED25519, key.as_bytes()].concat(),
        }
    }

    /// Its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Point::P256(_) => Algorithm::EcdsaP256,
            Point::P384(_) => Algorithm::EcdsaP384,
            Point::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The base64 of the SHA-256 of its SubjectPublicKeyInfo: what a bundle calls it.
    #[must_use]
    pub fn hint(&self) -> String {
        Base64::encode_string(&Sha256::digest(self.to_der()))
    }

    /// Checks a signature over `message`: see [`Algorithm`] for the forms that are taken.
    ///
    /// # Errors
    /// When it is none.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let is_good = match &self.0 {
            Point::P256(key) => p256::ecdsa::Signature::from_der(signature).is_ok_and(|it| {
                let key = p256::ecdsa::VerifyingKey::from(key);
                key.verify_prehash(&Sha256::digest(message), &it).is_ok()
            }),
            Point::P384(key) => p384::ecdsa::Signature::from_der(signature).is_ok_and(|it| {
                let key = p384::ecdsa::VerifyingKey::from(key);
                key.verify_prehash(&Sha256::digest(message), &it).is_ok()
                    || key.verify_prehash(&Sha384::digest(message), &it).is_ok()
            }),
            Point::Ed25519(key) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|it| {
                    let hash = ed25519_dalek::Sha512::default().chain_update(message);
                    key.verify_strict(message, &it).is_ok()
                        || key.verify_prehashed_strict(hash, None, &it).is_ok()
                })
            }
        };
        if is_good { Ok(()) } else { Err(BadSignature) }
    }
}
