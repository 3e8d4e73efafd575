//! Any bytes as the payload of a classic signature: what was read can be written, and reads the
//! same again.
#![no_main]

use distrobuild::sign::Payload;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(payload) = Payload::read(bytes) else {
        return;
    };
    let json = payload.to_json();
    // What is escaped for HTML may be longer than what is read.
    if json.len() <= Payload::LARGEST {
        assert_eq!(Payload::read(&json).unwrap(), payload);
    }
});
