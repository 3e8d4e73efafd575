//! The cleartext signature framework (RFC 9580 section 7): a text with its signatures below it.
//!
//! Read more strictly than the RFC asks: there is nothing but one signed text, so that nobody
//! can be shown words that no signature covers.

use pgp::packet::{Packet, Signature};
use pgp::types::Tag;

use super::super::keyring::{decode, packets};

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

/// The most bytes of a signed text with its signatures. The longest `InRelease` has some 300 kB.
const SIZE_LIMIT: usize = 16 << 20;
/// The most bytes of its signatures in armor; each has less than one kB.
const ARMOR_LIMIT: usize = 64 << 10;
/// The most signatures.
const SIGNATURES_LIMIT: usize = 16;
/// The most `Hash:` lines.
const HEADERS_LIMIT: usize = 16;

/// A text and the signatures that claim to cover it.
#[derive(Debug)]
pub(super) struct SignedText {
    /// What is signed: without dash escapes and blanks at the ends of lines, which end in line
    /// feeds, except for the last.
    pub(super) text: String,
    /// The signatures, or why one cannot be read.
    pub(super) signatures: Vec<Result<Signature, String>>,
}

/// What is wrong, as the end of a sentence.
pub(super) type Flaw = &'static str;

/// Takes a signed text apart. Proves nothing.
pub(super) fn read(bytes: &[u8]) -> Result<SignedText, Flaw> {
    if bytes.len() > SIZE_LIMIT {
        return Err("it is larger than 16 MiB");
    }
    let all = std::str::from_utf8(bytes).map_err(|_| "it is no text in UTF-8")?;
    let mut rest = all;
    if next(&mut rest) != Some(BEGIN_MESSAGE) {
        return Err("it does not begin with -----BEGIN PGP SIGNED MESSAGE-----");
    }
    headers(&mut rest)?;
    let text = text(&mut rest)?;
    let signatures = signatures(rest)?;
    Ok(SignedText { text, signatures })
}

/// The next line without its end; `None` behind the last.
fn next<'a>(rest: &mut &'a str) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
    *rest = behind;
    Some(line.strip_suffix('\r').unwrap_or(line))
}

/// `Hash:` lines, of which nothing depends, and the empty line that ends them. Others are refused:
/// GnuPG has one (`NotDashEscaped`) that changes what is signed.
fn headers(rest: &mut &str) -> Result<(), Flaw> {
    for _ in 0..=HEADERS_LIMIT {
        match next(rest) {
            Some("") => return Ok(()),
            Some(line) if line.starts_with("Hash: ") => {}
            _ => return Err("there is more than Hash: lines between its first line and its text"),
        }
    }
    Err("it has too many Hash: lines")
}

fn text(rest: &mut &str) -> Result<String, Flaw> {
    let mut text = String::with_capacity(rest.len());
    let mut first = true;
    loop {
        let line = next(rest).ok_or("it ends before its signature")?;
        if line == BEGIN_SIGNATURE {
            return Ok(text);
        }
        let line = match line.strip_prefix("- ") {
            Some(line) => line,
            None if line.starts_with('-') => {
                return Err("a line of its text begins with a dash that is not escaped");
            }
            None => line,
        };
        // A lone carriage return is the end of a line for some and not for others.
        if line.chars().any(|char| char.is_control() && char != '\t') {
            return Err("its text has control characters");
        }
        if !std::mem::take(&mut first) {
            text.push('\n');
        }
        text.push_str(line.trim_end_matches([' ', '\t']));
    }
}

/// The signatures in the armor, of which `rest` lacks the first line.
fn signatures(rest: &str) -> Result<Vec<Result<Signature, String>>, Flaw> {
    let end = rest
        .find(END_SIGNATURE)
        .ok_or("it ends in the middle of its signature")?;
    let (block, behind) = rest
        .split_at_checked(end + END_SIGNATURE.len())
        .ok_or("it ends in the middle of its signature")?;
    if !behind.bytes().all(|byte| byte.is_ascii_whitespace()) {
        return Err("it goes on after its signature");
    }
    if block.len() > ARMOR_LIMIT {
        return Err("its signature is longer than 64 KiB");
    }
    let bytes = decode(&format!("{BEGIN_SIGNATURE}\n{block}"))?;
    let mut signatures = Vec::new();
    for framed in packets(&bytes) {
        let framed = framed?;
        if framed.tag() != Tag::Signature {
            return Err("there is more than signatures where its signatures are");
        }
        if signatures.len() == SIGNATURES_LIMIT {
            return Err("it has more than 16 signatures");
        }
        signatures.push(match framed.read() {
            Ok(Packet::Signature(signature)) => Ok(signature),
            Ok(_) => return Err("there is more than signatures where its signatures are"),
            Err(error) => Err(error.to_string()),
        });
    }
    if signatures.is_empty() {
        return Err("it has no signature");
    }
    Ok(signatures)
}
