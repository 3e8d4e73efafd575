//! The text of `bases/debian/*.toml`, parsed and checked, each fault with its line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::RecipeError;
use super::pattern::{package_fault, package_pattern_fault, path_fault, variable_fault};
use crate::debian::{Architecture, Reference};

/// The version of the format that this program reads.
const SCHEMA: u32 = 1;
/// The variables of the paths of links.
const PATH_VARIABLES: [&str; 2] = ["{triplet}", "{arch}"];
/// The variables of the path of an index of files.
const CONTENTS_VARIABLES: [&str; 2] = ["{component}", "{arch}"];
/// The keyrings that are built in.
const KEYRINGS: [&str; 2] = ["debian", "ubuntu"];

/// `common.toml`: what all bases share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Common {
    schema: Spanned<u32>,
    pub(super) user: String,
    #[serde(default)]
    pub(super) env: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) exclusions: Vec<Packages>,
    #[serde(default)]
    pub(super) unneeded: Vec<Packages>,
    #[serde(default)]
    pub(super) omissions: Vec<Omitted>,
    #[serde(default)]
    pub(super) alternatives: Vec<Link>,
}

/// The file of one release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    schema: Spanned<u32>,
    pub(super) distribution: Spanned<String>,
    pub(super) release: Spanned<String>,
    pub(super) architectures: Vec<Name>,
    #[serde(default)]
    pub(super) archives: Vec<Suite>,
    #[serde(default)]
    pub(super) bases: Vec<BaseText>,
}

/// One base of a release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BaseText {
    pub(super) name: Spanned<String>,
    pub(super) description: Spanned<String>,
    pub(super) extends: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) architectures: Vec<Name>,
    #[serde(default)]
    pub(super) packages: Vec<Spanned<Asked>>,
    #[serde(default)]
    pub(super) env: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) keep: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) alternatives: Vec<Link>,
    #[serde(default)]
    pub(super) distroless: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) not_as_distroless: Vec<Packages>,
}

/// A package asked for: its name, or that and the architectures that it is for.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a package or { name = \"…\", architectures = [\"…\"] }"
)]
pub(super) enum Asked {
    Name(String),
    Only(Only),
}

/// A package for some architectures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Only {
    name: String,
    architectures: Vec<Name>,
}

impl Asked {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Only(Only { name, .. }) => name,
        }
    }

    pub(super) fn architectures(&self) -> Vec<Architecture> {
        match self {
            Self::Name(_) => Vec::new(),
            Self::Only(only) => architectures(&only.architectures),
        }
    }
}

/// Packages that have one thing in common.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Packages {
    pub(super) packages: Vec<Spanned<String>>,
    pub(super) because: Spanned<String>,
}

/// Files that do not come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Omitted {
    pub(super) paths: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) keep: Vec<Spanned<String>>,
    pub(super) because: Spanned<String>,
}

/// A link that is made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    pub(super) link: Spanned<String>,
    pub(super) target: Spanned<String>,
    pub(super) because: Spanned<String>,
}

/// A suite of an archive.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suite {
    pub(super) urls: Vec<Url>,
    pub(super) suite: Spanned<String>,
    pub(super) components: Vec<Spanned<String>>,
    pub(super) keyring: Spanned<String>,
    pub(super) contents: Option<Spanned<String>>,
}

/// Where a suite is for some architectures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Url {
    pub(super) url: Spanned<String>,
    #[serde(default)]
    pub(super) architectures: Vec<Name>,
}

/// An architecture by Debian's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name(Architecture);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut all = Architecture::ALL.into_iter();
        all.find(|it| it.name() == text).map(Self).ok_or_else(|| {
            let names = Architecture::ALL.map(Architecture::name).join(", ");
            D::Error::custom(format!(
                "{text:?} is no architecture here; there are {names}"
            ))
        })
    }
}

/// The architectures, in their own order, each once.
pub(super) fn architectures(names: &[Name]) -> Vec<Architecture> {
    let set: std::collections::BTreeSet<_> = names.iter().map(|name| name.0).collect();
    set.into_iter().collect()
}

/// A file's text and what it says.
#[derive(Debug)]
pub(super) struct Document<T> {
    pub(super) content: T,
    file: PathBuf,
    text: String,
}

/// What a file can be.
pub(super) trait Content: DeserializeOwned {
    fn schema(&self) -> &Spanned<u32>;
    /// The first fault, and where.
    fn fault(&self) -> Option<(Range<usize>, String)>;
}

impl<T: Content> Document<T> {
    /// Parses `text`, which is read from `file`.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, RecipeError> {
        let content: T = toml::from_str(text).map_err(|error| RecipeError::Invalid {
            file: file.to_path_buf(),
            line: error.span().map(|span| line(text, span.start)),
            message: error.message().to_owned(),
        })?;
        let document = Self {
            content,
            file: file.to_path_buf(),
            text: text.to_owned(),
        };
        let schema = document.content.schema();
        if *schema.get_ref() != SCHEMA {
            let found = schema.get_ref();
            let message =
                format!("schema {found} is not known; this distrobuild reads schema {SCHEMA}");
            return Err(document.invalid(schema.span(), message));
        }
        match document.content.fault() {
            Some((span, message)) => Err(document.invalid(span, message)),
            None => Ok(document),
        }
    }
}

impl<T> Document<T> {
    /// The error that `message` is about the text at `span`.
    pub(super) fn invalid(&self, span: Range<usize>, message: String) -> RecipeError {
        RecipeError::Invalid {
            file: self.file.clone(),
            line: Some(line(&self.text, span.start)),
            message,
        }
    }
}

impl Content for Common {
    fn schema(&self) -> &Spanned<u32> {
        &self.schema
    }

    fn fault(&self) -> Option<(Range<usize>, String)> {
        let packages = self.exclusions.iter().chain(&self.unneeded);
        (self.env.iter().find_map(variable))
            .or_else(|| {
                packages
                    .into_iter()
                    .find_map(|it| it.fault(package_pattern_fault))
            })
            .or_else(|| self.omissions.iter().find_map(Omitted::fault))
            .or_else(|| self.alternatives.iter().find_map(Link::fault))
    }
}

impl Content for Release {
    fn schema(&self) -> &Spanned<u32> {
        &self.schema
    }

    fn fault(&self) -> Option<(Range<usize>, String)> {
        (word(&self.distribution))
            .or_else(|| word(&self.release))
            .or_else(|| self.archives.iter().find_map(Suite::fault))
            .or_else(|| self.bases.iter().find_map(BaseText::fault))
    }
}

impl BaseText {
    fn fault(&self) -> Option<(Range<usize>, String)> {
        let theirs = self.not_as_distroless.iter();
        (word(&self.name))
            .or_else(|| phrase(&self.description))
            .or_else(|| {
                let mut packages = self.packages.iter();
                packages.find_map(|it| Some((it.span(), package_fault(it.get_ref().name())?)))
            })
            .or_else(|| self.env.iter().find_map(variable))
            .or_else(|| self.keep.iter().find_map(glob))
            .or_else(|| self.alternatives.iter().find_map(Link::fault))
            .or_else(|| self.distroless.iter().find_map(|it| at(it, package_fault)))
            .or_else(|| theirs.into_iter().find_map(|it| it.fault(package_fault)))
    }
}

impl Packages {
    fn fault(&self, name: fn(&str) -> Option<String>) -> Option<(Range<usize>, String)> {
        let mut packages = self.packages.iter();
        packages
            .find_map(|it| at(it, name))
            .or_else(|| phrase(&self.because))
    }
}

impl Omitted {
    fn fault(&self) -> Option<(Range<usize>, String)> {
        let mut globs = self.paths.iter().chain(&self.keep);
        globs.find_map(glob).or_else(|| phrase(&self.because))
    }
}

impl Link {
    fn fault(&self) -> Option<(Range<usize>, String)> {
        let variables = |text: &str| variable_fault(text, &PATH_VARIABLES);
        [&self.link, &self.target]
            .into_iter()
            .find_map(|path| at(path, path_fault).or_else(|| at(path, variables)))
            .or_else(|| {
                at(&self.link, |link| {
                    let message = format!("{link:?} is a glob; a link has one path");
                    link.contains(['*', '?', '[']).then_some(message)
                })
            })
            .or_else(|| phrase(&self.because))
    }
}

impl Suite {
    fn fault(&self) -> Option<(Range<usize>, String)> {
        (self.urls.iter().find_map(|it| at(&it.url, url_fault)))
            .or_else(|| at(&self.suite, segments_fault))
            .or_else(|| self.components.iter().find_map(|it| at(it, segments_fault)))
            .or_else(|| {
                at(&self.keyring, |keyring| {
                    let message = format!(
                        "there is no keyring {keyring:?}; there are {}",
                        KEYRINGS.join(" and ")
                    );
                    (!KEYRINGS.contains(&keyring)).then_some(message)
                })
            })
            .or_else(|| {
                let contents = self.contents.as_ref()?;
                let variables = |text: &str| variable_fault(text, &CONTENTS_VARIABLES);
                at(contents, variables).or_else(|| at(contents, segments_fault))
            })
    }
}

/// The fault of a value, and where it is.
fn at(
    value: &Spanned<String>,
    fault: impl Fn(&str) -> Option<String>,
) -> Option<(Range<usize>, String)> {
    Some((value.span(), fault(value.get_ref())?))
}

fn glob(value: &Spanned<String>) -> Option<(Range<usize>, String)> {
    at(value, |text| {
        path_fault(text).or_else(|| {
            let message = format!("{text:?} has braces; a path here has no variables, write two");
            text.contains(['{', '}']).then_some(message)
        })
    })
}

/// What may stand in a [`Reference`].
fn word(value: &Spanned<String>) -> Option<(Range<usize>, String)> {
    at(value, |text| {
        let reference = format!("{text}:{text}/{text}");
        let fits = reference
            .parse::<Reference>()
            .is_ok_and(|it| it.base == text);
        let message = format!(
            "{text:?} cannot be part of a base's name: lower-case letters, digits, \"-\", \".\" and \"+\""
        );
        (!fits).then_some(message)
    })
}

/// A phrase for people, which sentences are made of.
fn phrase(value: &Spanned<String>) -> Option<(Range<usize>, String)> {
    at(value, |text| {
        let fits = !text.trim().is_empty() && !text.contains('\n') && !text.ends_with('.');
        let message = format!("{text:?} has to be a phrase on one line, without a full stop");
        (!fits).then_some(message)
    })
}

fn variable(value: &Spanned<String>) -> Option<(Range<usize>, String)> {
    at(value, |text| {
        let named = text
            .split_once('=')
            .is_some_and(|(name, _)| !name.is_empty());
        let message = format!("{text:?} is no environment variable: write NAME=VALUE");
        (!named || text.contains('\0')).then_some(message)
    })
}

fn url_fault(url: &str) -> Option<String> {
    let known = ["http://", "https://", "file:///"];
    let fits = known.iter().any(|scheme| {
        let host = url.strip_prefix(scheme).unwrap_or_default();
        !host.is_empty() && !host.ends_with('/') && !host.contains(['@', '?', '#', ' '])
    });
    (!fits).then(|| {
        format!("{url:?} is no URL of an archive: http://HOST/PATH or https://HOST/PATH, without \"/\" at its end")
    })
}

/// What becomes part of a URL: names with `/` between them.
fn segments_fault(text: &str) -> Option<String> {
    let good = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'+' | b'{' | b'}')
    };
    let fits = text
        .split('/')
        .all(|name| !matches!(name, "" | "." | "..") && name.bytes().all(good));
    (!fits).then(|| format!("{text:?} cannot be part of a URL: names with \"/\" between them"))
}

fn line(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}
