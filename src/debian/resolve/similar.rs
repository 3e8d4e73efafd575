//! Names that may have been meant by one that does not exist.

/// Suggestions given at the most.
const SUGGESTIONS: usize = 3;

/// The names most like `name`: one that differs by few letters, then one that continues it.
pub(super) fn similar<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let allowed = if name.len() <= 4 { 1 } else { 2 };
    let mut found: Vec<(usize, usize, &str)> = Vec::new();
    for other in names {
        if let Some(distance) = distance(name.as_bytes(), other.as_bytes(), allowed) {
            found.push((0, distance, other));
        } else if name.len() >= 3 && other.starts_with(name) {
            found.push((1, other.len(), other));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .take(SUGGESTIONS)
        .map(|(.., name)| name.to_owned())
        .collect()
}

/// How many letters are to be changed, added or removed to make one of the other, if that is at
/// most `allowed` (Levenshtein's distance).
fn distance(one: &[u8], other: &[u8], allowed: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > allowed {
        return None;
    }
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let (mut diagonal, mut left) = (row, row + 1);
        if let Some(first) = above.first_mut() {
            *first = left;
        }
        for (cell, b) in above.iter_mut().skip(1).zip(other) {
            let value = (diagonal + usize::from(a != b))
                .min(*cell + 1)
                .min(left + 1);
            diagonal = *cell;
            *cell = value;
            left = value;
        }
        if above.iter().all(|value| *value > allowed) {
            return None;
        }
    }
    above
        .last()
        .copied()
        .filter(|distance| *distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_by_few_letters_come_first() {
        let names = [
            "libssl1",
            "libssl3",
            "libssl-dev",
            "libss2",
            "openssl",
            "libsslx-tools",
        ];
        assert_eq!(
            similar("libssl", names.into_iter()),
            ["libss2", "libssl1", "libssl3"]
        );
        assert_eq!(
            similar("libssl3", names.into_iter()),
            ["libssl3", "libssl1", "libss2"]
        );
        assert_eq!(similar("opensl", names.into_iter()), ["openssl"]);
        assert_eq!(
            similar("python", ["python3", "python3-x", "perl"].into_iter()),
            ["python3", "python3-x"]
        );
        assert!(similar("zz", ["a", "bbb", "zzxx"].into_iter()).is_empty());
    }

    #[test]
    fn the_distance_is_the_least_number_of_changes() {
        for (one, other, expected) in [
            ("", "", Some(0)),
            ("", "ab", Some(2)),
            ("abc", "abc", Some(0)),
            ("abc", "axc", Some(1)),
            ("abc", "bc", Some(1)),
            ("abc", "cab", Some(2)),
            ("abc", "xyz", None),
            ("kitten", "sitten", Some(1)),
            ("abcdef", "abc", None),
        ] {
            assert_eq!(
                distance(one.as_bytes(), other.as_bytes(), 2),
                expected,
                "{one} {other}"
            );
            assert_eq!(
                distance(other.as_bytes(), one.as_bytes(), 2),
                expected,
                "{other} {one}"
            );
        }
    }
}
