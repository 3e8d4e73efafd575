//! The encrypted key file: scrypt and secretbox around PKCS#8.
//!
//! The block of PEM holds JSON: which function makes a key of the password and at what cost, which
//! cipher uses it, and what that cipher made of the PKCS#8 (go-securesystemslib, `encrypted`).

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::private::random;
use super::{KeyError, Password, pem};

/// What cosign calls the block: what it writes, and what it wrote before version 2.
pub(super) const LABELS: [&str; 2] = [
    "ENCRYPTED SIGSTORE PRIVATE KEY",
    "ENCRYPTED COSIGN PRIVATE KEY",
];

/// The costs N that are tried: from half of the least that cosign ever wrote, to 1 GiB of memory.
pub(super) const COSTS: RangeInclusive<u64> = 1 << 14..=1 << 20;
/// The r of scrypt.
pub(super) const BLOCK_SIZE: u32 = 8;
/// The p of scrypt.
pub(super) const LANES: u32 = 1;

/// The binary logarithm of the N that cosign writes, 65536.
const WRITTEN_COST: u8 = 16;
const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
const SALT: usize = 32;
const NONCE: usize = 24;
/// What secretbox adds: the tag of Poly1305.
const TAG: usize = 16;

#[derive(Serialize, Deserialize)]
struct File {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Cost,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Cost {
    #[serde(rename = "N", default)]
    n: u64,
    #[serde(default)]
    r: u64,
    #[serde(default)]
    p: u64,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The PKCS#8 in the JSON of a key file.
pub(super) fn open(
    json: &[u8],
    name: &str,
    password: &Password,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let named = || name.to_owned();
    let file: File = serde_json::from_slice(json).map_err(|error| KeyError::Damaged {
        name: named(),
        what: format!("it does not say how it is encrypted: {error}"),
    })?;
    if file.kdf.name != KDF {
        return Err(KeyError::Kdf {
            name: named(),
            found: shortened(&file.kdf.name),
        });
    }
    if file.cipher.name != CIPHER {
        return Err(KeyError::Cipher {
            name: named(),
            found: shortened(&file.cipher.name),
        });
    }
    let cost = cost(&file.kdf.params, name)?;
    let salt: [u8; SALT] = exact(&file.kdf.salt, "salt", "32", name)?;
    let nonce: [u8; NONCE] = exact(&file.cipher.nonce, "nonce", "24", name)?;
    let sealed = decoded(&file.ciphertext, "ciphertext", name)?;
    if sealed.len() <= TAG {
        return Err(KeyError::Length {
            name: named(),
            what: "ciphertext",
            found: sealed.len(),
            wanted: "more than 16",
        });
    }
    let opened = cipher(password, &salt, cost)?.decrypt(&nonce.into(), sealed.as_slice());
    let opened = opened.map_err(|_| KeyError::Password { name: named() })?;
    Ok(Zeroizing::new(opened))
}

/// A key file around `pkcs8`.
pub(super) fn seal(pkcs8: &[u8], password: &Password) -> Result<String, KeyError> {
    let salt = random::<SALT>()?;
    let nonce = random::<NONCE>()?;
    seal_with(pkcs8, password, &salt, &nonce)
}

pub(super) fn seal_with(
    pkcs8: &[u8],
    password: &Password,
    salt: &[u8; SALT],
    nonce: &[u8; NONCE],
) -> Result<String, KeyError> {
    let sealed = cipher(password, salt, WRITTEN_COST)?
        .encrypt(nonce.into(), pkcs8)
        .map_err(|_| KeyError::Sign)?;
    let file = File {
        kdf: Kdf {
            name: KDF.to_owned(),
            params: Cost {
                n: 1 << WRITTEN_COST,
                r: BLOCK_SIZE.into(),
                p: LANES.into(),
            },
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher {
            name: CIPHER.to_owned(),
            nonce: STANDARD.encode(nonce),
        },
        ciphertext: STANDARD.encode(sealed),
    };
    let json = serde_json::to_vec(&file).map_err(|_| KeyError::Sign)?;
    let [label, _] = LABELS;
    Ok(pem::write(label, &json))
}

/// The binary logarithm of N, when scrypt may be run at that cost.
fn cost(cost: &Cost, name: &str) -> Result<u8, KeyError> {
    let &Cost { n, r, p } = cost;
    let is_known = COSTS.contains(&n)
        && n.is_power_of_two()
        && r == u64::from(BLOCK_SIZE)
        && p == u64::from(LANES);
    u8::try_from(n.trailing_zeros())
        .ok()
        .filter(|_| is_known)
        .ok_or_else(|| KeyError::Cost {
            name: name.to_owned(),
            n,
            r,
            p,
        })
}

/// The cipher with the key that scrypt makes of the password.
fn cipher(password: &Password, salt: &[u8], log_n: u8) -> Result<XSalsa20Poly1305, KeyError> {
    let mut key = Zeroizing::new([0; 32]);
    let cost = scrypt::Params::new(log_n, BLOCK_SIZE, LANES, key.len());
    let cost = cost.map_err(|_| KeyError::Sign)?;
    scrypt::scrypt(password.bytes(), salt, &cost, &mut *key).map_err(|_| KeyError::Sign)?;
    XSalsa20Poly1305::new_from_slice(&*key).map_err(|_| KeyError::Sign)
}

fn exact<const LENGTH: usize>(
    text: &str,
    what: &'static str,
    wanted: &'static str,
    name: &str,
) -> Result<[u8; LENGTH], KeyError> {
    let bytes = decoded(text, what, name)?;
    <[u8; LENGTH]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Length {
        name: name.to_owned(),
        what,
        found: bytes.len(),
        wanted,
    })
}

fn decoded(text: &str, what: &str, name: &str) -> Result<Vec<u8>, KeyError> {
    STANDARD.decode(text).map_err(|_| KeyError::Damaged {
        name: name.to_owned(),
        what: format!("its {what} is no whole base64"),
    })
}

/// As much of a name as a message has room for.
fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}
