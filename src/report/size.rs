//! Sizes: how they are shown to people, and how people write them.

use std::fmt;
use std::str::FromStr;

/// `bytes` for people: powers of 1000 as in `docker images` and on the boxes of disks, one
/// decimal from kB on, the largest unit that gives at least 1. This is the one rule for all
/// that is shown; JSON has bytes.
///
/// ```
/// use distrobuild::report::human_size;
///
/// assert_eq!(human_size(999), "999 B");
/// assert_eq!(human_size(28_238_443), "28.2 MB");
/// ```
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, rounded half up; 999_950 is 1.0 MB, not 1000.0 kB.
    let mut scale = 1000u128;
    let mut shown = String::new();
    for unit in UNITS {
        let tenths = (u128::from(bytes) * 20 + scale) / (2 * scale);
        shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
        if tenths < 10_000 {
            break;
        }
        scale *= 1000;
    }
    shown
}

/// A difference for people: `+1.2 MB`, `-300 B`, `±0 B`.
pub fn human_change(before: u64, after: u64) -> String {
    let size = human_size(before.abs_diff(after));
    match after.cmp(&before) {
        std::cmp::Ordering::Greater => format!("+{size}"),
        std::cmp::Ordering::Less => format!("-{size}"),
        std::cmp::Ordering::Equal => format!("±{size}"),
    }
}

/// The largest *compressed* size that an image may have: the sum of its layers' blobs, which
/// is what a machine that has none of them pulls and a registry stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget(u64);

/// A string that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// It does not begin with a number.
    #[error("{0:?} is no size: write a number and a unit, as in 20MB, 1.5GB, 512KiB or 1048576")]
    Number(String),
    /// The unit is not known.
    #[error(
        "{text:?} has the unit {unit:?}; known are B, kB, MB, GB (powers of 1000) and KiB, MiB, GiB (powers of 1024)"
    )]
    Unit {
        /// What was given.
        text: String,
        /// The unit in it.
        unit: String,
    },
    /// It is beyond what can be counted.
    #[error("{0:?} is more than 2^64 bytes")]
    TooLarge(String),
}

impl Budget {
    /// A budget of `bytes`.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads `20MB`, `1.5 GB`, `512KiB` or a plain number of bytes. Case does not matter, and
    /// a bare `K`, `M` or `G` is a power of 1000. A part of a byte is cut off.
    ///
    /// # Errors
    /// When it is no number, has another unit, or is too large.
    pub fn parse(text: &str) -> Result<Self, BudgetError> {
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at_checked(end).unwrap_or((trimmed, ""));
        let no_number = || BudgetError::Number(text.to_owned());
        let too_large = || BudgetError::TooLarge(text.to_owned());
        let scale: u128 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" => 1000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            _ if number.is_empty() => return Err(no_number()),
            unit => {
                return Err(BudgetError::Unit {
                    text: text.to_owned(),
                    unit: unit.to_owned(),
                });
            }
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') || fraction.len() > 15 {
            return Err(no_number());
        }
        let whole: u128 = whole.parse().map_err(|_| too_large())?;
        let mut bytes = whole.checked_mul(scale).ok_or_else(too_large)?;
        if !fraction.is_empty() {
            // At most 15 digits times 2^30: far from overflowing.
            let digits: u128 = fraction.parse().map_err(|_| no_number())?;
            let places = u32::try_from(fraction.len()).map_err(|_| no_number())?;
            bytes = bytes
                .checked_add(digits * scale / 10u128.pow(places))
                .ok_or_else(too_large)?;
        }
        u64::try_from(bytes).map(Self).map_err(|_| too_large())
    }
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&human_size(self.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_size_carries_into_the_next_unit_when_it_rounds_up() {
        let known = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1049, "1.0 kB"),
            (1050, "1.1 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (28_238_443, "28.2 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, shown) in known {
            assert_eq!(human_size(bytes), shown);
        }
    }

    #[test]
    fn a_budget_is_read_in_both_kinds_of_units() {
        let known = [
            ("20MB", 20_000_000),
            ("20 mb", 20_000_000),
            ("1.5GB", 1_500_000_000),
            ("512KiB", 512 << 10),
            ("2MiB", 2 << 20),
            ("0.5k", 500),
            ("1048576", 1 << 20),
            ("0", 0),
        ];
        for (text, bytes) in known {
            assert_eq!(Budget::parse(text), Ok(Budget::new(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_would_be_one() {
        let refused = |text| Budget::parse(text).unwrap_err().to_string();
        for text in ["", "MB", "-1MB", ".5MB", "1.2.3MB", "big"] {
            assert!(refused(text).contains("as in 20MB"), "{text}");
        }
        assert!(refused("20MX").contains("\"mx\"; known are B, kB"));
        assert!(refused("99999999999999999999").contains("2^64"));
        assert!(refused("99999999999GB").contains("2^64"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_budget_or_an_error(text in "\\PC{0,12}|[0-9.]{0,50}[kKmMgGiIbB ]{0,4}") {
            let _ = Budget::parse(&text);
        }

        #[test]
        fn more_bytes_never_look_like_fewer(a: u64, b: u64) {
            let parsed = |bytes| {
                let text = human_size(bytes);
                let (number, unit) = text.split_once(' ').unwrap();
                let power = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].iter().position(|u| *u == unit).unwrap();
                (power, (number.parse::<f64>().unwrap() * 10.0).round() as u64)
            };
            prop_assert!(parsed(a.min(b)) <= parsed(a.max(b)));
        }
    }
}
