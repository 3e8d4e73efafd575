//! The bundle of certificate authorities, as update-ca-certificates(8) makes it.

use super::gather::{Gathered, Kind};
use super::{ArrangeError, Tree, read};
use crate::ImagePath;

const DIRECTORY: &str = "/usr/share/ca-certificates";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// One authority.
pub(super) struct Certificate {
    /// The name of its file, without `.crt`.
    pub(super) name: String,
    /// Its file, as it is.
    pem: Vec<u8>,
    /// The certificate itself.
    pub(super) der: Vec<u8>,
}

/// Takes the files of single certificates out of the tree: nothing looks for them there.
pub(super) fn take(gathered: &mut Gathered<'_>) -> Result<Vec<Certificate>, ArrangeError> {
    let is_ours = |path: &ImagePath| {
        path.as_path().starts_with(DIRECTORY) && path.as_bytes().ends_with(b".crt")
    };
    let mut certificates = Vec::new();
    let mut taken = Vec::new();
    for (path, placed) in &gathered.entries {
        if let Kind::File { content, .. } = &placed.kind
            && is_ours(path)
        {
            let package = gathered.name(placed.owner);
            let pem = read(content, &package)?;
            let der = decode(&pem).map_err(|reason| ArrangeError::Certificate {
                package,
                path: path.clone(),
                reason,
            })?;
            let name = path.as_path().file_stem().unwrap_or_default();
            certificates.push(Certificate {
                name: name.to_string_lossy().into_owned(),
                pem,
                der,
            });
            taken.push(path.clone());
        }
    }
    for path in taken {
        gathered.entries.remove(&path);
        gathered.emptied.extend(path.parent());
    }
    Ok(certificates)
}

/// Adds the bundle: the files behind each other, in the order of their paths.
pub(super) fn add(tree: &mut Tree, certificates: &[Certificate]) -> Result<(), ArrangeError> {
    if certificates.is_empty() {
        return Ok(());
    }
    let mut bundle = Vec::new();
    for certificate in certificates {
        bundle.extend_from_slice(&certificate.pem);
        if !certificate.pem.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    tree.add_file(BUNDLE, bundle)
}

/// The one certificate of a PEM file: RFC 7468.
fn decode(pem: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(pem).map_err(|_| "it is no text")?;
    let (_, rest) = text
        .split_once(BEGIN)
        .ok_or("it has no BEGIN CERTIFICATE")?;
    let (body, rest) = rest.split_once(END).ok_or("it has no END CERTIFICATE")?;
    if rest.contains(BEGIN) {
        return Err("it has more than one certificate");
    }
    let der = base64(body).ok_or("it is no base64")?;
    // A certificate is one DER sequence: X.690, section 8.9.
    match der.first() {
        Some(0x30) => Ok(der),
        _ => Err("it holds something else than a certificate"),
    }
}

/// RFC 4648, section 4; white space is passed over.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let padding = digits
        .iter()
        .rev()
        .take_while(|byte| **byte == b'=')
        .count();
    if !digits.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let (groups, _) = digits.as_chunks::<4>();
    let last = groups.len().saturating_sub(1);
    for (at, group) in groups.iter().enumerate() {
        let filled = if at == last { 4 - padding } else { 4 };
        let mut value = 0_u32;
        for (place, digit) in group.iter().enumerate() {
            let digit = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' if place >= filled => 0,
                _ => return None,
            };
            value = value << 6 | u32::from(digit);
        }
        let three = value.to_be_bytes();
        bytes.extend(three.iter().skip(1).take(filled - 1));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_known_values_of_rfc_4648() {
        for (encoded, plain) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9v\nYmFy", Some(b"foobar")),
            ("++//", Some(&[0xfb, 0xef, 0xff])),
            ("Zg=", None),
            ("Z===", None),
            ("Zg==Zg==", None),
            ("Zm9-", None),
        ] {
            assert_eq!(base64(encoded).as_deref(), plain, "{encoded}");
        }
    }
}
