//! Bases: what an image holds beside the app and its libraries, as data. `bases/README.md`
//! documents the format.

mod document;
mod plan;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use document::Document;
use plan::Plan;

use super::{EntryKind, Rootfs};
use crate::ImagePath;
use crate::parent::Parent;

/// The embedded bases and the data files that they name.
const EMBEDDED: &[(&str, &str)] = &[("static", include_str!("../../bases/static.toml"))];
const DATA: &[(&str, &[u8])] = &[
    ("protocols", include_bytes!("../../bases/protocols")),
    ("services", include_bytes!("../../bases/services")),
];

/// The most bytes of a base's own file, and of a file that it names.
const SIZE_LIMIT: u64 = 16 << 20;
/// The most bases that extend each other.
const EXTENDS_LIMIT: usize = 16;

/// A base, ready to be laid under an app.
#[derive(Debug, Clone)]
pub struct Base {
    /// Its name: `static`, `none`, or what a user's file says.
    pub name: String,
    /// One line about it.
    pub description: String,
    /// What it sets in the image's config.
    pub config: BaseConfig,
    rootfs: Rootfs,
    is_system: bool,
    parent: Option<Arc<Parent>>,
}

/// What a base sets in the image's config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseConfig {
    /// `USER[:GROUP]`; empty for root.
    pub user: String,
    /// Environment variables, in order.
    pub env: Vec<(String, String)>,
}

/// One base that [`Base::named`] knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseSummary {
    /// Its name.
    pub name: String,
    /// One line about it.
    pub description: String,
}

/// Why a base cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// No embedded base has this name.
    #[error(
        "there is no base {name:?}; there are {available}, or give the path of a file: ./{name}.toml"
    )]
    Unknown {
        /// The name.
        name: String,
        /// Those that exist.
        available: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The base's file, or one that it names.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is wrong.
    #[error("{}{}: {message}", .file.display(), .line.map(|line| format!(":{line}")).unwrap_or_default())]
    Invalid {
        /// The base's file.
        file: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong, and what was possible.
        message: String,
    },
}

impl Base {
    /// The embedded base of this name; `none` is [`Base::none`].
    ///
    /// # Errors
    /// When there is none; the message lists those that exist.
    pub fn named(name: &str) -> Result<Self, BaseError> {
        if name == "none" {
            return Ok(Self::none());
        }
        Plan::of(&Place::Embedded.chain(embedded(name)?)?).build()
    }

    /// The base that adds no file, only the user 65532 and the usual `PATH`.
    pub fn none() -> Self {
        Self {
            name: "none".to_owned(),
            description: "nothing but the app and its libraries".to_owned(),
            config: BaseConfig {
                user: "65532:65532".to_owned(),
                env: vec![(
                    "PATH".to_owned(),
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
                )],
            },
            rootfs: Rootfs::new(),
            is_system: false,
            parent: None,
        }
    }

    /// A base that is a whole system: the app's libraries and its runtime come from `rootfs`,
    /// and nothing of this machine's own system does. All entries must be of
    /// [`Origin::Base`](super::Origin::Base), and any files of this machine that they name must
    /// stay until the image is written.
    pub fn of_system(
        name: impl Into<String>,
        description: impl Into<String>,
        config: BaseConfig,
        rootfs: Rootfs,
    ) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            config,
            rootfs,
            is_system: true,
            parent: None,
        }
    }

    /// The base that an image is: a system of which the layers stay what they are.
    pub(crate) fn of_parent(
        name: &str,
        config: BaseConfig,
        rootfs: Rootfs,
        parent: Arc<Parent>,
    ) -> Self {
        let description = format!("an image of {} layers", parent.layers.len());
        Self {
            parent: Some(parent),
            ..Self::of_system(name, description, config, rootfs)
        }
    }

    /// The image that it is, if it is one.
    pub fn parent(&self) -> Option<&Arc<Parent>> {
        self.parent.as_ref()
    }

    /// Whether it is a system of its own, in which everything is looked up.
    pub fn is_system(&self) -> bool {
        self.is_system
    }

    /// Reads the base in the file at `path`.
    ///
    /// # Errors
    /// When it or a file that it names cannot be read, or something in it is wrong.
    pub fn load(path: &Path) -> Result<Self, BaseError> {
        let document = load(path)?;
        let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Plan::of(&Place::Directory(directory).chain(document)?).build()
    }

    /// Reads the base that `text`, embedded from `file`, describes.
    #[cfg(feature = "debian")]
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, BaseError> {
        let document = Document::parse(file, text)?;
        Plan::of(&Place::Embedded.chain(document)?).build()
    }

    /// The bases that [`Base::named`] knows.
    pub fn available() -> Vec<BaseSummary> {
        let none = Self::none();
        EMBEDDED
            .iter()
            .filter_map(|(name, _)| embedded(name).ok())
            .map(|document| BaseSummary {
                name: document.name.clone(),
                description: document.description.clone(),
            })
            .chain([BaseSummary {
                name: none.name,
                description: none.description,
            }])
            .collect()
    }

    /// Whether it is a system that has the very same thing at `path`, so that nothing has to be
    /// added: of a file, a name or a link that leads to the same content.
    pub(crate) fn holds(&self, path: &ImagePath, kind: &EntryKind) -> bool {
        if !self.is_system {
            return false;
        }
        let EntryKind::File(content) = kind else {
            return self
                .rootfs
                .get(path)
                .is_some_and(|known| known.kind == *kind);
        };
        let file = self.rootfs.follow(path.as_path());
        let mut known = file.and_then(|file| self.rootfs.get(&file));
        if let Some(EntryKind::HardLink(first)) = known.map(|known| &known.kind) {
            known = self.rootfs.get(first);
        }
        matches!(known.map(|known| &known.kind), Some(EntryKind::File(it)) if it.is_same(content))
    }

    /// Its files, all of [`Origin::Base`](super::Origin::Base).
    pub fn rootfs(&self) -> &Rootfs {
        &self.rootfs
    }
}

/// A base that extends none, and those that extend it, each the one before.
type Chain = ((Document, Place), Vec<(Document, Place)>);

/// Where the files lie that a document names.
#[derive(Debug, Clone)]
enum Place {
    Embedded,
    Directory(PathBuf),
}

impl Place {
    /// The document and all that it extends.
    fn chain(self, document: Document) -> Result<Chain, BaseError> {
        let mut first = (document, self);
        let mut others = Vec::new();
        while let (document, place) = &first
            && let Some(extends) = &document.extends
        {
            if others.len() == EXTENDS_LIMIT {
                return Err(document.invalid(
                    Some(extends.span()),
                    format!("more than {EXTENDS_LIMIT} bases extend each other (a loop?)"),
                ));
            }
            let parent = place.parent_of(document, extends)?;
            others.push(std::mem::replace(&mut first, parent));
        }
        others.reverse();
        Ok((first, others))
    }

    fn parent_of(
        &self,
        document: &Document,
        extends: &toml::Spanned<String>,
    ) -> Result<(Document, Self), BaseError> {
        let name = extends.get_ref();
        let is_path = name.contains('/') || name.ends_with(".toml");
        match self {
            Self::Directory(directory) if is_path => {
                let path = directory.join(name);
                let parent = path.parent().unwrap_or(directory).to_path_buf();
                Ok((load(&path)?, Self::Directory(parent)))
            }
            _ if name == "none" => Err(document.invalid(
                Some(extends.span()),
                "none has nothing that could be extended; leave `extends` out".to_owned(),
            )),
            _ => match embedded(name) {
                Ok(parent) => Ok((parent, Self::Embedded)),
                Err(error @ BaseError::Unknown { .. }) => {
                    Err(document.invalid(Some(extends.span()), error.to_string()))
                }
                Err(error) => Err(error),
            },
        }
    }

    fn read(
        &self,
        document: &Document,
        source: &toml::Spanned<String>,
    ) -> Result<Cow<'static, [u8]>, BaseError> {
        let name = source.get_ref();
        match self {
            Self::Embedded => DATA
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, data)| Cow::Borrowed(*data))
                .ok_or_else(|| {
                    document.invalid(
                        Some(source.span()),
                        format!("no data is embedded as {name:?}"),
                    )
                }),
            Self::Directory(directory) => read(&directory.join(name)).map(Cow::Owned),
        }
    }
}

fn embedded(name: &str) -> Result<Document, BaseError> {
    let Some((name, text)) = EMBEDDED.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = EMBEDDED
            .iter()
            .map(|(name, _)| *name)
            .chain(["none"])
            .collect();
        return Err(BaseError::Unknown {
            name: name.to_owned(),
            available: names.join(", "),
        });
    };
    Document::parse(Path::new(&format!("bases/{name}.toml")), text)
}

fn load(path: &Path) -> Result<Document, BaseError> {
    let bytes = read(path)?;
    let text = str::from_utf8(&bytes).map_err(|error| BaseError::Invalid {
        file: path.to_path_buf(),
        line: Some(
            1 + bytes
                .iter()
                .take(error.valid_up_to())
                .filter(|b| **b == b'\n')
                .count(),
        ),
        message: "not UTF-8 text; a base is a TOML file".to_owned(),
    })?;
    Document::parse(path, text)
}

fn read(path: &Path) -> Result<Vec<u8>, BaseError> {
    use std::io::{Error, ErrorKind, Read};
    let failed = |source| BaseError::Read {
        path: path.to_path_buf(),
        source,
    };
    // Asked before it is opened: opening a named pipe would wait for a writer.
    let facts = std::fs::metadata(path).map_err(failed)?;
    if facts.is_dir() {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    if !facts.is_file() {
        return Err(failed(Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        )));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        let message = "larger than 16 MiB; bring large files in with --include";
        return Err(failed(Error::new(ErrorKind::FileTooLarge, message)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
