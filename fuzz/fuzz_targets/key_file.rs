//! Any bytes as a key file: of cosign, of another tool, of a public key. What is read can sign and
//! be written, and what its signature says is checked.
#![no_main]

use distrobuild::sign::key::{Password, PrivateKey, PublicKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let password = Password::new(b"secret".to_vec().into());
    let read = [
        PrivateKey::open(bytes, "fuzzed", &password),
        PrivateKey::import(bytes, "fuzzed", &mut || Ok(password.clone())),
    ];
    for read in read {
        match read {
            Ok(key) => {
                let signature = key.sign(bytes).expect("a key that was read can sign");
                let public = key.public().to_pem();
                let public = PublicKey::read(public.as_bytes(), "written")
                    .expect("what was written can be read");
                assert_eq!(public.verify(bytes, &signature), Ok(()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    match PublicKey::read(bytes, "fuzzed") {
        Ok(key) => {
            let again = PublicKey::read(key.to_pem().as_bytes(), "written");
            assert_eq!(again.expect("what was written can be read"), key);
            assert!(key.verify(b"", bytes).is_err());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
