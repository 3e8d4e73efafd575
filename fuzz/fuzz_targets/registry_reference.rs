//! Any text as a name in a registry: what is shown of it is read as the same image.
#![no_main]

use distrobuild::registry::{Host, Reference, Repository};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Reference>() {
        Ok(reference) => {
            assert_eq!(reference.to_string().parse(), Ok(reference.clone()));
            assert_eq!(reference.familiar().parse(), Ok(reference.clone()));
            let repository = &reference.repository;
            assert_eq!(repository.to_string().parse(), Ok(repository.clone()));
            assert_eq!(repository.host.as_str().parse(), Ok(repository.host.clone()));
        }
        Err(error) => assert!(!error.problem.is_empty()),
    }
    let _ = text.parse::<Repository>();
    if let Ok(host) = text.parse::<Host>() {
        assert_eq!(host.as_str().parse(), Ok(host.clone()));
        let _ = host.is_local();
    }
});
