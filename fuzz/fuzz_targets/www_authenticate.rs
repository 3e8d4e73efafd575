//! Any bytes as `WWW-Authenticate` headers: what was understood can be written, and reads the same
//! again.
#![no_main]

use distrobuild::registry::challenge::Challenge;
use libfuzzer_sys::fuzz_target;

fn written(challenge: &Challenge) -> String {
    let parameters: Vec<String> = challenge
        .parameters
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{name}=\"{value}\"")
        })
        .collect();
    format!("{} {}", challenge.scheme, parameters.join(", "))
}

fuzz_target!(|bytes: &[u8]| {
    let challenges = Challenge::parse(bytes.split(|byte| *byte == b'\n'));
    for challenge in &challenges {
        for (name, value) in &challenge.parameters {
            assert_eq!(challenge.get(name), Some(value.as_str()));
        }
        let header = written(challenge);
        // Longer headers are cut.
        if header.len() < 8 << 10 {
            assert_eq!(Challenge::parse([header.as_bytes()]), [challenge.clone()]);
        }
    }
});
