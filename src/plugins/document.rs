//! The text of rules, parsed and checked, each fault with its line and its rule.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::RulesError;
use super::pattern::{Exclude, NamePattern, PathPattern, Variable};
use crate::ImagePath;
use crate::app::Role;

/// The version of the format that this program reads.
const SCHEMA: u32 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: Spanned<u32>,
    #[serde(default, rename = "rule")]
    rules: Vec<Spanned<Rule>>,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// For `--with`, `--without` and reports.
    pub(super) name: String,
    /// Why, for people.
    pub(super) because: String,
    /// Whether it applies without being asked for.
    #[serde(default = "yes")]
    pub(super) default: bool,
    /// It applies where one of these holds, once for each match.
    #[serde(default)]
    pub(super) when: Vec<Condition>,
    /// It does not apply where one of these holds.
    #[serde(default)]
    pub(super) unless: Vec<Condition>,
    /// What comes along: files, links, directories with all that is in them.
    #[serde(default)]
    pub(super) bring: Vec<PathPattern>,
    /// What is left out of it.
    #[serde(default)]
    pub(super) exclude: Vec<Exclude>,
    /// These too; with none of them, the program will not start.
    #[serde(default)]
    pub(super) needs: Vec<PathPattern>,
    /// What becomes of ELF files that lack a library.
    #[serde(default)]
    pub(super) objects: Objects,
    /// What is made, whatever the system has there.
    #[serde(default)]
    pub(super) make: Vec<Made>,
    /// Variables that are set.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// Arguments without which a container of the program ends at once.
    #[serde(default)]
    pub(super) arguments: Vec<String>,
}

fn yes() -> bool {
    true
}

/// What must hold: of each list that is given, one element.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    /// A library of this soname is in the closure.
    #[serde(default)]
    pub(super) soname: Vec<NamePattern>,
    /// A program of this file name is in the closure.
    #[serde(default)]
    pub(super) program: Vec<NamePattern>,
    /// An object that is no part of libc imports this function.
    #[serde(default)]
    pub(super) imports: Vec<String>,
    /// Objects of these sonames do not count as importing it.
    #[serde(default)]
    pub(super) except: Vec<NamePattern>,
    /// Something is there.
    #[serde(default)]
    pub(super) exists: Vec<PathPattern>,
}

/// What becomes of an ELF file of which a library is missing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Objects {
    /// It is left out.
    #[default]
    Optional,
    /// It is as if the app needed that library.
    Needed,
}

impl Objects {
    pub(super) fn role(self) -> Role {
        match self {
            Self::Optional => Role::Optional,
            Self::Needed => Role::Object,
        }
    }
}

/// A link or directory that is made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Made {
    pub(super) path: MadePath,
    /// What the link says.
    pub(super) link: Option<String>,
    /// The mode of the directory.
    pub(super) mode: Option<Mode>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct MadePath(pub(super) ImagePath);

impl TryFrom<String> for MadePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let path = ImagePath::new(&text).map_err(|error| error.to_string())?;
        match path.is_root() {
            true => Err("/ itself cannot be made".to_owned()),
            false => Ok(Self(path)),
        }
    }
}

/// Mode bits of a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode(pub(super) u32);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            bits if bits & !0o1777 == 0 => Ok(Self(bits)),
            bits => Err(de::Error::custom(format!(
                "{bits} is no mode: write it in octal, as 0o755, up to 0o1777"
            ))),
        }
    }
}

/// Parses `text`, which is read from `file`.
pub(super) fn parse(file: &Path, text: &str) -> Result<Vec<Rule>, RulesError> {
    let invalid = |span: Option<Range<usize>>, message: String| RulesError::Invalid {
        file: file.to_path_buf(),
        line: span.as_ref().map(|span| line(text, span.start)),
        rule: span.and_then(|span| rule_at(text, span.start)),
        message,
    };
    let document: Document =
        toml::from_str(text).map_err(|error| invalid(error.span(), error.message().to_owned()))?;
    let schema = *document.schema.get_ref();
    if schema != SCHEMA {
        let message =
            format!("schema {schema} is not known; this distrobuild reads schema {SCHEMA}");
        return Err(invalid(Some(document.schema.span()), message));
    }
    let mut names = BTreeSet::new();
    for rule in &document.rules {
        let span = || Some(rule.span());
        if let Some(fault) = rule.get_ref().fault() {
            return Err(invalid(span(), fault));
        }
        let name = &rule.get_ref().name;
        if !names.insert(name) {
            return Err(invalid(span(), format!("the rule {name} is there twice")));
        }
    }
    Ok(document
        .rules
        .into_iter()
        .map(Spanned::into_inner)
        .collect())
}

fn line(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}

/// The name of the rule that `offset` is in, which may not have been parsed.
fn rule_at(text: &str, offset: usize) -> Option<String> {
    const HEAD: &str = "[[rule]]";
    let before = text.get(..offset.saturating_add(HEAD.len()).min(text.len()))?;
    let rest = text.get(before.rfind(HEAD)? + HEAD.len()..)?;
    let table = rest.split(HEAD).next()?;
    table.lines().find_map(|line| {
        let value = line.trim().strip_prefix("name")?.trim_start();
        let name = value.strip_prefix('=')?.trim_start().strip_prefix('"')?;
        Some(name.split_once('"')?.0.to_owned())
    })
}

impl Rule {
    /// What is wrong with it, if anything is.
    fn fault(&self) -> Option<String> {
        self.bad_text()
            .or_else(|| {
                self.when
                    .iter()
                    .chain(&self.unless)
                    .find_map(Condition::fault)
            })
            .or_else(|| self.make.iter().find_map(Made::fault))
            .or_else(|| self.unknown_value())
    }

    fn bad_text(&self) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.name.is_empty() || !self.name.bytes().all(plain) {
            return Some(format!(
                "{:?} is no name: small letters, digits and hyphens make one",
                self.name
            ));
        }
        if self.because.trim().is_empty() {
            return Some("`because` is empty: say to people why it comes along".to_owned());
        }
        if self.default && self.when.is_empty() {
            return Some(
                "it would apply always: say `when`, or `default = false` for `--with`".to_owned(),
            );
        }
        if self.bring.is_empty() && self.make.is_empty() && self.env.is_empty() {
            return Some("it does nothing: say what it shall `bring`, `make` or set".to_owned());
        }
        let named = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        let bad = |(name, value): &(&String, &String)| !named(name) || value.contains('\0');
        if let Some((name, _)) = self.env.iter().find(bad) {
            return Some(format!("{name:?} is no environment variable"));
        }
        let bad = |argument: &&String| argument.contains('\0');
        self.arguments
            .iter()
            .find(bad)
            .map(|argument| format!("{argument:?} is no argument: it holds a NUL byte"))
    }

    /// A variable that has no value for one of the conditions.
    fn unknown_value(&self) -> Option<String> {
        let excluded = self.exclude.iter().filter_map(|exclude| match exclude {
            Exclude::Path(path) => Some(path),
            Exclude::Name(_) => None,
        });
        let paths = self.bring.iter().chain(&self.needs).chain(excluded);
        let used: BTreeSet<Variable> = paths.flat_map(PathPattern::variables).collect();
        // Without `when`, it applies to no object.
        let nothing = [Condition::default()];
        let conditions = match self.when.is_empty() {
            true => &nothing[..],
            false => &self.when,
        };
        conditions
            .iter()
            .find_map(|condition| condition.lacks(used.iter().copied()))
    }
}

impl Condition {
    fn fault(&self) -> Option<String> {
        let lists = [
            self.soname.is_empty(),
            self.program.is_empty(),
            self.imports.is_empty(),
            self.exists.is_empty(),
        ];
        if lists.iter().all(|empty| *empty) {
            return Some(
                "a condition without `soname`, `program`, `imports` or `exists`".to_owned(),
            );
        }
        if !self.except.is_empty() && self.imports.is_empty() {
            return Some("`except` says nothing without `imports`".to_owned());
        }
        self.lacks(self.exists.iter().flat_map(PathPattern::variables))
    }

    /// The patterns that an object matched, whose captures are `{1}`, `{2}`...
    pub(super) fn anchors(&self) -> &[NamePattern] {
        match self.soname.is_empty() {
            true => &self.program,
            false => &self.soname,
        }
    }

    /// Says which of the variables `used` has no value when this condition holds.
    fn lacks(&self, used: impl Iterator<Item = Variable>) -> Option<String> {
        let captures = self.anchors().iter().map(NamePattern::stars).min();
        let of_no_object = self.anchors().is_empty() && self.imports.is_empty();
        used.into_iter().find_map(|variable| match variable {
            Variable::Dir if of_no_object => {
                Some("{dir} has no value where no object is matched".to_owned())
            }
            Variable::Capture(index) if index > captures.unwrap_or(0) => Some(format!(
                "{{{index}}} has no value: a pattern in `when` has fewer stars"
            )),
            _ => None,
        })
    }
}

impl Made {
    fn fault(&self) -> Option<String> {
        let path = &self.path.0;
        match (&self.link, self.mode) {
            (Some(target), None) if target.is_empty() || target.contains('\0') => {
                Some(format!("{path} needs a target that is a path"))
            }
            (Some(_), None) | (None, Some(_)) => None,
            _ => Some(format!(
                "{path} is either a `link` to something or a directory with a `mode`"
            )),
        }
    }
}
