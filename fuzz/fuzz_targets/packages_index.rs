//! Any bytes as a `Packages` index: read, kept and taken back, its first package resolved.
#![no_main]

use distrobuild::debian::{Architecture, Exclusion, Index, Wanted, resolve};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let index = match Index::parse(bytes) {
        Ok(index) => index,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let kept = index.to_bytes();
    let again = Index::from_bytes(kept.as_slice()).expect("what was kept can be taken back");
    assert_eq!(again.to_bytes(), kept);
    let Some(first) = index.names().next().map(str::to_owned) else {
        return;
    };
    let exclusions = [Exclusion {
        package: "x*".to_owned(),
        because: "of a test".to_owned(),
    }];
    let wanted = Wanted {
        packages: std::slice::from_ref(&first),
        exclusions: &exclusions,
        architecture: Architecture::Amd64,
    };
    let indices = [index, again];
    match resolve(&indices, &wanted) {
        Ok(selection) => {
            assert!(
                selection
                    .packages
                    .iter()
                    .any(|it| it.candidate.name == first)
            );
            assert_eq!(resolve(&indices, &wanted), Ok(selection));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
