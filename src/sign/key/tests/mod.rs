//! Keys: against files of the real tools and the vectors of the standards.
#![allow(clippy::unwrap_used)]

mod cosign;
mod foreign;
mod hostile;
mod sealed;
mod vectors;

use zeroize::Zeroizing;

use super::{KeyError, Password, PrivateKey};

/// A file of `tests/data`.
fn data(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    std::fs::read(path).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(data(name)).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.as_bytes().to_vec()))
}

fn open(pem: &[u8]) -> Result<PrivateKey, KeyError> {
    PrivateKey::open(pem, "it.key", &password("secret"))
}

/// Imports, with the password that every encrypted key here has.
fn import(pem: &[u8]) -> Result<PrivateKey, KeyError> {
    PrivateKey::import(pem, "it.pem", &mut || Ok(password("secret")))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
