//! Keys of openssl: see `tests/data/openssl/README.md`.

use super::super::{Algorithm, KeyError, PrivateKey, PublicKey};
use super::{data, import, open, password, text};

fn public(name: &str) -> PublicKey {
    PublicKey::read(&data(&format!("openssl/{name}")), name).unwrap()
}

fn refusal(name: &str) -> String {
    import(&data(name)).unwrap_err().to_string()
}

#[test]
fn the_forms_of_openssl_are_taken() {
    let forms = [
        ("sec1-with-parameters.pem", "p256.pub"),
        ("p256.pem", "p256.pub"),
        ("p256-pbkdf2.pem", "p256.pub"),
        ("p384.pem", "p384.pub"),
        ("p384-scrypt.pem", "p384.pub"),
        ("ed25519.pem", "ed25519.pub"),
    ];
    for (private, its) in forms {
        let key = import(&data(&format!("openssl/{private}"))).unwrap();
        assert_eq!(key.public(), public(its), "{private}");
        assert_eq!(key.public().to_pem(), text(&format!("openssl/{its}")));
    }
}

#[test]
fn a_password_is_asked_for_when_there_is_one_alone() {
    let mut asked = 0;
    for name in ["p256.pem", "p256-pbkdf2.pem"] {
        let pem = data(&format!("openssl/{name}"));
        PrivateKey::import(&pem, name, &mut || {
            asked += 1;
            Ok(password("secret"))
        })
        .unwrap();
    }
    assert_eq!(asked, 1);
}

#[test]
fn a_wrong_password_of_openssl_s_key_is_said_so() {
    for name in ["p256-pbkdf2.pem", "p384-scrypt.pem"] {
        let pem = data(&format!("openssl/{name}"));
        let error = PrivateKey::import(&pem, name, &mut || Ok(password("other"))).unwrap_err();
        assert!(matches!(error, KeyError::Password { .. }), "{error}");
    }
}

#[test]
fn no_wrong_password_is_taken_for_damage() {
    // Of 600, some two pass the check of the padding by chance.
    let pem = data("openssl/p256-pbkdf2.pem");
    for number in 0..600 {
        let wrong = password(&number.to_string());
        let error = PrivateKey::import(&pem, "it", &mut || Ok(wrong.clone())).unwrap_err();
        assert!(matches!(error, KeyError::Password { .. }), "{error}");
    }
}

#[test]
fn a_password_that_nobody_gives_ends_it() {
    let pem = data("openssl/p256-pbkdf2.pem");
    let error = PrivateKey::import(&pem, "it", &mut || {
        Err(KeyError::NoPassword("no terminal".into()))
    });
    assert_eq!(error.unwrap_err().to_string(), "no terminal");
}

#[test]
fn keys_that_cannot_sign_here_are_called_by_their_names() {
    let refused = [
        ("openssl/rsa.pem", "an RSA key"),
        ("openssl/secp521r1.pem", "the curve P-521"),
        ("openssl/secp256k1.pem", "the curve secp256k1"),
        ("openssl/x25519.pem", "a key for X25519"),
    ];
    for (name, said) in refused {
        let error = refusal(name);
        assert!(error.contains(said), "{error}");
        assert!(error.contains("distrobuild keygen"), "{error}");
        for algorithm in Algorithm::ALL {
            assert!(error.contains(&algorithm.to_string()), "{error}");
        }
    }
    let error = open(&data("cosign/v3-rsa.key")).unwrap_err();
    assert!(matches!(error, KeyError::Rsa { .. }), "{error}");
    for (name, said) in [
        ("cosign/v3-rsa.pub", "an RSA key"),
        ("openssl/secp521r1.pub", "P-521"),
        ("openssl/secp256k1.pub", "secp256k1"),
        ("openssl/p256-explicit.pub", "-ec_param_enc named_curve"),
        ("openssl/certificate.pem", "openssl x509 -pubkey"),
    ] {
        let error = PublicKey::read(&data(name), name).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn curves_that_are_spelled_out_are_refused() {
    for name in ["openssl/p256-explicit.pem", "openssl/sec1-explicit.pem"] {
        let error = refusal(name);
        assert!(error.contains("-ec_param_enc named_curve"), "{error}");
    }
}

#[test]
fn old_encryption_is_refused_with_the_command_that_renews_it() {
    let error = refusal("openssl/sec1-aes256.pem");
    assert!(error.contains("openssl pkcs8 -topk8 -in it.pem"), "{error}");
    let error = refusal("openssl/p256-3des.pem");
    assert!(error.contains("-v2 aes-256-cbc"), "{error}");
}

#[test]
fn keys_of_openssh_are_called_so() {
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n";
    let error = import(private.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("OpenSSH"), "{error}");
    let public = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here\n";
    let error = PublicKey::read(public, "it").unwrap_err().to_string();
    assert!(error.contains("OpenSSH"), "{error}");
}

#[test]
fn the_wrong_half_is_said_so() {
    let error = PublicKey::read(&data("cosign/v3-p256.key"), "it.key").unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("distrobuild public-key --key it.key"),
        "{said}"
    );
    let error = PublicKey::read(&data("openssl/p256.pem"), "it.key").unwrap_err();
    assert!(matches!(error, KeyError::Private { .. }), "{error}");
    let error = open(&data("cosign/v3-p256.pub")).unwrap_err();
    assert!(matches!(error, KeyError::Public { .. }), "{error}");
    let error = import(&data("cosign/v3-p256.pub")).unwrap_err();
    assert!(matches!(error, KeyError::Public { .. }), "{error}");
}

#[test]
fn a_key_of_another_tool_leads_to_import_and_one_of_cosign_not() {
    for name in ["p256.pem", "p256-pbkdf2.pem", "sec1-with-parameters.pem"] {
        let error = open(&data(&format!("openssl/{name}")))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("distrobuild import-key-pair --key it.key"),
            "{error}"
        );
    }
    let error = import(&data("cosign/v3-p256.key")).unwrap_err();
    assert!(matches!(error, KeyError::Sealed { .. }), "{error}");
}

#[test]
fn a_costly_password_of_openssl_s_key_is_not_tried() {
    for (name, said) in [
        ("p256-costly-pbkdf2.pem", "20000000 iterations of PBKDF2"),
        ("p256-costly-scrypt.pem", "scrypt with N 16384, r 8, p 128"),
    ] {
        let pem = data(&format!("openssl/{name}"));
        let error = PrivateKey::import(&pem, name, &mut || panic!("asked for a password"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(error.contains("no more than"), "{error}");
    }
}
