//! Any bytes as an `InRelease` file and as a keyring: what is believed was signed, and a keyring
//! that can be read has keys.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use distrobuild::debian::{Keyring, Release, Trust};
use libfuzzer_sys::fuzz_target;

static DEBIAN: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::built_in("debian").expect("the built-in keyring can be read"));

/// A day on which the built-in keys are valid.
const NOW: u64 = 1_767_225_600;

fn trust(keyring: &Keyring) -> Trust<'_> {
    Trust {
        keyring,
        now: NOW,
        allow_expired: true,
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(release) = Release::verify(bytes, "http://fuzz.example/InRelease", &trust(&DEBIAN)) {
        assert!(DEBIAN.fingerprints().contains(&release.signed_by));
    }
    let Ok(keyring) = Keyring::parse(bytes, Path::new("fuzz.gpg")) else {
        return;
    };
    assert!(!keyring.fingerprints().is_empty());
    // A keyring may have a signed text behind its keys.
    let _ = Release::verify(bytes, "http://fuzz.example/InRelease", &trust(&keyring));
});
