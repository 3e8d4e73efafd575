//! The certificate authorities that Mozilla trusts, as one PEM bundle (RFC 7468).

/// The bundle: each certificate under a comment with its subject's name, sorted by that name.
pub(super) fn bundle() -> Vec<u8> {
    let mut certificates: Vec<(String, &[u8])> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| (name(der).unwrap_or_default(), der.as_ref()))
        .collect();
    certificates.sort_unstable();
    certificates.dedup();
    let mut bundle = String::new();
    for (name, der) in certificates {
        if !name.is_empty() {
            bundle.push_str("# ");
            bundle.push_str(&name);
            bundle.push('\n');
        }
        push_pem(&mut bundle, der);
    }
    bundle.into_bytes()
}

fn push_pem(out: &mut String, der: &[u8]) {
    const BYTES_PER_LINE: usize = 48;
    out.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in der.chunks(BYTES_PER_LINE) {
        push_base64(out, line);
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
}

/// RFC 4648, section 4.
fn push_base64(out: &mut String, bytes: &[u8]) {
    let digit = |value: u32| match (value & 63) as u8 {
        value @ 0..26 => char::from(b'A' + value),
        value @ 26..52 => char::from(b'a' + (value - 26)),
        value @ 52..62 => char::from(b'0' + (value - 52)),
        62 => '+',
        _ => '/',
    };
    for group in bytes.chunks(3) {
        let value = (0..3).fold(0, |value, at| {
            value << 8 | u32::from(group.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            if at <= group.len() {
                out.push(digit(value >> (18 - 6 * at)));
            } else {
                out.push('=');
            }
        }
    }
}

/// The subject's common name, else its unit, else its organisation (RFC 5280, section 4.1).
fn name(der: &[u8]) -> Option<String> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    const UNIT: &[u8] = &[0x55, 4, 11];
    const ORGANISATION: &[u8] = &[0x55, 4, 10];
    let subject = subject(der)?;
    [COMMON_NAME, UNIT, ORGANISATION]
        .into_iter()
        .find_map(|kind| attribute(subject, kind))
}

fn subject(der: &[u8]) -> Option<&[u8]> {
    const VERSION: u8 = 0xa0;
    let certificate = element(der)?.1;
    let mut rest = element(certificate)?.1;
    if element(rest)?.0 == VERSION {
        rest = element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer and validity stand before the subject.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    Some(element(rest)?.1)
}

fn attribute(mut names: &[u8], kind: &[u8]) -> Option<String> {
    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    while let Some((_, set, rest)) = element(names) {
        let pair = element(set)?.1;
        let (_, found, value) = element(pair)?;
        let (tag, text, _) = element(value)?;
        if found == kind && (tag == UTF8 || tag == PRINTABLE) {
            let text = std::str::from_utf8(text).ok()?;
            return Some(text.chars().filter(|c| !c.is_control()).collect());
        }
        names = rest;
    }
    None
}

/// One DER element: its tag, its content, and what follows it (X.690, section 8.1).
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |value, digit| value << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn base64_has_the_known_values_of_rfc_4648() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = String::new();
            push_base64(&mut out, plain.as_bytes());
            assert_eq!(out, encoded);
        }
        let mut out = String::new();
        push_base64(&mut out, &[0xfb, 0xef, 0xff]);
        assert_eq!(out, "++//");
    }

    #[test]
    fn the_bundle_names_the_authorities_in_order() {
        let bundle = String::from_utf8(bundle()).unwrap();
        let names: Vec<&str> = bundle
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .collect();
        assert!(names.contains(&"ISRG Root X1"));
        assert!(names.is_sorted());
        let count = bundle.matches("-----BEGIN CERTIFICATE-----").count();
        assert_eq!(count, webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert!(bundle.lines().all(|line| line.len() <= 100));
    }

    #[test]
    fn a_certificate_cut_anywhere_has_no_name_and_does_no_harm() {
        let der = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].as_ref();
        assert!(name(der).is_some());
        for end in 0..der.len() {
            assert_eq!(name(&der[..end]), None);
        }
    }
}
