//! By which keys configs and helpers know a registry.
//!
//! Docker's configs have a host (`ghcr.io`), or what is left of older versions
//! (`https://ghcr.io/v1/`); docker.io is `https://index.docker.io/v1/`. Those of podman may also
//! have a part of a repository (`ghcr.io/me`), see containers-auth.json(5).

use super::super::{Host, Repository};

const DOCKER_HUB: &str = "docker.io";

/// How docker and its helpers know docker.io.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What is looked for: the repository, the parts of its name that it begins with, the registry.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    scopes: Vec<String>,
}

impl Wanted {
    /// The most fitting first: `ghcr.io/me/app`, `ghcr.io/me`, `ghcr.io`.
    pub(super) fn repository(repository: &Repository) -> Self {
        let whole = repository.to_string();
        let ends = whole.rmatch_indices('/').map(|(end, _)| end);
        let scopes = std::iter::once(whole.len()).chain(ends);
        Self {
            scopes: scopes.map(|end| whole.split_at(end).0.to_owned()).collect(),
        }
    }

    /// The registry alone.
    pub(super) fn host(host: &Host) -> Self {
        Self {
            scopes: vec![host.as_str().to_owned()],
        }
    }

    /// The keys that fit, the most fitting first: the longest, then one in today's spelling, then
    /// the last in the file.
    pub(super) fn sorted<'a, T>(
        &self,
        members: impl Iterator<Item = (&'a str, T)>,
    ) -> Vec<(&'a str, T)> {
        let mut found: Vec<_> = members
            .enumerate()
            .filter_map(|(at, (key, value))| {
                let plain = normalized(key);
                let rank = self.scopes.iter().position(|scope| *scope == plain)?;
                Some(((rank, key != spelled(&plain), usize::MAX - at), key, value))
            })
            .collect();
        found.sort_by_key(|it| it.0);
        found.into_iter().map(|it| (it.1, it.2)).collect()
    }

    pub(super) fn fits(&self, key: &str) -> bool {
        self.scopes.contains(&normalized(key))
    }

    /// The registry, as configs and helpers know it.
    pub(super) fn registry(&self) -> &str {
        self.scopes.last().map_or("", |host| spelled(host))
    }
}

/// Today's spelling of a normalized key.
pub(super) fn spelled(key: &str) -> &str {
    if key == DOCKER_HUB {
        DOCKER_HUB_KEY
    } else {
        key
    }
}

/// A key in one spelling: `HOST` or `HOST/PATH`. A path counts only in a key without a scheme, as
/// podman has it, and not when it is the version of an API.
pub(super) fn normalized(key: &str) -> String {
    let stripped = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    let rest = stripped.unwrap_or(key);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let host = match &*host.to_ascii_lowercase() {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        host => host.to_owned(),
    };
    if stripped.is_some() || matches!(path, "" | "v1" | "v2") {
        host
    } else {
        format!("{host}/{path}")
    }
}
