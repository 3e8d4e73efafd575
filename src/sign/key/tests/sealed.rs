//! Key files that are not as they should be.

use serde_json::{Value, json};

use super::super::{KeyError, PrivateKey, pem};
use super::{data, open, password};

/// The JSON in a key file of cosign, changed.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let file = data("cosign/v3-p256.key");
    let block = pem::only(&file, "it").unwrap();
    let mut json: Value = serde_json::from_slice(&block.decode("it").unwrap()).unwrap();
    change(&mut json);
    pem::write(block.label, &serde_json::to_vec(&json).unwrap())
}

fn refusal(change: impl FnOnce(&mut Value)) -> KeyError {
    open(changed(change).as_bytes()).unwrap_err()
}

#[test]
fn a_wrong_password_is_said_so() {
    for wrong in ["", "Secret", "secret\n"] {
        let file = data("cosign/v3-p256.key");
        let error = PrivateKey::open(&file, "my.key", &password(wrong)).unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("my.key does not open with this password"),
            "{said}"
        );
        assert!(said.contains("damaged"), "{said}");
    }
}

#[test]
fn a_changed_ciphertext_does_not_open() {
    for at in ["ciphertext", "nonce", "salt"] {
        let error = refusal(|json| {
            let text = match at {
                "ciphertext" => &mut json["ciphertext"],
                "nonce" => &mut json["cipher"]["nonce"],
                _ => &mut json["kdf"]["salt"],
            };
            let other = if text.as_str().unwrap().starts_with('A') {
                "B"
            } else {
                "A"
            };
            *text = format!("{other}{}", &text.as_str().unwrap()[1..]).into();
        });
        assert!(matches!(error, KeyError::Password { .. }), "{at}: {error}");
    }
}

#[test]
fn an_absurd_cost_is_refused_with_its_numbers_and_not_computed() {
    let costs = [
        (1u64 << 40, 8u64, 1u64),
        (1 << 21, 8, 1),
        (1 << 13, 8, 1),
        (65537, 8, 1),
        (0, 8, 1),
        (u64::MAX, u64::MAX, u64::MAX),
        (65536, 1 << 30, 1),
        (65536, 16, 1),
        (65536, 8, 1 << 20),
        (65536, 8, 0),
        (65536, 0, 1),
    ];
    for (n, r, p) in costs {
        let error = refusal(|json| json["kdf"]["params"] = json!({"N": n, "r": r, "p": p}));
        let said = error.to_string();
        assert!(matches!(error, KeyError::Cost { .. }), "{said}");
        assert!(said.contains(&format!("N {n}, r {r}, p {p}")), "{said}");
        assert!(said.contains("from 16384 to 1048576"), "{said}");
    }
}

#[test]
fn other_costs_in_the_range_are_tried() {
    for n in [1 << 14, 1 << 15, 1 << 17] {
        let error = refusal(|json| json["kdf"]["params"]["N"] = json!(n));
        assert!(matches!(error, KeyError::Password { .. }), "{n}: {error}");
    }
}

#[test]
fn what_is_not_known_is_named() {
    let error = refusal(|json| json["kdf"]["name"] = json!("argon2id")).to_string();
    assert!(error.contains("\"argon2id\""), "{error}");
    assert!(error.contains("scrypt"), "{error}");
    let error = refusal(|json| json["cipher"]["name"] = json!("rot13")).to_string();
    assert!(error.contains("\"rot13\""), "{error}");
    assert!(error.contains("nacl/secretbox"), "{error}");
    let error = refusal(|json| json["kdf"]["name"] = json!("x".repeat(10_000))).to_string();
    assert!(error.len() < 200, "{error}");
}

#[test]
fn wrong_lengths_are_told() {
    let error = refusal(|json| json["kdf"]["salt"] = json!("AAAA")).to_string();
    assert!(
        error.contains("its salt has 3 bytes instead of 32"),
        "{error}"
    );
    let error = refusal(|json| json["cipher"]["nonce"] = json!("AAAAAAAA")).to_string();
    assert!(
        error.contains("its nonce has 6 bytes instead of 24"),
        "{error}"
    );
    let error = refusal(|json| json["ciphertext"] = json!("")).to_string();
    assert!(error.contains("its ciphertext has 0 bytes"), "{error}");
    let error = refusal(|json| json["ciphertext"] = json!("A")).to_string();
    assert!(error.contains("no whole base64"), "{error}");
}

#[test]
fn what_does_not_say_how_it_is_encrypted_is_damaged() {
    for json in ["", "[]", "{}", "null", r#"{"kdf":{}}"#, "{"] {
        let file = pem::write("ENCRYPTED SIGSTORE PRIVATE KEY", json.as_bytes());
        let error = open(file.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("it.key is damaged"), "{error}");
    }
    let error = refusal(|json| json["kdf"]["params"]["N"] = json!(-1)).to_string();
    assert!(error.contains("damaged"), "{error}");
}

#[test]
fn what_is_sealed_must_be_a_key() {
    let sealed = |inner: &[u8]| {
        let file = super::super::sealed::seal_with(inner, &password("secret"), &[0; 32], &[0; 24]);
        open(file.unwrap().as_bytes()).unwrap_err().to_string()
    };
    assert!(sealed(b"x").contains("PKCS#8"));
    assert!(sealed(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).contains("PKCS#8"));
}
