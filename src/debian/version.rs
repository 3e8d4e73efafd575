//! Versions of packages and their order.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Versions longer than this many bytes are refused: the longest of the archive have some 60.
const LENGTH_LIMIT: usize = 1_000;

/// A version as Policy 5.6.12 has it: `[EPOCH:]UPSTREAM[-REVISION]`.
///
/// Two are equal when they are in the order, so `1.0`, `0:1.0` and `1.00-0` are the same; each is
/// shown as it was written.
///
/// ```
/// use distrobuild::debian::Version;
///
/// let candidate: Version = "1.0~rc1-1".parse()?;
/// assert!(candidate < "1.0-1".parse()?);
/// # Ok::<(), distrobuild::debian::VersionError>(())
/// ```
#[derive(Clone)]
pub struct Version(String);

/// A string that is no [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no version: {why}")]
pub struct VersionError {
    text: String,
    why: &'static str,
}

impl Version {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Epoch, upstream version and revision; those that are left out are 0 and empty.
    fn parts(&self) -> (u32, &str, &str) {
        let (epoch, rest) = self.0.split_once(':').unwrap_or(("0", &self.0));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), upstream, revision)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// As strict as Policy, except that the upstream version need not start with a digit: dpkg
    /// only warns of one that does not.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |why| {
            Err(VersionError {
                text: text.chars().take(100).collect(),
                why,
            })
        };
        if text.len() > LENGTH_LIMIT {
            return fail("it is too long");
        }
        let rest = match text.split_once(':') {
            None => text,
            Some((epoch, rest)) => {
                let digits = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
                // dpkg's epoch is an int.
                if !digits || epoch.parse::<i32>().is_err() {
                    return fail("what is before the colon is no number that an epoch may have");
                }
                rest
            }
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            None => (rest, None),
            Some((upstream, revision)) => (upstream, Some(revision)),
        };
        if upstream.is_empty() {
            return fail("nothing is left for the version proper");
        }
        if revision == Some("") {
            return fail("nothing follows the last hyphen");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'~');
        if !upstream
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b'-' | b':'))
        {
            return fail("only letters, digits and . + - ~ : may be in it");
        }
        if !revision.unwrap_or_default().bytes().all(plain) {
            return fail("only letters, digits and . + ~ may follow the last hyphen");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (epoch, upstream, revision) = self.parts();
        let (other_epoch, other_upstream, other_revision) = other.parts();
        epoch
            .cmp(&other_epoch)
            .then_with(|| compare(upstream.as_bytes(), other_upstream.as_bytes()))
            .then_with(|| compare(revision.as_bytes(), other_revision.as_bytes()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// The order of one part: runs of other characters and runs of digits in turn, the former by
/// letter, the latter by number.
fn compare(mut one: &[u8], mut other: &[u8]) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (words, other_words) = (cut(&mut one, false), cut(&mut other, false));
        let length = words.len().max(other_words.len());
        for at in 0..length {
            let order = weight(words.get(at)).cmp(&weight(other_words.get(at)));
            if order.is_ne() {
                return order;
            }
        }
        let (digits, other_digits) = (cut(&mut one, true), cut(&mut other, true));
        let order = number(digits, other_digits);
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Takes the leading digits, or what is before the first of them, off `text`.
fn cut<'a>(text: &mut &'a [u8], digits: bool) -> &'a [u8] {
    let end = text.iter().position(|byte| byte.is_ascii_digit() != digits);
    let (head, tail) = text
        .split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, &[]));
    *text = tail;
    head
}

/// `~` is before the end, which is before letters, which are before all others.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

/// The order of numbers of any length; none is 0.
fn number(one: &[u8], other: &[u8]) -> Ordering {
    let (one, other) = (without_zeros(one), without_zeros(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let start = digits
        .iter()
        .position(|digit| *digit != b'0')
        .unwrap_or(digits.len());
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// In ascending order, as `dpkg --compare-versions` has them.
    const ASCENDING: &[&str] = &[
        "0",
        "0.0.0.1",
        "0.1~~",
        "0.1~~a",
        "0.1~",
        "0.1",
        "0.1a~b",
        "0.1a",
        "0.1b",
        "0.1+",
        "0.1.~",
        "1~~",
        "1~~a",
        "1~",
        "1~a",
        "1-~1",
        "1",
        "1-0.1",
        "1-1",
        "1-1+b1",
        "1-1+deb12u1",
        "1-1+deb12u10",
        "1-1.1",
        "1-10",
        "1a~",
        "1a",
        "1aa",
        "1+b",
        "1.0~beta1~svn1245",
        "1.0~beta1",
        "1.0",
        "1.0-a",
        "1.0+",
        "1.0.1",
        "1.00.2",
        "1.2-3-1",
        "1.9",
        "1.10",
        "2.36-9",
        "2.36-9+deb12u4",
        "2.36-9+deb12u10",
        "99999999999999999999998",
        "99999999999999999999999",
        "a",
        "z",
        "1:0",
        "1:0:1",
        "1:1",
        "2:0~",
        "2147483647:0",
    ];

    #[test]
    fn the_order_is_that_of_dpkg() {
        for (at, one) in ASCENDING.iter().enumerate() {
            for (other_at, other) in ASCENDING.iter().enumerate() {
                assert_eq!(
                    version(one).cmp(&version(other)),
                    at.cmp(&other_at),
                    "{one} and {other}"
                );
            }
        }
    }

    #[test]
    fn what_means_the_same_is_equal() {
        for (one, other) in [
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1.0", "1.00"),
            ("1.01", "1.1"),
            ("1", "1-000"),
            ("1-a", "1-a0"),
            ("00:1", "1"),
            ("1a", "1a0"),
            ("0", "00"),
            ("1.", "1.0"),
        ] {
            assert_eq!(version(one), version(other), "{one} and {other}");
            assert_ne!(version(one).to_string(), version(other).to_string());
        }
    }

    #[test]
    fn what_is_no_version_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "nothing is left"),
            ("1:", "nothing is left"),
            ("-1", "nothing is left"),
            ("1-", "nothing follows"),
            ("a:1", "epoch"),
            (":1", "epoch"),
            ("-1:1", "epoch"),
            ("+1:1", "epoch"),
            ("2147483648:1", "epoch"),
            ("1 2", "only letters"),
            ("1/2", "only letters"),
            ("1_2", "only letters"),
            ("1-2_3", "may follow"),
            ("1é", "only letters"),
            ("1:2-3:4", "may follow"),
        ] {
            let error = text.parse::<Version>().unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        assert!("1".repeat(LENGTH_LIMIT + 1).parse::<Version>().is_err());
    }

    fn any_version() -> impl Strategy<Value = Version> {
        "([0-2]:)?[0-2a~+.]{1,4}(-[0-1a~+.]{1,3})?".prop_map(|text| text.parse().unwrap())
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(a in any_version(), b in any_version(), c in any_version()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a == b {
                prop_assert_eq!(a.cmp(&c), b.cmp(&c));
            }
        }

        #[test]
        fn a_tilde_is_before_and_a_plus_is_after(a in "[0-9.a]{1,6}", tail in "[0-9a-z]{0,3}") {
            let [before, after] = ["~", "+"].map(|sign| version(&[&a, sign, &tail].concat()));
            prop_assert!(before < version(&a) && version(&a) < after);
        }

        #[test]
        fn any_text_is_taken_or_refused(text in "\\PC{0,12}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }
}
