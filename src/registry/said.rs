//! What a server says about why it refuses (distribution-spec, "Error Codes"), made fit to be
//! shown: short, and without anything that a terminal would act on.

use std::io::Read;

use serde_json::Value;

/// The most of an answer that is read for it, in bytes.
const MOST_READ: u64 = 64 << 10;

/// The most of it that is shown, in characters.
const MOST_SHOWN: usize = 300;

/// How many errors of one answer are shown.
const MOST_ERRORS: usize = 3;

/// What the body of a refusal says; empty when it says nothing that people could read.
pub(super) fn said(body: impl Read) -> String {
    let mut bytes = Vec::new();
    // Of a connection that broke, what came is as good.
    let _ = body.take(MOST_READ).read_to_end(&mut bytes);
    match serde_json::from_slice(&bytes) {
        Ok(document) => harmless(&of_document(&document)),
        Err(_) => of_text(&bytes),
    }
}

fn of_document(document: &Value) -> String {
    if let Some(errors) = document.get("errors").and_then(Value::as_array) {
        let errors: Vec<_> = errors
            .iter()
            .map(of_error)
            .filter(|text| !text.is_empty())
            .take(MOST_ERRORS)
            .collect();
        return errors.join("; ");
    }
    of_error(document)
}

/// One error: of a registry, or of a token server (RFC 6749, section 5.2, and Docker Hub's).
fn of_error(error: &Value) -> String {
    let text = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| error.get(name)?.as_str())
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let code = text(&["code", "error"]);
    let message = text(&["message", "error_description", "details", "detail"]);
    match (code, message) {
        (Some(code), Some(message)) if !code.eq_ignore_ascii_case(message) => {
            format!("{code}: {message}")
        }
        (code, message) => message.or(code).unwrap_or_default().to_owned(),
    }
}

/// The first line of plain text; of a page nothing.
fn of_text(bytes: &[u8]) -> String {
    if is_page(bytes) {
        return String::new();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => harmless(text.trim().lines().next().unwrap_or_default()),
        Err(_) => String::new(),
    }
}

/// Whether it looks like HTML or XML.
pub(super) fn is_page(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"<")
}

/// Text from outside in one line, without what a terminal would act on, and not too long.
pub(super) fn harmless(text: &str) -> String {
    bounded(text, MOST_SHOWN)
}

/// The same, of at most so many characters.
pub(super) fn bounded(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(limit)
        .map(|character| match character {
            // Invisible, or turning the direction of what follows.
            '\u{61c}'
            | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' => '\u{fffd}',
            control if control.is_control() => ' ',
            other => other,
        })
        .collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_of_registries_are_told() {
        for (body, wanted) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"requested access is denied","detail":[]}]}"#,
                "DENIED: requested access is denied",
            ),
            (
                r#"{"errors":[{"code":"A"},{"code":"B","message":"bb"},{},{"message":"c"},{"message":"d"}]}"#,
                "A; B: bb; c",
            ),
            (
                r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#,
                "denied",
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                "incorrect username or password",
            ),
            (
                r#"{"error":"invalid_grant","error_description":"expired"}"#,
                "invalid_grant: expired",
            ),
            (r#"{"errors":"no"}"#, ""),
            (r#"{"errors":[{"code":7,"message":[]}]}"#, ""),
            ("[1,2]", ""),
            ("", ""),
            ("no such host\nat line 2", "no such host"),
            (" <html><body>404</body></html>", ""),
        ] {
            assert_eq!(said(body.as_bytes()), wanted, "{body}");
        }
        assert_eq!(said(&b"\xff\xfe"[..]), "");
    }

    #[test]
    fn what_is_said_cannot_harm_a_terminal() {
        let body = r#"{"errors":[{"code":"X","message":"a\u001b[31mb\nc\u202ed"}]}"#;
        assert_eq!(said(body.as_bytes()), "X: a [31mb c\u{fffd}d");
    }

    #[test]
    fn what_is_said_is_short() {
        let endless = std::io::repeat(b'x');
        assert_eq!(said(endless).chars().count(), MOST_SHOWN + 1);
    }

    proptest! {
        #[test]
        fn any_refusal_is_understood_or_left(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(said(bytes.as_slice()).chars().count() <= MOST_SHOWN + 1);
        }
    }
}
