//! Private keys.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use pkcs8::EncodePrivateKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::public::Point;
use super::{Algorithm, KeyError, Password, PublicKey, import, pem, public, sealed};

/// PKCS#8 of an Ed25519 key without its public half, which openssl before 3.5 does not read, up
/// to the 32 bytes of the key itself (RFC 8410 7).
const ED25519: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// A private key. Wiped when dropped, and never shown.
pub struct PrivateKey(pub(super) Secret);

/// Each of these wipes itself when dropped.
pub(super) enum Secret {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl PrivateKey {
    /// A new key of the system's random numbers.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Ok(Self(match algorithm {
            Algorithm::EcdsaP256 => Secret::P256(scalar::<32, _>(p256::SecretKey::from_slice)?),
            Algorithm::EcdsaP384 => Secret::P384(scalar::<48, _>(p384::SecretKey::from_slice)?),
            Algorithm::Ed25519 => {
                let seed = random::<32>()?;
                Secret::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed)))
            }
        }))
    }

    /// Opens a key file as cosign writes it: PEM `ENCRYPTED SIGSTORE PRIVATE KEY` or
    /// `ENCRYPTED COSIGN PRIVATE KEY`. `name` is the file's, for messages. Whether a password is
    /// needed at all: see [`is_sealed`](Self::is_sealed).
    ///
    /// # Errors
    /// When it is no such file, the password is wrong, the cost of trying it is absurd, or the key
    /// is of a kind that is not known.
    pub fn open(pem: &[u8], name: &str, password: &Password) -> Result<Self, KeyError> {
        let block = pem::only(pem, name)?;
        if sealed::LABELS.contains(&block.label) {
            let der = sealed::open(&block.decode(name)?, name, password)?;
            return import::pkcs8(&der, name);
        }
        Err(match block.label {
            public::LABEL => KeyError::Public {
                name: name.to_owned(),
            },
            label if import::LABELS.contains(&label) => KeyError::Foreign {
                name: name.to_owned(),
                label: label.to_owned(),
            },
            label => wrong_label(label, name),
        })
    }

    /// The key in a PEM file of another tool: `PRIVATE KEY` or `ENCRYPTED PRIVATE KEY` (PKCS#8),
    /// `EC PRIVATE KEY` (SEC1); `EC PARAMETERS` before it are passed over. `password` is asked for
    /// when one is needed.
    ///
    /// # Errors
    /// When it is no such file, or a key that cannot sign here: RSA, other curves.
    pub fn import(
        pem: &[u8],
        name: &str,
        password: &mut dyn FnMut() -> Result<Password, KeyError>,
    ) -> Result<Self, KeyError> {
        let block = pem::only(pem, name)?;
        import::of_block(&block, name, password)
    }

    /// Whether that is a key file for [`open`](Self::open), and so has a password.
    #[must_use]
    pub fn is_sealed(pem: &[u8]) -> bool {
        pem::only(pem, "").is_ok_and(|block| sealed::LABELS.contains(&block.label))
    }

    /// The key file: PEM `ENCRYPTED SIGSTORE PRIVATE KEY`, scrypt (N 65536, r 8, p 1) and
    /// secretbox around PKCS#8.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub fn seal(&self, password: &Password) -> Result<String, KeyError> {
        sealed::seal(&self.to_pkcs8()?, password)
    }

    /// PKCS#8, version 1.
    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let document = match &self.0 {
            Secret::P256(key) => key.to_pkcs8_der(),
            Secret::P384(key) => key.to_pkcs8_der(),
            Secret::Ed25519(key) => {
                return Ok(Zeroizing::new([ED25519, key.as_bytes()].concat()));
            }
        };
        Ok(document.map_err(|_| KeyError::Sign)?.to_bytes())
    }

    /// The other half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(match &self.0 {
            Secret::P256(key) => Point::P256(key.public_key()),
            Secret::P384(key) => Point::P384(key.public_key()),
            Secret::Ed25519(key) => Point::Ed25519(key.verifying_key()),
        })
    }

    /// Its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Secret::P256(_) => Algorithm::EcdsaP256,
            Secret::P384(_) => Algorithm::EcdsaP384,
            Secret::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Signs `message`: ASN.1 DER for ECDSA, 64 bytes for Ed25519. The same key and message give
    /// the same bytes (RFC 6979, RFC 8032).
    ///
    /// # Errors
    /// When the key cannot sign, which no key that was read or made here does.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let hash = Sha256::digest(message);
        match &self.0 {
            Secret::P256(key) => {
                let signed: Result<p256::ecdsa::Signature, _> =
                    p256::ecdsa::SigningKey::from(key).sign_prehash(&hash);
                signed.map(|it| it.to_der().as_bytes().to_vec())
            }
            Secret::P384(key) => {
                let signed: Result<p384::ecdsa::Signature, _> =
                    p384::ecdsa::SigningKey::from(key).sign_prehash(&hash);
                signed.map(|it| it.to_der().as_bytes().to_vec())
            }
            Secret::Ed25519(key) => key.try_sign(message).map(|it| it.to_bytes().to_vec()),
        }
        .map_err(|_| KeyError::Sign)
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({}, …)", self.algorithm())
    }
}

/// What is wrong with a file that holds neither of the keys that may be asked for.
pub(super) fn wrong_label(label: &str, name: &str) -> KeyError {
    let name = name.to_owned();
    match label {
        label if sealed::LABELS.contains(&label) || import::LABELS.contains(&label) => {
            KeyError::Private { name }
        }
        public::LABEL => KeyError::Public { name },
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            KeyError::Certificate { name }
        }
        "RSA PRIVATE KEY" | "RSA PUBLIC KEY" => KeyError::Rsa { name },
        "OPENSSH PRIVATE KEY" | "SSH2 PUBLIC KEY" | "SSH2 ENCRYPTED PRIVATE KEY" => {
            KeyError::OpenSsh { name }
        }
        "DSA PRIVATE KEY" => KeyError::Kind {
            name,
            kind: "DSA".to_owned(),
        },
        label => KeyError::Label {
            name,
            label: label.to_owned(),
        },
    }
}

/// Random bytes of the system.
pub(super) fn random<const LENGTH: usize>() -> Result<Zeroizing<[u8; LENGTH]>, KeyError> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    getrandom::fill(&mut *bytes).map_err(|error| KeyError::Random(error.to_string()))?;
    Ok(bytes)
}

/// A random scalar (FIPS 186-5 A.2.2): numbers beyond the order, one in four thousand million at
/// most, are thrown away.
fn scalar<const LENGTH: usize, Key>(
    read: impl Fn(&[u8]) -> Result<Key, p256::elliptic_curve::Error>,
) -> Result<Key, KeyError> {
    for _ in 0..16 {
        if let Ok(key) = read(&*random::<LENGTH>()?) {
            return Ok(key);
        }
    }
    Err(KeyError::Random("they are not random".to_owned()))
}
