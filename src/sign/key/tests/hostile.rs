//! Files that are anything.

use proptest::prelude::*;

use super::super::{KeyError, LARGEST, PrivateKey, PublicKey};
use super::{data, import, open, password, text};

/// That reading does not panic, and says something.
fn read(bytes: &[u8]) {
    let asked: &mut dyn FnMut() -> _ = &mut || Ok(password(""));
    for error in [
        PrivateKey::import(bytes, "it", asked).err(),
        PublicKey::read(bytes, "it").err(),
        PrivateKey::open(bytes, "it", &password("")).err(),
    ] {
        assert!(error.is_none_or(|error| !error.to_string().is_empty()));
    }
    let is_sealed = PrivateKey::is_sealed(bytes);
    assert!(!is_sealed || PrivateKey::import(bytes, "it", asked).is_err());
}

#[test]
fn what_is_around_a_key_does_not_matter() {
    let key = text("openssl/p256.pem");
    let public = PublicKey::read(&data("openssl/p256.pub"), "it").unwrap();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let spread: String = body.chars().map(|it| format!("{it}\n")).collect();
    let block =
        |body: &str| format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    for text in [
        key.replace('\n', "\r\n"),
        key.replace('\n', "\r"),
        format!("Bag Attributes\n    friendlyName: me\nKey: x\n\n{key}\n\nand more\n"),
        key.replace('\n', " \t \n"),
        key.trim_end().to_owned(),
        format!("\u{feff}{key}"),
        block(&body),
        block(&spread),
        block(&format!("\n{body}\n\n")),
        block(&format!("Comment: mine\n\n{body}")),
    ] {
        let read = import(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(read.public(), public, "{text}");
    }
}

#[test]
fn what_is_no_pem_is_said_so() {
    for bytes in [
        &b""[..],
        b"\n",
        b"hello",
        &[0x30, 0x77, 2, 1],
        &[0xff; 100],
        b"-----BEGIN -----",
    ] {
        for error in [open(bytes).unwrap_err(), import(bytes).unwrap_err()] {
            assert!(matches!(error, KeyError::NotPem { .. }), "{error}");
        }
    }
}

#[test]
fn a_key_that_is_cut_short_is_said_so() {
    let key = text("cosign/v3-p256.key");
    let cut = &key[..400];
    let error = open(cut.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("it.key is cut short"), "{error}");
    assert!(!PrivateKey::is_sealed(cut.as_bytes()));
    let without: String = key
        .lines()
        .enumerate()
        .filter(|(at, _)| *at != 5)
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    let error = open(without.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    let error = open(key.replacen('J', "?", 1).as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.contains("base64"), "{error}");
}

#[test]
fn of_two_keys_neither_is_chosen() {
    let key = text("cosign/v3-p256.key");
    let error = open(format!("{key}{key}").as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.contains("2 things"), "{error}");
    let both = format!(
        "{}{}",
        text("openssl/p256.pem"),
        text("openssl/certificate.pem")
    );
    let error = import(both.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("PRIVATE KEY, CERTIFICATE"), "{error}");
}

#[test]
fn a_file_as_large_as_no_key_is_not_read() {
    let mut file = data("cosign/v3-p256.key");
    file.resize(LARGEST, b'\n');
    assert!(open(&file).is_ok());
    file.push(b'\n');
    let error = open(&file).unwrap_err().to_string();
    assert!(error.contains("64 KiB"), "{error}");
}

#[test]
fn something_else_in_pem_is_called_what_it_is() {
    for label in [
        "CERTIFICATE REQUEST",
        "PGP PRIVATE KEY BLOCK",
        "EC PARAMETERS",
    ] {
        let file = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let error = import(file.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(&format!("but a `{label}`")), "{error}");
    }
}

/// Ed25519's neutral point, under which anything has a good signature.
#[test]
fn a_key_that_accepts_anything_is_refused() {
    let der = [
        &b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00\x01"[..],
        &[0; 31],
    ]
    .concat();
    let file = super::super::pem::write("PUBLIC KEY", &der);
    let error = PublicKey::read(file.as_bytes(), "it")
        .unwrap_err()
        .to_string();
    assert!(error.contains("point"), "{error}");
}

#[test]
fn a_point_beside_its_curve_is_refused() {
    let mut der = data("openssl/p256.pub");
    let block = super::super::pem::only(&der, "it")
        .unwrap()
        .decode("it")
        .unwrap();
    der = block.to_vec();
    *der.last_mut().unwrap() ^= 1;
    let file = super::super::pem::write("PUBLIC KEY", &der);
    let error = PublicKey::read(file.as_bytes(), "it")
        .unwrap_err()
        .to_string();
    assert!(error.contains("point"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
        for label in ["PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY", "ENCRYPTED SIGSTORE PRIVATE KEY"] {
            read(super::super::pem::write(label, &bytes).as_bytes());
        }
    }

    #[test]
    fn no_changed_key_makes_reading_panic(at in 0usize..400, with in any::<u8>(), which in 0usize..6) {
        let files = ["p256.pem", "sec1-with-parameters.pem", "p256.pub", "ed25519.pem", "p384.pem", "p256-3des.pem"];
        let file = data(&format!("openssl/{}", files[which]));
        let label = super::super::pem::only(&file, "it").unwrap().label.to_owned();
        let mut der = super::super::pem::only(&file, "it").unwrap().decode("it").unwrap().to_vec();
        let length = der.len();
        der[at % length] = with;
        read(super::super::pem::write(&label, &der).as_bytes());
    }
}
