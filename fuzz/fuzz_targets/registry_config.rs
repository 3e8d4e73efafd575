//! Any bytes as a config of docker or podman: a login is found in it, kept in it and taken out of
//! it, and what is left can be read again.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use distrobuild::registry::credentials::{Keychain, Secret};
use distrobuild::registry::{Credentials, Host, Repository};
use libfuzzer_sys::fuzz_target;

/// In memory where there is such a place.
static CONFIG: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    let directory = parent.join(format!("distrobuild-fuzz-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory can be made");
    directory.join("config.json")
});

fuzz_target!(|bytes: &[u8]| {
    fs::write(&*CONFIG, bytes).expect("a file can be written");
    // Without a PATH no helper is run.
    let keychain = Keychain::of([("REGISTRY_AUTH_FILE".into(), CONFIG.clone().into())]);
    let repository: Repository = "ghcr.io/me/app".parse().expect("it is a name");
    let host: Host = "ghcr.io".parse().expect("it is a host");
    if let Err(error) = keychain.find(&repository) {
        assert!(!error.to_string().is_empty());
    }
    assert!(!keychain.places().is_empty());
    let password = Secret::new("hunter2".to_owned());
    if keychain.store(&host, "me", &password).is_ok() {
        let forgotten = keychain.erase(&host).expect("what was kept can be forgotten");
        assert_eq!(forgotten.len(), 1);
        let again = keychain.erase(&host).expect("what was written can be read");
        assert!(again.is_empty());
    }
});
