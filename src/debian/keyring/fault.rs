//! Why a signature proves nothing.

use crate::image::rfc3339;

/// Why a signature proves nothing. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The keyring has no such key.
    #[error("the keyring does not have this key")]
    UnknownKey,
    /// The signature is not one over this text.
    #[error("the signature does not fit the text: one of them was altered")]
    Mismatch,
    /// The key, or the subkey, was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// The key expired, now or when the signature was made.
    #[error("the key expired on {}", rfc3339(*.at))]
    Expired {
        /// When.
        at: u64,
    },
    /// The signature is older than its key.
    #[error("the signature claims to be older than its key, which is of {}", rfc3339(*.key))]
    OlderThanKey {
        /// When the key was made.
        key: u64,
    },
    /// The signature is of the future.
    #[error("the signature is of {}, in the future: is this machine's clock right?", rfc3339(*.at))]
    Future {
        /// When it was made.
        at: u64,
    },
    /// The signature itself expired.
    #[error("the signature expired on {}", rfc3339(*.at))]
    SignatureExpired {
        /// When.
        at: u64,
    },
    /// By a digest that can be forged, or will be.
    #[error("it is made with {0}, which is too weak; SHA-256 or stronger is expected")]
    WeakDigest(String),
    /// By a key that can be broken.
    #[error(
        "the key is {0}; RSA of 2048 bits or more, Ed25519, Ed448 or ECDSA over P-256, P-384 or P-521 is expected"
    )]
    WeakKey(String),
    /// By a key that is for something else.
    #[error("the key is not one for signing")]
    NotForSigning,
    /// By a key about which its owner states nothing that can be relied upon.
    #[error(
        "the keyring has no statement of the key's owner about it (a self-signature, for a subkey \
         one in each direction) that is whole and made with SHA-256 or stronger"
    )]
    Unbound,
    /// Something about it is not understood.
    #[error("{0}")]
    Unsupported(String),
}
