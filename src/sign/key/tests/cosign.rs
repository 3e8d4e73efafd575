//! Files that the real cosign wrote: see `tests/data/cosign/README.md`.

use base64ct::{Base64, Encoding};

use super::super::{Algorithm, BadSignature, PrivateKey, PublicKey};
use super::{data, open, password, text};

/// The pairs in `tests/data/cosign` that are taken.
const PAIRS: [(&str, Algorithm); 6] = [
    ("v2-p256", Algorithm::EcdsaP256),
    ("v3-p256", Algorithm::EcdsaP256),
    ("v2-p384", Algorithm::EcdsaP384),
    ("v3-p384", Algorithm::EcdsaP384),
    ("v2-ed25519", Algorithm::Ed25519),
    ("v3-ed25519", Algorithm::Ed25519),
];

fn public(name: &str) -> PublicKey {
    PublicKey::read(&data(&format!("cosign/{name}.pub")), name).unwrap()
}

fn signature(name: &str) -> Vec<u8> {
    Base64::decode_vec(&text(&format!("cosign/{name}.sig"))).unwrap()
}

#[test]
fn the_pairs_of_cosign_are_pairs_here() {
    for (name, algorithm) in PAIRS {
        let private = open(&data(&format!("cosign/{name}.key"))).unwrap();
        assert_eq!(private.algorithm(), algorithm, "{name}");
        assert_eq!(private.public(), public(name), "{name}");
        assert_eq!(public(name).algorithm(), algorithm);
        let written = public(name).to_pem();
        assert_eq!(written, text(&format!("cosign/{name}.pub")), "{name}");
    }
}

#[test]
fn an_older_key_file_opens() {
    let private = open(&data("cosign/older.key")).unwrap();
    let public = PublicKey::read(&data("openssl/p256.pub"), "p256.pub").unwrap();
    assert_eq!(private.public(), public);
}

#[test]
fn the_signatures_of_cosign_are_good_and_a_changed_bit_makes_them_bad() {
    let image = "image.json";
    let signed = [
        ("v2-p256", "v2-p256", "message.txt"),
        ("v3-p256", "v3-p256", "message.txt"),
        // Over SHA-384.
        ("v2-p384", "v2-p384", "message.txt"),
        ("v3-p384", "v3-p384", "message.txt"),
        // One is of the message itself, one of its SHA-512 (Ed25519ph).
        ("v3-ed25519", "v3-ed25519", "message.txt"),
        ("v3-ed25519", "v3-ed25519-image", image),
    ];
    for (key, name, message) in signed {
        let (key, signature) = (public(key), signature(name));
        let message = data(&format!("cosign/{message}"));
        assert_eq!(key.verify(&message, &signature), Ok(()), "{name}");
        let mut other = message.clone();
        other[3] ^= 1;
        assert_eq!(key.verify(&other, &signature), Err(BadSignature), "{name}");
        for byte in 0..signature.len() {
            let mut other = signature.clone();
            other[byte] ^= 1;
            let checked = key.verify(&message, &other);
            assert_eq!(checked, Err(BadSignature), "{name}, byte {byte}");
        }
        for (another, _) in PAIRS {
            if public(another) != key {
                let checked = public(another).verify(&message, &signature);
                assert_eq!(checked, Err(BadSignature), "{name} by {another}");
            }
        }
    }
}

#[test]
fn the_two_forms_of_ed25519_are_told_apart_by_what_they_are_over() {
    let message = data("cosign/message.txt");
    let key = open(&data("cosign/v3-ed25519.key")).unwrap();
    // Pure signatures have one value alone, so cosign's of a file is ours, and of an image is not.
    assert_eq!(key.sign(&message).unwrap(), signature("v3-ed25519"));
    let image = data("cosign/image.json");
    assert_ne!(key.sign(&image).unwrap(), signature("v3-ed25519-image"));
}

#[test]
fn a_key_has_the_hint_that_a_bundle_of_cosign_gives_it() {
    // `openssl pkey -pubin -in v3-p256.pub -outform DER | openssl dgst -sha256 -binary | base64`
    assert_eq!(
        public("v3-p256").hint(),
        "CG7RJJNVYZytr6KvRWGRhpR6mj/r1SD0aQQdcIY+cZk="
    );
}

#[test]
fn what_is_sealed_here_opens_here() {
    for algorithm in Algorithm::ALL {
        let key = PrivateKey::generate(algorithm).unwrap();
        let sealed = key.seal(&password("secret")).unwrap();
        assert!(PrivateKey::is_sealed(sealed.as_bytes()));
        let opened = open(sealed.as_bytes()).unwrap();
        assert_eq!(opened.public(), key.public());
        assert_eq!(opened.algorithm(), algorithm);
        let again = key.seal(&password("secret")).unwrap();
        assert_ne!(sealed, again, "salt and nonce are new each time");
    }
}

#[test]
fn what_is_signed_here_is_good_and_always_the_same() {
    for algorithm in Algorithm::ALL {
        let key = PrivateKey::generate(algorithm).unwrap();
        let signature = key.sign(b"message").unwrap();
        assert_eq!(key.public().verify(b"message", &signature), Ok(()));
        assert_eq!(
            key.public().verify(b"massage", &signature),
            Err(BadSignature)
        );
        assert_eq!(key.sign(b"message").unwrap(), signature);
        let another = PrivateKey::generate(algorithm).unwrap().public();
        assert_ne!(another, key.public());
        assert_eq!(another.verify(b"message", &signature), Err(BadSignature));
        assert_eq!(key.public().verify(b"message", b""), Err(BadSignature));
    }
}

#[test]
fn nothing_of_a_key_or_a_password_is_shown() {
    let key = open(&data("cosign/v3-p256.key")).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(ecdsa-p256, …)");
    assert_eq!(format!("{:?}", password("secret")), "Password(…)");
}
