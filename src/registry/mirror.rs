//! Registries that hold copies of others.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Host, Mirror, ReferenceError, Repository};

/// How long a mirror is left alone that could not be reached.
const REST: Duration = Duration::from_secs(60);

impl Mirror {
    /// Where it keeps the copy of a repository with this path.
    pub(super) fn repository(&self, path: &str) -> Repository {
        let path = match self.prefix.as_str() {
            "" => path.to_owned(),
            prefix => format!("{prefix}/{path}"),
        };
        Repository {
            host: self.host.clone(),
            path,
        }
    }
}

impl FromStr for Mirror {
    type Err = ReferenceError;

    /// `HOST=MIRROR` or `HOST=MIRROR/PREFIX`.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |problem: &str| {
            let problem = format!(
                "{problem}: a mirror is given as HOST=MIRROR[/PREFIX], like docker.io=mirror.example/hub"
            );
            ReferenceError::new(text, problem)
        };
        let (of, mirror) = text.split_once('=').ok_or_else(|| wrong("there is no ="))?;
        if mirror.contains("://") {
            return Err(wrong(
                "the mirror is given without https://; allow plain HTTP with --insecure",
            ));
        }
        let (host, prefix) = mirror.split_once('/').unwrap_or((mirror, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() && !prefix.split('/').all(is_component) {
            return Err(wrong(
                "the prefix is no path of repositories (lower-case letters, digits, and . _ - between them)",
            ));
        }
        let mirror = Self {
            of: of.parse()?,
            host: host.parse()?,
            prefix: prefix.to_owned(),
        };
        if mirror.of == mirror.host && mirror.prefix.is_empty() {
            return Err(wrong("it is its own mirror"));
        }
        Ok(mirror)
    }
}

fn is_component(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(is_inner)
        && bytes.last().copied().is_some_and(is_inner)
        && bytes
            .iter()
            .all(|&byte| is_inner(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

/// Mirrors that could not be reached: so that not each question waits for them.
#[derive(Debug, Default)]
pub(super) struct Resting(Mutex<HashMap<Host, Instant>>);

impl Resting {
    pub(super) fn has(&self, host: &Host) -> bool {
        let resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting
            .get(host)
            .is_some_and(|since| since.elapsed() < REST)
    }

    pub(super) fn add(&self, host: &Host) {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.insert(host.clone(), Instant::now());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_named_with_what_it_mirrors() {
        let mirror: Mirror = "docker.io=mirror.example:5000/hub/x/".parse().unwrap();
        assert_eq!(mirror.of.as_str(), "docker.io");
        assert_eq!(mirror.host.as_str(), "mirror.example:5000");
        assert_eq!(
            mirror.repository("library/python").to_string(),
            "mirror.example:5000/hub/x/library/python"
        );
        let bare: Mirror = "ghcr.io=mirror.example".parse().unwrap();
        assert_eq!(bare.repository("a").to_string(), "mirror.example/a");
    }

    #[test]
    fn what_names_no_mirror_is_refused_with_what_is_right() {
        for wrong in [
            "",
            "docker.io",
            "docker.io=https://mirror.example",
            "docker.io=mirror.example/Hub",
            "docker.io=mirror.example//x",
            "docker.io=mirror.example/../x",
            "docker.io=docker.io",
        ] {
            let error = wrong.parse::<Mirror>().unwrap_err().to_string();
            assert!(error.contains("HOST=MIRROR"), "{wrong:?}: {error}");
        }
    }
}
