//! Why a key cannot be used.

use super::{LARGEST, sealed};

/// What can sign here, for messages about what cannot.
const USABLE: &str =
    "what signs images here is ecdsa-p256, ecdsa-p384 or ed25519; `distrobuild keygen` makes one";

/// Why a key cannot be used. None of these holds anything of a key or a password. `name` is what
/// the key's file is called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No algorithm is called that.
    #[error("there is no algorithm {0:?}: choose ecdsa-p256, ecdsa-p384 or ed25519")]
    Algorithm(String),

    /// The system's generator gave no random numbers.
    #[error("the system gives no random numbers to make a key of: {0}")]
    Random(String),

    /// A key file is much smaller.
    #[error("{name} is no key: it is larger than the {} KiB that a key file may have", LARGEST / 1024)]
    TooLarge {
        /// The file.
        name: String,
    },

    /// There is no PEM block.
    #[error(
        "{name} is no key in PEM: there is no line `-----BEGIN …-----` in it; openssl makes PEM of another form of key with `openssl pkey -inform DER -in {name}`"
    )]
    NotPem {
        /// The file.
        name: String,
    },

    /// A PEM block has no end.
    #[error("{name} is cut short: `-----BEGIN {label}-----` has no `-----END {label}-----`")]
    Unended {
        /// The file.
        name: String,
        /// What the block is called.
        label: String,
    },

    /// The base64 of a PEM block is none.
    #[error("{name} is damaged: what is in its `{label}` is no whole base64")]
    Base64 {
        /// The file.
        name: String,
        /// What the block is called.
        label: String,
    },

    /// There is more than one key, or a key and something else.
    #[error("{name} holds {} things ({}): leave the one key in it that is meant", labels.len(), labels.join(", "))]
    Several {
        /// The file.
        name: String,
        /// What the blocks are called.
        labels: Vec<String>,
    },

    /// A public key where the private one is needed.
    #[error(
        "{name} is a public key, and the private one is needed here: it is in the file ending in `.key`"
    )]
    Public {
        /// The file.
        name: String,
    },

    /// A private key where the public one is needed.
    #[error(
        "{name} is a private key, and the public one is needed here: `distrobuild public-key --key {name}` prints it; keep the private one to yourself"
    )]
    Private {
        /// The file.
        name: String,
    },

    /// A certificate instead of a key.
    #[error(
        "{name} is a certificate, and a key is needed here: `openssl x509 -pubkey -noout -in {name}` prints the public key in it"
    )]
    Certificate {
        /// The file.
        name: String,
    },

    /// A key of OpenSSH.
    #[error("{name} is a key in OpenSSH's own form, which is not read; {USABLE}")]
    OpenSsh {
        /// The file.
        name: String,
    },

    /// An RSA key.
    #[error("{name} is an RSA key, and those are not taken; {USABLE}")]
    Rsa {
        /// The file.
        name: String,
    },

    /// A key on another curve.
    #[error("{name} is a key on the curve {curve}, which is not taken; {USABLE}")]
    Curve {
        /// The file.
        name: String,
        /// The curve's name, or its object identifier.
        curve: String,
    },

    /// A curve that is spelled out. Such keys were a way around certificate checks
    /// (CVE-2020-0601), and RFC 5480 2.1.1 forbids them.
    #[error(
        "{name} is a key whose curve is spelled out instead of named, which is not taken; `openssl pkey -in {name} -ec_param_enc named_curve` writes it with the name"
    )]
    ExplicitCurve {
        /// The file.
        name: String,
    },

    /// A key for something else.
    #[error("{name} is a key for {kind}, which is not taken; {USABLE}")]
    Kind {
        /// The file.
        name: String,
        /// What it is for, or its object identifier.
        kind: String,
    },

    /// A PEM block that is no key.
    #[error("{name} is no key that is known here, but a `{label}`; {USABLE}")]
    Label {
        /// The file.
        name: String,
        /// What the block is called.
        label: String,
    },

    /// A private key of another tool where one in cosign's form is needed.
    #[error(
        "{name} is a private key of another tool (`{label}`), and one that is encrypted as cosign does it is needed here: `distrobuild import-key-pair --key {name}` makes it"
    )]
    Foreign {
        /// The file.
        name: String,
        /// What the block is called.
        label: String,
    },

    /// A key in cosign's form where one of another tool is needed.
    #[error(
        "{name} is in cosign's form already, and can be used as it is: there is nothing to import"
    )]
    Sealed {
        /// The file.
        name: String,
    },

    /// A block encrypted as PEM did it before PKCS#8 (RFC 1421).
    #[error(
        "{name} is encrypted in openssl's old way, which guards it badly and is not read: `openssl pkcs8 -topk8 -in {name} -out NEW.pem` writes it in the new one"
    )]
    LegacyEncryption {
        /// The file.
        name: String,
    },

    /// An encryption of PKCS#8 that is not known.
    #[error(
        "{name} is encrypted in a way that is not known here, or damaged: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in {name} -out NEW.pem` writes it in one that is"
    )]
    Encryption {
        /// The file.
        name: String,
    },

    /// What derives the key from the password is unknown.
    #[error("{name} is encrypted with {found:?} of its password: scrypt alone is known")]
    Kdf {
        /// The file.
        name: String,
        /// What it is called there.
        found: String,
    },

    /// The cipher is unknown.
    #[error("{name} is encrypted with {found:?}: nacl/secretbox alone is known")]
    Cipher {
        /// The file.
        name: String,
        /// What it is called there.
        found: String,
    },

    /// scrypt at that cost would take all memory, or protects nothing.
    #[error(
        "{name} asks for scrypt with N {n}, r {r}, p {p}, which no tool writes: N is a power of two from {} to {}, r is {} and p is {}; whoever wrote it wants this program to stand still, or it is damaged",
        sealed::COSTS.start(), sealed::COSTS.end(), sealed::BLOCK_SIZE, sealed::LANES
    )]
    Cost {
        /// The file.
        name: String,
        /// The CPU and memory cost.
        n: u64,
        /// The block size.
        r: u64,
        /// The parallelization.
        p: u64,
    },

    /// A password of PKCS#8 that takes too long to try.
    #[error("{name} asks for {what}, and no more than {limit} is tried")]
    ImportCost {
        /// The file.
        name: String,
        /// What is too much.
        what: String,
        /// How much is taken.
        limit: &'static str,
    },

    /// A part of the key file has another length than it must have.
    #[error("{name} is damaged: its {what} has {found} bytes instead of {wanted}")]
    Length {
        /// The file.
        name: String,
        /// Which part.
        what: &'static str,
        /// How long it is.
        found: usize,
        /// How long it must be.
        wanted: &'static str,
    },

    /// It is not what it says.
    #[error("{name} is damaged: {what}")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong.
        what: String,
    },

    /// Wrong password or damaged file, which cannot be told apart.
    #[error("{name} does not open with this password: it is the wrong one, or the file is damaged")]
    Password {
        /// The file.
        name: String,
    },

    /// The password was asked for, and there is none.
    #[error(transparent)]
    NoPassword(Box<dyn std::error::Error + Send + Sync>),

    /// Signing failed, which no key that was made or read here does.
    #[error("the key cannot sign")]
    Sign,
}
