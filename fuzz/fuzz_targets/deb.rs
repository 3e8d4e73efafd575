//! Any bytes as a package: what is read has safe paths in order.
#![no_main]

use distrobuild::debian::{Discard, MemberKind, read_deb};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match read_deb(bytes, "fuzzed", &mut Discard) {
        Ok(deb) => {
            assert_eq!(deb.members.len(), deb.files.len());
            assert!(deb.members.is_sorted_by(|a, b| a.path < b.path));
            for member in &deb.members {
                if let MemberKind::HardLink(first) = &member.kind {
                    assert!(deb.members.iter().any(|other| other.path == *first));
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
