//! Any bytes as a DSSE envelope, and what is in it as an in-toto statement: what was read can be
//! written, and reads the same again.
#![no_main]

use distrobuild::sign::{Envelope, Statement};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

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
    let annotations = statement
        .subjects
        .iter()
        .flat_map(|it| it.annotations.values());
    // Fractions are read to some digits only.
    if annotations.chain([&statement.predicate]).any(has_fraction) {
        return;
    }
    for json in [statement.to_json(), statement.to_json_v01()] {
        assert_eq!(Statement::read(&json).unwrap(), statement);
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}
