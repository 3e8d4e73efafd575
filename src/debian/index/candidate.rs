//! A package that can be had.

use std::str::FromStr;

use super::super::relation::is_package_name;
use super::super::{Alternatives, Relation, Version};
use super::IndexError;
use super::layout::{FIELDS, Layout};
use crate::layer::Digest;

/// One version of a package that can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The architecture that it is for, or `all`.
    pub architecture: String,
    /// How it is to other architectures.
    pub multi_arch: MultiArch,
    /// Whether dpkg takes it for a part of every system.
    pub essential: bool,
    /// How much its distribution wants it.
    pub priority: Priority,
    /// The names that it stands for besides its own (Policy 7.5); a version only as `=`.
    pub provides: Vec<Relation>,
    /// What it needs: `Pre-Depends`, then `Depends`, each in its order.
    pub depends: Vec<Alternatives>,
    /// What it must not be installed beside: `Conflicts`.
    pub conflicts: Vec<Relation>,
    /// What does not work beside it: `Breaks`.
    pub breaks: Vec<Relation>,
    /// The source package, when it has another name; may hold a version in brackets.
    pub source: Option<String>,
    /// What it takes when it is installed, in KiB, as its maker estimates it; 0 if unknown.
    pub installed_size: u64,
    /// The path of the `.deb` below the archive's URL: relative, and no step leads upwards.
    pub path: String,
    /// The size of the `.deb` in bytes.
    pub size: u64,
    /// The hash of the `.deb`.
    pub sha256: Digest,
}

/// How a package is to those of other architectures (`Multi-Arch`, deb-control(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiArch {
    /// It serves its own.
    No,
    /// It serves its own, and can be installed for several at once.
    Same,
    /// It serves all.
    Foreign,
    /// It serves its own, and all when a dependency says `:any`.
    Allowed,
}

/// How much a distribution wants a package (Policy 2.5), most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// No system works without it.
    Required,
    /// One expects it on every system.
    Important,
    /// It is there if nobody says otherwise.
    Standard,
    /// All others, and packages that do not say.
    Optional,
}

/// Reads a field.
type Reader<T> = fn(&str) -> Result<T, String>;

/// The fields of a record in the order of [`FIELDS`].
struct Fields<'a, I> {
    values: I,
    number: usize,
    line: usize,
    package: &'a str,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Fields<'a, I> {
    /// The next field, read by `reader`.
    fn next<T>(&mut self, reader: Reader<T>) -> Result<T, IndexError> {
        let field = FIELDS.get(self.number).copied().unwrap_or_default();
        self.number += 1;
        // There are as many as there are fields, unless a kept index was tampered with.
        let value = self.values.next().ok_or(IndexError::Damaged)?;
        std::str::from_utf8(value)
            .map_err(|error| error.to_string())
            .and_then(reader)
            .map_err(|why| IndexError::Field {
                line: self.line,
                package: self.package.to_owned(),
                field,
                why,
            })
    }
}

/// Reads a record.
pub(super) fn candidate(layout: &Layout, record: usize) -> Result<Candidate, IndexError> {
    let mut fields = Fields {
        values: layout.fields(record),
        number: 0,
        line: layout.line(record),
        package: layout.name(record),
    };
    let name = fields.next(|text| {
        let good = is_package_name(text.as_bytes());
        good.then(|| text.to_owned())
            .ok_or_else(|| format!("{text:?} is no package's name"))
    })?;
    let version = fields.next(parsed::<Version>)?;
    let architecture = fields.next(|text| {
        let good = is_package_name(text.as_bytes());
        good.then(|| text.to_owned())
            .ok_or_else(|| format!("{text:?} is no architecture"))
    })?;
    let multi_arch = fields.next(multi_arch)?;
    let essential = fields.next(|text| Ok(text.eq_ignore_ascii_case("yes")))?;
    let priority = fields.next(|text| Ok(priority(text)))?;
    let source = fields.next(|text| Ok((!text.is_empty()).then(|| text.to_owned())))?;
    let installed_size = fields.next(|text| match text {
        "" => Ok(0),
        text => parsed(text),
    })?;
    let path = fields.next(path)?;
    let size = fields.next(parsed::<u64>)?;
    let sha256 = fields.next(|text| {
        let text = text.to_ascii_lowercase();
        format!("sha256:{text}")
            .parse::<Digest>()
            .map_err(|_| format!("{text:?} is not 64 hexadecimal digits"))
    })?;
    let mut depends = fields.next(alternatives)?;
    depends.extend(fields.next(alternatives)?);
    Ok(Candidate {
        name,
        version,
        architecture,
        multi_arch,
        essential,
        priority,
        provides: fields.next(provides)?,
        depends,
        conflicts: fields.next(relations)?,
        breaks: fields.next(relations)?,
        source,
        installed_size,
        path,
        size,
        sha256,
    })
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| match text {
        "" => "it is missing".to_owned(),
        _ => error.to_string(),
    })
}

fn multi_arch(text: &str) -> Result<MultiArch, String> {
    match text {
        "" | "no" => Ok(MultiArch::No),
        "same" => Ok(MultiArch::Same),
        "foreign" => Ok(MultiArch::Foreign),
        "allowed" => Ok(MultiArch::Allowed),
        other => Err(format!("{other:?} is none of no, same, foreign, allowed")),
    }
}

/// Anything that distributions made up besides counts as optional, as `extra` does.
fn priority(text: &str) -> Priority {
    match text {
        "required" => Priority::Required,
        "important" => Priority::Important,
        "standard" => Priority::Standard,
        _ => Priority::Optional,
    }
}

fn alternatives(text: &str) -> Result<Vec<Alternatives>, String> {
    Alternatives::parse_list(text).map_err(|error| error.to_string())
}

fn relations(text: &str) -> Result<Vec<Relation>, String> {
    Relation::parse_list(text).map_err(|error| error.to_string())
}

fn provides(text: &str) -> Result<Vec<Relation>, String> {
    let provides = relations(text)?;
    let only_equal = |relation: &Relation| {
        let constraint = relation.constraint.as_ref();
        constraint.is_none_or(|it| it.operator == super::super::Operator::Equal)
    };
    match provides.iter().find(|relation| !only_equal(relation)) {
        Some(wrong) => Err(format!("{wrong}: a version can be provided with = only")),
        None => Ok(provides),
    }
}

/// A path below the archive's URL, which it is put behind.
pub(in crate::debian) fn path(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("./").unwrap_or(text);
    if path.is_empty() {
        return Err("it is missing".to_owned());
    }
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'/' | b'.' | b'+' | b'-' | b'_' | b'~' | b':' | b'%' | b'=' | b'@' | b','
            )
    };
    let step =
        |step: &str| !matches!(step, "" | "." | "..") && !step.to_ascii_lowercase().contains("%2");
    if path.len() > 1_000
        || !path.bytes().all(allowed)
        || !path.split('/').all(step)
        || path.contains("://")
    {
        return Err(format!("{text:?} is no path below the archive's URL"));
    }
    Ok(path.to_owned())
}
