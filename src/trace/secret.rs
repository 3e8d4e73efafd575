//! Files that hold what must not get into an image.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

/// How much of a file is looked at for a key, in bytes.
const HEAD: u64 = 64 * 1024;

/// Directories of a user's keys and tokens.
const DIRECTORIES: &[&str] = &[
    ".ssh",
    ".aws",
    ".kube",
    ".gnupg",
    ".azure",
    ".password-store",
];

/// Files of a user's passwords and tokens.
const FILES: &[&str] = &[
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".pgpass",
    ".my.cnf",
    ".vault-token",
    ".dockercfg",
    ".env",
];

/// Those that are known by the end of their path.
const ENDS: &[&str] = &[
    ".docker/config.json",
    ".config/containers/auth.json",
    ".config/gh/hosts.yml",
    ".cargo/credentials.toml",
    ".cargo/credentials",
];

/// Those that are known by the beginning of it.
const BEGINNINGS: &[&str] = &[
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/ssl/private",
    "/var/run/secrets",
    "/run/secrets",
];

/// Why the file at `path`, an absolute one, is a secret.
pub(super) fn reason(path: &Path) -> Option<&'static str> {
    let is_named = path.components().any(|component| match component {
        Component::Normal(name) => DIRECTORIES.iter().any(|known| name == *known),
        _ => false,
    }) || path.file_name().is_some_and(|name| {
        FILES.iter().any(|known| name == *known)
            || name.to_str().is_some_and(|name| name.starts_with(".env."))
    }) || ENDS.iter().any(|end| path.ends_with(end))
        || BEGINNINGS.iter().any(|start| path.starts_with(start));
    if is_named {
        return Some("it holds passwords, tokens or keys of this machine");
    }
    holds_private_key(path).then_some("it holds a private key")
}

fn holds_private_key(path: &Path) -> bool {
    let may_be_key = path.extension().is_some_and(|extension| {
        ["pem", "key", "crt", "p8"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    });
    if !may_be_key {
        return false;
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let needle = b"PRIVATE KEY";
    read.is_ok() && head.windows(needle.len()).any(|part| part == needle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for path in [
            "/home/u/.ssh/id_ed25519",
            "/root/.aws/credentials",
            "/home/u/.docker/config.json",
            "/home/u/.netrc",
            "/srv/app/.env",
            "/srv/app/.env.production",
            "/etc/shadow",
            "/run/secrets/token",
        ] {
            assert!(reason(Path::new(path)).is_some(), "{path}");
        }
        for path in [
            "/etc/app.conf",
            "/srv/docker/config.json",
            "/srv/environment",
        ] {
            assert_eq!(reason(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn a_key_is_known_by_what_it_says_and_a_certificate_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("server.pem");
        std::fs::write(&key, "-----BEGIN EC PRIVATE KEY-----\n").unwrap();
        let certificate = directory.path().join("ca.pem");
        std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(reason(&key), Some("it holds a private key"));
        assert_eq!(reason(&certificate), None);
    }
}
