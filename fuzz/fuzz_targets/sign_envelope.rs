//! Any bytes as a DSSE envelope, and what is in it as an in-toto statement: what was read can be
//! written, and reads the same again.
#![no_main]

use distrobuild::sign::{Envelope, Statement};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Base64 hides a statement from the fuzzer: it is tried as it is, too.
    statement(bytes);
    let Ok(envelope) = Envelope::read(bytes) else {
        return;
    };
    assert_eq!(Envelope::read(&envelope.to_json()).unwrap(), envelope);
    let signed = Envelope::signed_bytes(&envelope.payload_type, &envelope.payload);
    assert!(signed.ends_with(&envelope.payload));
    statement(&envelope.payload);
});

fn statement(bytes: &[u8]) {
    let Ok(statement) = Statement::read(bytes) else {
        return;
    };
    for json in [statement.to_json(), statement.to_json_v01()] {
        assert_eq!(Statement::read(&json).unwrap(), statement);
    }
}
