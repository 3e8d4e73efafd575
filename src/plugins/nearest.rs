//! Which rule may have been meant.

/// Names are compared up to this length: the work grows with the square.
const LENGTH_LIMIT: usize = 64;

/// `; did you mean X?`, when one of `known` is near to `name`.
pub(super) fn suggestion(name: &str, known: &[String]) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// The name that one of both begins with, or that is two slips away at most.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    if name.is_empty() || name.len() > LENGTH_LIMIT {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let rank = |other: &str| {
        let slips = slips(name.as_bytes(), other.as_bytes());
        let few = slips <= 2 && slips < name.len().min(other.len());
        let begins = name.starts_with(other) || other.starts_with(&name);
        (few || begins).then_some(slips)
    };
    known
        .iter()
        .filter_map(|other| Some((rank(other)?, other.as_str())))
        .min()
        .map(|(_, other)| other)
}

/// How many bytes have to be changed, added or left out (Levenshtein's distance).
fn slips(one: &[u8], other: &[u8]) -> usize {
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, byte) in one.iter().enumerate() {
        let mut left = row + 1;
        let mut line = vec![left];
        for (pair, against) in above.windows(2).zip(other) {
            let &[diagonal, up] = pair else { continue };
            left = (diagonal + usize::from(byte != against))
                .min(up + 1)
                .min(left + 1);
            line.push(left);
        }
        above = line;
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_a_beginning_is_recognised() {
        let known = ["openssl", "fonts", "gconv", "gconv-all"].map(str::to_owned);
        let near = |name| nearest(name, &known);
        assert_eq!(near("opensll"), Some("openssl"));
        assert_eq!(near("OpenSSL"), Some("openssl"));
        assert_eq!(near("font"), Some("fonts"));
        assert_eq!(near("gconv-a"), Some("gconv"));
        assert_eq!(near("postgres"), None);
        assert_eq!(near(""), None);
        assert_eq!(slips(b"kitten", b"sitting"), 3);
        assert_eq!(slips(b"", b"abc"), 3);
    }
}
