//! Any bytes as a sigstore bundle: one of a key, without log entries and timestamps, can be
//! written, and reads the same again.
#![no_main]

use distrobuild::sign::{Bundle, Content, Proof};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(bundle) = Bundle::read(bytes) else {
        return;
    };
    let (Content::Envelope(envelope), Proof::PublicKey { hint }) = (&bundle.content, &bundle.proof)
    else {
        return;
    };
    assert_eq!(envelope.signatures.len(), 1);
    let again = Bundle::read(&Bundle::of_key(envelope, hint)).unwrap();
    assert_eq!(
        (&again.proof, &again.content),
        (&bundle.proof, &bundle.content)
    );
    assert_eq!((again.log_entries, again.timestamps), (0, 0));
});
