//! Any bytes as the payload of a classic signature: what was read can be written, and reads the
//! same again.
#![no_main]

use distrobuild::sign::Payload;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(payload) = Payload::read(bytes) else {
        return;
    };
    // Fractions are read to some digits only.
    if payload.annotations.values().any(has_fraction) {
        return;
    }
    let json = payload.to_json();
    // What is escaped for HTML may be longer than what is read.
    if json.len() <= Payload::LARGEST {
        assert_eq!(Payload::read(&json).unwrap(), payload);
    }
});

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}
