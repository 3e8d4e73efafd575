//! Why an answer is not the one that was hoped for, in the words of the registry and of ours.

use std::io;

use oci_spec::image::Digest;
use serde::Deserialize;

use super::RegistryError;
use super::answer::Whole;

/// The most characters that are shown of what a registry says.
pub(super) const LONGEST_SAID: usize = 300;

/// The most errors that are shown of one answer.
const MOST_ERRORS: usize = 3;

impl Whole {
    /// What the answer means, which is not the one that was hoped for.
    pub(super) fn refusal(&self, what: &str) -> RegistryError {
        let what = what.to_owned();
        let said = said(&self.bytes);
        let status = self.status.as_u16();
        match status {
            404 | 410 => RegistryError::NotFound {
                what,
                said,
                hint: "check its spelling, and whether it was pushed there",
            },
            401 | 403 => RegistryError::Denied {
                what,
                sent: None,
                said,
            },
            500..=599 => RegistryError::Server { what, status, said },
            _ => RegistryError::Refused { what, status, said },
        }
    }
}

pub(super) fn bad_answer(what: &str, problem: String) -> RegistryError {
    RegistryError::BadAnswer {
        what: what.to_owned(),
        problem,
    }
}

pub(super) fn wrong_digest(what: &str, expected: &Digest, found: &Digest) -> RegistryError {
    RegistryError::Digest {
        what: what.to_owned(),
        expected: expected.to_string(),
        found: bounded_text(found.as_ref(), LONGEST_SAID),
    }
}

pub(super) fn interrupted(what: &str, error: &io::Error) -> RegistryError {
    RegistryError::Interrupted {
        what: what.to_owned(),
        why: error.to_string(),
    }
}

pub(super) fn too_large(what: &str, limit: u64) -> RegistryError {
    RegistryError::TooLarge {
        what: what.to_owned(),
        limit,
    }
}

pub(super) fn wrong_size(what: &str, expected: u64, found: u64) -> RegistryError {
    RegistryError::Size {
        what: what.to_owned(),
        expected,
        found,
    }
}

pub(super) fn unknown_algorithm(what: &str) -> RegistryError {
    RegistryError::UnknownAlgorithm {
        what: what.to_owned(),
    }
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: serde_json::Value,
}

/// What a refusal says (distribution-spec, "Error Codes"), in a bounded line.
fn said(bytes: &[u8]) -> String {
    let Ok(Errors { errors }) = serde_json::from_slice(bytes) else {
        return String::new();
    };
    let parts: Vec<String> = errors
        .iter()
        .take(MOST_ERRORS)
        .filter_map(
            |Entry { code, message }| match (code.as_str(), message.as_str()) {
                (Some(code), Some(message)) if !message.is_empty() => {
                    Some(format!("{code}: {message}"))
                }
                (Some(text), _) | (None, Some(text)) => Some(text.to_owned()),
                (None, None) => None,
            },
        )
        .collect();
    bounded_text(&parts.join("; "), LONGEST_SAID)
}

/// Text from outside in one line of at most `limit` characters, without what would move a
/// terminal's cursor or turn the direction of writing.
pub(super) fn bounded_text(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(limit)
        .map(|character| match character {
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => ' ',
            character if character.is_control() => ' ',
            character => character,
        })
        .collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_registry_says_is_shown_bounded_and_harmless() {
        let long = format!(
            r#"{{"errors":[{{"code":"DENIED","message":"{}"}}]}}"#,
            "x".repeat(10_000)
        );
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#,
                "DENIED: not yours",
            ),
            (
                r#"{"errors":[{"code":"A"},{"message":"b","detail":{"x":1}}]}"#,
                "A; b",
            ),
            (
                r#"{"errors":[{"code":"A"},{"code":"B"},{"code":"C"},{"code":"D"}]}"#,
                "A; B; C",
            ),
            (
                "{\"errors\":[{\"code\":\"A\\u001b[2J\\n\\u202eB\"}]}",
                "A [2J  B",
            ),
            (r#"{"errors":[{"code":7,"message":[]}]}"#, ""),
            (r#"{"errors":7}"#, ""),
            ("<html>", ""),
            ("", ""),
        ] {
            assert_eq!(said(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(said(long.as_bytes()).chars().count(), LONGEST_SAID + 1);
    }

    proptest! {
        #[test]
        fn any_refusal_is_understood_or_left(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(said(&bytes).chars().count() <= LONGEST_SAID + 1);
        }
    }
}
