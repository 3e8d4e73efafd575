//! Versions and the ranges in `engines` (the grammar of node-semver).

use std::fmt;

/// A release, without tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    pub(super) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Parses the beginning of `text`, such as `20.1.0` or `v20.1.0-nightly`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts = text.splitn(3, '.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let rest = parts.next()?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit());
        let patch = rest.get(..end.unwrap_or(rest.len()))?.parse().ok()?;
        Some(Self::new(major, minor, patch))
    }

    /// Whether Node.js runs TypeScript as it is: from 22.18 and 23.6 on, types are stripped
    /// without a flag.
    pub(super) fn runs_typescript(self) -> bool {
        self >= Self::new(23, 6, 0) || (self.major == 22 && self >= Self::new(22, 18, 0))
    }

    /// Whether it lies in `range`; `None` when the range is not understood.
    pub(super) fn is_in(self, range: &str) -> Option<bool> {
        let mut any = false;
        for alternative in range.split("||") {
            any |= self.is_in_all(alternative)?;
        }
        Some(any)
    }

    fn is_in_all(self, text: &str) -> Option<bool> {
        if let Some((low, high)) = text.split_once(" - ") {
            let (low, high) = (Partial::parse(low.trim())?, Partial::parse(high.trim())?);
            return Some(self >= low.least() && high.past().is_none_or(|past| self < past));
        }
        let mut all = true;
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let digits = word.find(|letter: char| !"<>=^~".contains(letter));
            let (sign, rest) = word.split_at(digits.unwrap_or(word.len()));
            // The sign may stand apart.
            let rest = if rest.is_empty() { words.next()? } else { rest };
            all &= self.compares(sign, Partial::parse(rest)?)?;
        }
        Some(all)
    }

    fn compares(self, sign: &str, other: Partial) -> Option<bool> {
        let below = |past: Option<Self>| past.is_none_or(|past| self < past);
        Some(match sign {
            "" | "=" => self >= other.least() && below(other.past()),
            ">=" => self >= other.least(),
            ">" => other.past().is_some_and(|past| self >= past),
            "<" => self < other.least(),
            "<=" => below(other.past()),
            "^" => self >= other.least() && below(other.caret()),
            "~" | "~>" => self >= other.least() && below(other.tilde()),
            _ => return None,
        })
    }
}

/// A version of which the last parts may be open: `20`, `20.x`, `*`.
#[derive(Debug, Clone, Copy)]
struct Partial {
    major: Option<u32>,
    minor: Option<u32>,
    patch: Option<u32>,
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        // Tags of what comes before a release do not matter for whole releases.
        let text = text.split(['-', '+']).next().unwrap_or(text);
        let mut parts = [None; 3];
        let mut open = false;
        for (index, part) in text.split('.').enumerate() {
            let slot = parts.get_mut(index)?;
            open |= matches!(part, "x" | "X" | "*" | "");
            if !open {
                *slot = Some(part.parse().ok()?);
            }
        }
        let [major, minor, patch] = parts;
        Some(Self {
            major,
            minor,
            patch,
        })
    }

    fn least(self) -> Version {
        let or_zero = |part: Option<u32>| part.unwrap_or(0);
        Version::new(
            or_zero(self.major),
            or_zero(self.minor),
            or_zero(self.patch),
        )
    }

    /// The first version past all that it stands for; `None` past everything.
    fn past(self) -> Option<Version> {
        let Version {
            major,
            minor,
            patch,
        } = self.least();
        Some(match self {
            Self { major: None, .. } => return None,
            Self { minor: None, .. } => Version::new(major.checked_add(1)?, 0, 0),
            Self { patch: None, .. } => Version::new(major, minor.checked_add(1)?, 0),
            _ => Version::new(major, minor, patch.checked_add(1)?),
        })
    }

    /// The first version that `^` leaves out.
    fn caret(self) -> Option<Version> {
        match (self.major, self.minor) {
            (Some(0), Some(0)) if self.patch.is_some() => self.past(),
            (Some(0), Some(_)) => self.tilde(),
            _ => Self {
                minor: None,
                patch: None,
                ..self
            }
            .past(),
        }
    }

    /// The first version that `~` leaves out.
    fn tilde(self) -> Option<Version> {
        Self {
            patch: None,
            ..self
        }
        .past()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_node_semver_says() {
        let node = Version::new(20, 11, 1);
        for range in [
            ">=18",
            "^20.0.0",
            "20",
            "20.x",
            "*",
            "",
            "18 || 20 || >=22",
            ">= 14.17.0",
            "<21",
            ">=16 <21",
            "18 - 20",
            "~20.11",
            "20.11.1",
            "^18.17.0 || >=20.5.0",
            ">19",
            "<=20",
        ] {
            assert_eq!(node.is_in(range), Some(true), "{range}");
        }
        for range in [
            ">=22", "^18", "18.x", "<20.11.1", ">20", "16 - 18", "~20.10.0", "<=20.10",
        ] {
            assert_eq!(node.is_in(range), Some(false), "{range}");
        }
        for range in ["lts/*", "nonsense", "1.2.3.4", ">"] {
            assert_eq!(node.is_in(range), None, "{range}");
        }
        assert_eq!(Version::new(0, 2, 5).is_in("^0.2.3"), Some(true));
        assert_eq!(Version::new(0, 3, 0).is_in("^0.2.3"), Some(false));
    }

    #[test]
    fn typescript_runs_from_22_18_and_23_6_on() {
        let runs = |major, minor| Version::new(major, minor, 0).runs_typescript();
        assert!(runs(22, 18) && runs(23, 6) && runs(24, 0));
        assert!(!runs(22, 17) && !runs(23, 5) && !runs(20, 99));
    }

    #[test]
    fn a_version_may_have_a_tag() {
        assert_eq!(
            Version::parse("v21.0.0-nightly2023"),
            Some(Version::new(21, 0, 0))
        );
        assert_eq!(Version::parse("21.0"), None);
        assert_eq!(Version::parse("x.0.0"), None);
    }
}
