//! How people name an image in a registry (the distribution project's reference grammar).

mod grammar;

use std::fmt;
use std::str::FromStr;

use oci_spec::image::Digest;

/// A registry's name: `HOST` or `HOST:PORT`, as people write it (`docker.io`, `ghcr.io`,
/// `localhost:5000`, `[::1]:5000`), in lower case. A URL made of it is valid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

/// A repository of a registry: `ghcr.io` and `me/app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// The registry.
    pub host: Host,
    /// The path in it, `library/python`.
    pub path: String,
}

/// An image in a registry: `python:3.12-slim`, `ghcr.io/me/app:v1`,
/// `localhost:5000/app@sha256:…`, any of them after `docker://`.
///
/// ```
/// use distrobuild::registry::Reference;
///
/// let reference: Reference = "python:3.12-slim".parse()?;
/// assert_eq!(reference.repository.path, "library/python");
/// assert_eq!(reference.to_string(), "docker.io/library/python:3.12-slim");
/// assert_eq!(reference.familiar(), "python:3.12-slim");
/// # Ok::<(), distrobuild::registry::ReferenceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Where it is.
    pub repository: Repository,
    /// The tag, when one was given.
    pub tag: Option<String>,
    /// The digest, when one was given; it decides.
    pub digest: Option<Digest>,
}

/// A text that names no image in a registry, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reference:?} is no name in a registry: {problem}")]
pub struct ReferenceError {
    /// The text, without what could be a password in it, and shortened when it is very long.
    pub reference: String,
    /// What is wrong, and what is right.
    pub problem: String,
}

impl ReferenceError {
    /// About `text`, of which nothing is kept that could be a password.
    pub(super) fn new(text: &str, problem: String) -> Self {
        Self {
            reference: harmless(text),
            problem,
        }
    }
}

/// How much of a text is shown in characters.
const SHOWN: usize = 300;

/// `text` without the user and password of a URL, and without a query.
pub(crate) fn harmless(text: &str) -> String {
    let (text, query) = match text.split_once('?') {
        Some((text, _)) => (text, "?…"),
        None => (text, ""),
    };
    // A digest after the last @ is no host, so the @ before it may be one behind a password.
    let (name, digest) = match text.rsplit_once('@') {
        Some((name, digest)) if digest.starts_with("sha256:") || digest.starts_with("sha512:") => {
            (name, format!("@{digest}"))
        }
        _ => (text, String::new()),
    };
    let name = match name.rsplit_once('@') {
        Some((before, after)) if before.contains(':') => {
            let scheme = before.split_once("://").map(|(scheme, _)| scheme);
            let scheme = scheme.map(|scheme| format!("{scheme}://"));
            format!("{}…@{after}", scheme.unwrap_or_default())
        }
        _ => name.to_owned(),
    };
    let whole = format!("{name}{digest}{query}");
    match whole.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", whole.split_at(end).0),
        None => whole,
    }
}

impl Host {
    /// As people write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its API is: that of `docker.io` is at `registry-1.docker.io`.
    pub fn address(&self) -> &str {
        match self.0.as_str() {
            grammar::DOCKER_HUB => "registry-1.docker.io",
            name => name,
        }
    }

    /// Whether it is this machine: `localhost`, `*.localhost`, 127.0.0.0/8 or `[::1]`.
    pub fn is_local(&self) -> bool {
        grammar::is_local(&self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = ReferenceError;

    /// `index.docker.io` and `registry-1.docker.io` become `docker.io`. A name of one word needs a
    /// port, but for `localhost`: without one it could not be told from a repository's first word.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let host = grammar::host(text).map_err(|problem| ReferenceError::new(text, problem))?;
        Ok(Self(host))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    /// A reference without tag and digest.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let reference: Reference = text.parse()?;
        let extra = match (&reference.digest, &reference.tag) {
            (None, None) => return Ok(reference.repository),
            (Some(_), _) => "digest",
            (None, Some(_)) => "tag",
        };
        let right = Reference {
            tag: None,
            digest: None,
            ..reference
        };
        Err(ReferenceError::new(
            text,
            format!(
                "a repository is expected, without a {extra}: {}",
                right.familiar()
            ),
        ))
    }
}

impl Reference {
    /// What the manifest is asked for by: the digest, the tag, or `latest`.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// As docker shows it: without `docker.io/` and `library/`, where it is read as the same
    /// image without them.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let hub = full
            .strip_prefix(grammar::DOCKER_HUB)
            .and_then(|rest| rest.strip_prefix('/'));
        let Some(team) = hub else {
            return full;
        };
        let official = team.strip_prefix(grammar::OFFICIAL);
        // A repository of the hub may look like a host (`docker.io/a.b/c`) or like an ID.
        let reads_back = |name: &&str| name.parse::<Self>().is_ok_and(|read| read == *self);
        let short = [official, Some(team)].into_iter().flatten();
        short
            .into_iter()
            .find(reads_back)
            .unwrap_or(&full)
            .to_owned()
    }
}

impl fmt::Display for Reference {
    /// In full: `docker.io/library/python:3.12-slim`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        grammar::reference(text).map_err(|problem| ReferenceError::new(text, problem))
    }
}

#[cfg(test)]
mod tests;
