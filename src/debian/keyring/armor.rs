//! ASCII armor (RFC 9580 section 6): OpenPGP packets as lines of text.

/// A block that does not hold what its first line promises, and why.
pub(in crate::debian) type Flaw = &'static str;

/// The bytes in `block`, which begins with its `-----BEGIN` line and ends with its `-----END`
/// line. A checksum that is there must be right.
pub(in crate::debian) fn decode(block: &str) -> Result<Vec<u8>, Flaw> {
    let mut lines = block
        .lines()
        .map(|line| line.trim_end_matches([' ', '\t', '\r']));
    lines.next();
    // `Version: ...` and the like; an empty line ends them.
    if !lines
        .by_ref()
        .find(|line| line.is_empty() || !line.contains(": "))
        .is_some_and(str::is_empty)
    {
        return Err("the empty line before its base64 text is missing");
    }
    let mut digits = Vec::with_capacity(block.len());
    let mut checksum = None;
    for line in lines.by_ref().take_while(|line| !line.starts_with('-')) {
        if checksum.is_some() {
            return Err("it goes on after its checksum");
        }
        match line.strip_prefix('=') {
            Some(sum) if sum.len() == 4 => checksum = Some(base64(sum.as_bytes())?),
            _ => digits.extend_from_slice(line.as_bytes()),
        }
    }
    let bytes = base64(&digits)?;
    if checksum.is_some_and(|sum| sum != checksum_of(&bytes)) {
        return Err("its checksum is wrong: it was damaged or altered");
    }
    Ok(bytes)
}

/// RFC 4648 section 4, strictly: padded, and no bit set that means nothing.
fn base64(digits: &[u8]) -> Result<Vec<u8>, Flaw> {
    const BROKEN: Flaw = "its base64 text is broken";
    if !digits.len().is_multiple_of(4) {
        return Err(BROKEN);
    }
    let padding = digits
        .iter()
        .rev()
        .take_while(|digit| **digit == b'=')
        .count();
    if padding > 2 {
        return Err(BROKEN);
    }
    let meaning = digits.get(..digits.len() - padding).unwrap_or_default();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for group in meaning.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | sextet(*digit).ok_or(BROKEN)?;
        }
        bits <<= 6 * (4 - group.len());
        let [_, whole @ ..] = bits.to_be_bytes();
        let (kept, rest) = whole.split_at(group.len() - 1);
        if rest.iter().any(|byte| *byte != 0) {
            return Err(BROKEN);
        }
        bytes.extend_from_slice(kept);
    }
    Ok(bytes)
}

fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

/// CRC-24 (RFC 9580 section 6.1.1), most significant byte first.
fn checksum_of(bytes: &[u8]) -> [u8; 3] {
    let sum = bytes.iter().fold(0x00B7_04CE_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 16, |sum, _| {
            let shifted = sum << 1;
            if shifted & 0x0100_0000 == 0 {
                shifted
            } else {
                shifted ^ 0x0186_4CFB
            }
        })
    });
    let [_, a, b, c] = sum.to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(body: &str) -> String {
        format!("-----BEGIN PGP MESSAGE-----\nVersion: 1\n\n{body}\n-----END PGP MESSAGE-----\n")
    }

    #[test]
    fn the_vectors_of_rfc_4648_decode() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9v\nYg==", "foob"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(
                decode(&block(text)),
                Ok(bytes.as_bytes().to_vec()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in [
            "Zg=",
            "Zg",
            "Z===",
            "Zh==",
            "Zm9=",
            "Zm9v=Zm9v",
            "Zm9!",
            "Zg==Zg==",
        ] {
            assert!(decode(&block(text)).is_err(), "{text}");
        }
        assert!(decode("-----BEGIN PGP MESSAGE-----\nZm9v\n-----END PGP MESSAGE-----").is_err());
    }

    #[test]
    fn a_checksum_must_fit() {
        // "123456789" has the CRC-24 that the catalogues of CRCs give for it.
        assert_eq!(checksum_of(b"123456789"), [0x21, 0xCF, 0x02]);
        assert_eq!(
            decode(&block("MTIzNDU2Nzg5\n=Ic8C")),
            Ok(b"123456789".to_vec())
        );
        assert!(decode(&block("MTIzNDU2Nzg5\n=Ic8D")).is_err());
        assert!(decode(&block("MTIzNDU2Nzg5\n=Ic8C\nMTIz")).is_err());
    }
}
