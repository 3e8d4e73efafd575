//! The text of a base, parsed and checked, each fault with its line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::super::accounts::{Group, User};
use super::BaseError;
use crate::ImagePath;

/// The version of the format that this program reads.
const SCHEMA: u32 = 1;

/// One base's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    schema: Spanned<u32>,
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) extends: Option<Spanned<String>>,
    pub(super) certificates: Option<Certificates>,
    pub(super) zones: Option<Zones>,
    #[serde(default)]
    pub(super) config: Config,
    #[serde(default)]
    pub(super) users: Vec<Spanned<User>>,
    #[serde(default)]
    pub(super) groups: Vec<Spanned<Group>>,
    #[serde(default)]
    pub(super) directories: Vec<Directory>,
    #[serde(default)]
    pub(super) files: Vec<File>,
    #[serde(default)]
    pub(super) symlinks: Vec<Symlink>,
    /// Not in the file: where it is, and its text, for messages.
    #[serde(skip)]
    file: PathBuf,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    pub(super) user: Option<Spanned<String>>,
    #[serde(default)]
    env: Vec<Spanned<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Certificates {
    Mozilla,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"all\", \"none\" or a list of names such as [\"Europe/Berlin\"]"
)]
pub(super) enum Zones {
    Word(ZoneWord),
    Names(Vec<String>),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ZoneWord {
    All,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    pub(super) path: BasePath,
    pub(super) mode: Option<Spanned<Mode>>,
    pub(super) owner: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) path: BasePath,
    pub(super) content: Option<String>,
    pub(super) source: Option<Spanned<String>>,
    pub(super) mode: Option<Spanned<Mode>>,
    pub(super) owner: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Symlink {
    pub(super) path: BasePath,
    pub(super) target: String,
}

/// Mode bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode(pub(super) u32);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bits = u32::deserialize(deserializer)?;
        if bits > 0o7777 {
            return Err(de::Error::custom(format!(
                "{bits} is no mode: write it in octal, as 0o755, up to 0o7777"
            )));
        }
        Ok(Self(bits))
    }
}

/// The path of an entry, and where it is written.
#[derive(Debug)]
pub(super) struct BasePath(Spanned<GoodPath>);

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct GoodPath(ImagePath);

impl TryFrom<String> for GoodPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let path = ImagePath::new(&text).map_err(|error| error.to_string())?;
        if path.is_root() {
            return Err("/ itself cannot be an entry".to_owned());
        }
        Ok(Self(path))
    }
}

impl<'de> Deserialize<'de> for BasePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl BasePath {
    pub(super) fn image(&self) -> &ImagePath {
        &self.0.get_ref().0
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.0.span()
    }
}

impl Document {
    /// Parses `text`, which is read from `file`.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, BaseError> {
        let mut document: Self = toml::from_str(text).map_err(|error| BaseError::Invalid {
            file: file.to_path_buf(),
            line: error.span().map(|span| line(text, span.start)),
            message: error.message().to_owned(),
        })?;
        document.file = file.to_path_buf();
        document.text = text.to_owned();
        document.check()?;
        Ok(document)
    }

    /// The error that `message` is about the text at `span`.
    pub(super) fn invalid(&self, span: Option<Range<usize>>, message: String) -> BaseError {
        BaseError::Invalid {
            file: self.file.clone(),
            line: span.map(|span| line(&self.text, span.start)),
            message,
        }
    }

    /// The environment variables. [`Document::parse`] has refused what is none.
    pub(super) fn env(&self) -> impl Iterator<Item = (String, String)> {
        self.config
            .env
            .iter()
            .filter_map(|variable| variable.get_ref().split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    fn check(&self) -> Result<(), BaseError> {
        let schema = *self.schema.get_ref();
        if schema != SCHEMA {
            let message =
                format!("schema {schema} is not known; this distrobuild reads schema {SCHEMA}");
            return Err(self.invalid(Some(self.schema.span()), message));
        }
        for variable in &self.config.env {
            let text = variable.get_ref();
            let is_named = text
                .split_once('=')
                .is_some_and(|(name, _)| !name.is_empty());
            if !is_named || text.contains('\0') {
                let message = format!("{text:?} is no environment variable: write NAME=VALUE");
                return Err(self.invalid(Some(variable.span()), message));
            }
        }
        for user in &self.users {
            if let Some(fault) = user.get_ref().fault() {
                return Err(self.invalid(Some(user.span()), fault));
            }
        }
        for group in &self.groups {
            if let Some(fault) = group.get_ref().fault() {
                return Err(self.invalid(Some(group.span()), fault));
            }
        }
        self.check_names()?;
        self.check_modes()?;
        for link in &self.symlinks {
            if link.target.is_empty() || link.target.contains('\0') {
                let message = format!("{} needs a target that is a path", link.path.image());
                return Err(self.invalid(Some(link.path.span()), message));
            }
        }
        self.check_paths()
    }

    fn check_names(&self) -> Result<(), BaseError> {
        let users = self.users.iter().map(|user| {
            let name = &user.get_ref().name;
            ("user", name, user.span())
        });
        let groups = self.groups.iter().map(|group| {
            let name = &group.get_ref().name;
            ("group", name, group.span())
        });
        let mut seen = std::collections::BTreeSet::new();
        for (what, name, span) in users.chain(groups) {
            if !seen.insert((what, name)) {
                return Err(self.invalid(Some(span), format!("the {what} {name} is there twice")));
            }
        }
        Ok(())
    }

    /// `755` is 0o1363: a number without `0o` is a slip.
    fn check_modes(&self) -> Result<(), BaseError> {
        let modes = (self.directories.iter().map(|entry| &entry.mode))
            .chain(self.files.iter().map(|entry| &entry.mode));
        for mode in modes.flatten() {
            let written = self.text.get(mode.span()).unwrap_or("0");
            if !written.starts_with('0') {
                let message = format!("the mode {written} is decimal; write it in octal, as 0o755");
                return Err(self.invalid(Some(mode.span()), message));
            }
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), BaseError> {
        let mut seen = std::collections::BTreeSet::new();
        let paths = (self.directories.iter().map(|entry| &entry.path))
            .chain(self.files.iter().map(|entry| &entry.path))
            .chain(self.symlinks.iter().map(|entry| &entry.path));
        for path in paths {
            if merged(path.image()) {
                let message = format!(
                    "{} must not be in a base: /bin, /sbin and /lib* follow the system of the libraries; use /usr",
                    path.image()
                );
                return Err(self.invalid(Some(path.span()), message));
            }
            if !seen.insert(path.image()) {
                let message = format!("{} is there twice", path.image());
                return Err(self.invalid(Some(path.span()), message));
            }
        }
        Ok(())
    }
}

/// Whether the path is, or is below, a directory that may be a link into `/usr`.
fn merged(path: &ImagePath) -> bool {
    let top = path.relative().split(|byte| *byte == b'/').next();
    top.is_some_and(|top| top == b"bin" || top == b"sbin" || top.starts_with(b"lib"))
}

fn line(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}
