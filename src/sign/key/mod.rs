//! Key pairs: made, read from PEM, kept encrypted as cosign keeps them.

mod error;
mod import;
mod kind;
mod password;
mod pem;
mod private;
mod public;
mod sealed;
#[cfg(test)]
mod tests;

pub use error::KeyError;
pub use password::Password;
pub use private::PrivateKey;
pub use public::{BadSignature, PublicKey};

use std::fmt;
use std::str::FromStr;

/// The largest key file that is read, in bytes. Real ones have some hundred.
pub const LARGEST: usize = 64 * 1024;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 over SHA-256: what cosign makes.
    EcdsaP256,
    /// ECDSA on P-384. Signs over SHA-256, which is what cosign's `verify` and Kyverno expect of
    /// any key when they are not told otherwise; SHA-384 is accepted, which cosign's `sign` uses.
    EcdsaP384,
    /// Ed25519 (RFC 8032). Signs the message itself, as cosign's `verify` expects; the prehashed
    /// form, which cosign's `sign` makes, is accepted.
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EcdsaP256, Self::EcdsaP384, Self::Ed25519];
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Ed25519 => "ed25519",
        })
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.to_string() == text)
            .ok_or_else(|| KeyError::Algorithm(text.to_owned()))
    }
}
