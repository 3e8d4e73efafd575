//! Relations between packages: what stands in `Depends`, `Provides`, `Conflicts`...

use std::fmt;

use super::Version;
use super::version::VersionError;

/// Relations in one field at the most: some packages of the archive provide a thousand names.
const RELATION_LIMIT: usize = 20_000;

/// A package, maybe of some versions only (Policy 7.1): `libc6:any (>= 2.36)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The name, of a package or of what packages provide.
    pub package: String,
    /// What follows the colon: `any`, `native`, `amd64`.
    pub architecture: Option<String>,
    /// The versions.
    pub constraint: Option<Constraint>,
}

/// Which versions are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// How they are to the one that is named.
    pub operator: Operator,
    /// The one that is named.
    pub version: Version,
}

/// How a version is to be to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`, also written `<`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, also written `>`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// Relations one of which suffices, the preferred first: `a | b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternatives(pub Vec<Relation>);

/// A string that is no relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// No name where there has to be one.
    #[error("{text:?} is no relation: {why}")]
    Form {
        /// The part that is wrong.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The version is none.
    #[error("{text:?} is no relation: {source}")]
    Version {
        /// The part that is wrong.
        text: String,
        /// What is wrong with the version.
        source: VersionError,
    },
    /// More than any package has.
    #[error("more than {RELATION_LIMIT} relations in one field")]
    TooMany,
}

/// Whether `text` can be a package's name: small letters, digits, `+ - .` (Policy 5.6.1). One
/// letter alone is taken too, and capitals are not: they never were in an archive.
pub(super) fn is_package_name(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.first().is_some_and(plain)
        && text.len() <= 200
        && text
            .iter()
            .all(|byte| plain(byte) || matches!(byte, b'+' | b'-' | b'.'))
}

impl Relation {
    /// Reads one relation, without alternatives.
    pub fn parse(text: &str) -> Result<Self, RelationError> {
        let text = text.trim();
        let form = |why| {
            Err(RelationError::Form {
                text: text.chars().take(100).collect(),
                why,
            })
        };
        let (target, constraint) = match text.split_once('(') {
            None => (text, None),
            Some((target, rest)) => match rest.strip_suffix(')') {
                Some(inside) => (target.trim_end(), Some(inside)),
                None => return form("what stands in brackets has to end it"),
            },
        };
        if target.contains(['[', '<']) {
            return form("restrictions by architecture or build profile are for source packages");
        }
        let (package, architecture) = match target.split_once(':') {
            None => (target, None),
            Some((package, architecture)) => (package, Some(architecture)),
        };
        if !is_package_name(package.as_bytes()) {
            return form("it does not start with a package's name");
        }
        if architecture.is_some_and(|it| !is_package_name(it.as_bytes())) {
            return form("an architecture has to follow the colon");
        }
        let constraint = match constraint {
            None => None,
            Some(inside) => match Constraint::parse(inside) {
                Ok(Some(constraint)) => Some(constraint),
                Ok(None) => return form("one of << <= = >= >> has to be before the version"),
                Err(source) => {
                    return Err(RelationError::Version {
                        text: text.chars().take(100).collect(),
                        source,
                    });
                }
            },
        };
        Ok(Self {
            package: package.to_owned(),
            architecture: architecture.map(str::to_owned),
            constraint,
        })
    }

    /// Reads a list without alternatives, such as `Provides`.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, RelationError> {
        items(text).map(|item| Self::parse(item?)).collect()
    }

    /// Whether a package of this version has what is asked, its name aside.
    pub fn allows(&self, version: &Version) -> bool {
        let constraint = self.constraint.as_ref();
        constraint.is_none_or(|constraint| constraint.allows(version))
    }
}

/// What stands between commas. Nothing at all between two is skipped, as apt does.
fn items(text: &str) -> impl Iterator<Item = Result<&str, RelationError>> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .enumerate()
        .map(|(number, item)| {
            (number < RELATION_LIMIT)
                .then_some(item)
                .ok_or(RelationError::TooMany)
        })
}

impl Constraint {
    /// Reads what stands in brackets; `None` where no operator is before the version.
    fn parse(text: &str) -> Result<Option<Self>, VersionError> {
        const SPELLED: [(&str, Operator); 7] = [
            ("<<", Operator::Earlier),
            ("<=", Operator::EarlierOrEqual),
            (">>", Operator::Later),
            (">=", Operator::LaterOrEqual),
            ("=", Operator::Equal),
            // Policy 7.1: obsolete, and not what they look like.
            ("<", Operator::EarlierOrEqual),
            (">", Operator::LaterOrEqual),
        ];
        let text = text.trim();
        let spelled = |(sign, operator)| Some((text.strip_prefix(sign)?, operator));
        let Some((version, operator)) = SPELLED.into_iter().find_map(spelled) else {
            return Ok(None);
        };
        let version = version.trim().parse()?;
        Ok(Some(Self { operator, version }))
    }

    /// Whether `version` is one of those that are meant.
    pub fn allows(&self, version: &Version) -> bool {
        match self.operator {
            Operator::Earlier => *version < self.version,
            Operator::EarlierOrEqual => *version <= self.version,
            Operator::Equal => *version == self.version,
            Operator::LaterOrEqual => *version >= self.version,
            Operator::Later => *version > self.version,
        }
    }
}

impl Alternatives {
    /// Reads a list such as that of `Depends`: alternatives, between commas.
    ///
    /// ```
    /// use distrobuild::debian::Alternatives;
    ///
    /// let list = Alternatives::parse_list("libc6 (>= 2.36), debconf | debconf-2.0")?;
    /// assert_eq!(list[1].0[1].package, "debconf-2.0");
    /// # Ok::<(), distrobuild::debian::RelationError>(())
    /// ```
    pub fn parse_list(text: &str) -> Result<Vec<Self>, RelationError> {
        let mut count = 0;
        items(text)
            .map(|item| {
                let relations: Vec<Relation> = item?
                    .split('|')
                    .map(Relation::parse)
                    .collect::<Result<_, _>>()?;
                count += relations.len();
                if count > RELATION_LIMIT {
                    return Err(RelationError::TooMany);
                }
                Ok(Self(relations))
            })
            .collect()
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.package)?;
        if let Some(architecture) = &self.architecture {
            write!(f, ":{architecture}")?;
        }
        if let Some(Constraint { operator, version }) = &self.constraint {
            write!(f, " ({operator} {version})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Alternatives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, relation) in self.0.iter().enumerate() {
            let bar = if number == 0 { "" } else { " | " };
            write!(f, "{bar}{relation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let list = Alternatives::parse_list(text).unwrap();
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_are_read_however_they_are_spaced() {
        let text = "libc6 (>= 2.36),\n python3:any(<<3.12)|python3-x:amd64 ( = 1:2-3 ) , a|b,, c,";
        assert_eq!(
            shown(text),
            [
                "libc6 (>= 2.36)",
                "python3:any (<< 3.12) | python3-x:amd64 (= 1:2-3)",
                "a | b",
                "c"
            ]
        );
        assert!(shown("").is_empty() && shown(" , ").is_empty());
    }

    #[test]
    fn obsolete_signs_mean_what_policy_says() {
        assert_eq!(shown("a (< 1), b (> 1)"), ["a (<= 1)", "b (>= 1)"]);
    }

    #[test]
    fn a_constraint_allows_what_it_says() {
        for (sign, allowed) in [
            ("<<", [true, false, false]),
            ("<=", [true, true, false]),
            ("=", [false, true, false]),
            (">=", [false, true, true]),
            (">>", [false, false, true]),
        ] {
            let relation = Relation::parse(&format!("a ({sign} 1.0)")).unwrap();
            let found =
                ["1.0~rc1", "1.00-0", "1.0+b1"].map(|it| relation.allows(&it.parse().unwrap()));
            assert_eq!(found, allowed, "{sign}");
        }
        assert!(Relation::parse("a").unwrap().allows(&"0".parse().unwrap()));
    }

    #[test]
    fn what_is_no_relation_is_refused_with_a_reason() {
        for (text, why) in [
            ("a |", "package's name"),
            ("| a", "package's name"),
            ("A", "package's name"),
            ("../a", "package's name"),
            ("a b", "package's name"),
            ("a:", "architecture"),
            ("a:é", "architecture"),
            ("a (1)", "before the version"),
            ("a (>= )", "nothing is left"),
            ("a (>= 1", "brackets"),
            ("a (>= 1) x", "brackets"),
            ("a (>= 1 2)", "only letters"),
            ("a [amd64]", "source packages"),
            ("a <!nocheck>", "source packages"),
            ("()", "package's name"),
        ] {
            let error = Alternatives::parse_list(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        let many = "a,".repeat(RELATION_LIMIT + 1);
        assert_eq!(Alternatives::parse_list(&many), Err(RelationError::TooMany));
        let bars = "a|a,".repeat(RELATION_LIMIT / 2 + 1);
        assert_eq!(Alternatives::parse_list(&bars), Err(RelationError::TooMany));
    }

    #[test]
    fn what_is_shown_reads_as_the_same() {
        use proptest::prelude::*;
        let relation =
            "[a-z][a-z0-9+.-]{0,4}(:any)?( \\((<<|<=|=|>=|>>) [0-9][0-9.a~-]{0,3}[0-9]\\))?";
        let list = format!("({relation}( \\| {relation})?, ){{0,3}}");
        proptest!(|(text in list.as_str())| {
            let list = Alternatives::parse_list(&text).unwrap();
            let again = list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(Alternatives::parse_list(&again).unwrap(), list);
        });
        proptest!(|(text in "[a-c|,()<>= :0-9~é-]{0,20}")| {
            if let Ok(list) = Alternatives::parse_list(&text) {
                prop_assert!(list.iter().all(|one| !one.0.is_empty()));
            }
        });
    }
}
