//! Keys as `--key` names them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use zeroize::Zeroizing;

use crate::cli::terminal::Terminal;
use crate::sign::key::LARGEST;

/// What stands before the name of a variable.
const VARIABLE: &str = "env://";

/// The bits of a mode that let anyone read or write.
const ANYONE: u32 = 0o006;

/// A key that was read, whatever it is.
pub(super) struct Given {
    /// What messages call it.
    pub(super) name: String,
    pub(super) pem: Zeroizing<Vec<u8>>,
    is_open: bool,
}

impl Given {
    /// Reads what `--key` names.
    pub(super) fn read(given: &OsStr) -> anyhow::Result<Self> {
        // Not to be repeated in an error.
        if given.to_string_lossy().contains("-----BEGIN") {
            anyhow::bail!(
                "--key has a key's text, and wants the name of a file, or {VARIABLE}NAME for what a variable holds: an argument is seen by everyone on this machine, so make a new key if that was a private one"
            );
        }
        match given.to_str().and_then(|text| text.split_once("://")) {
            Some(("env", variable)) => Self::of_variable(variable),
            Some((scheme, _)) if is_scheme(scheme) => anyhow::bail!(
                "{}: keys of {scheme}:// are not supported; --key takes a file, or {VARIABLE}NAME for what a variable holds",
                given.display()
            ),
            _ if given.as_encoded_bytes().starts_with(b"pkcs11:") => anyhow::bail!(
                "keys of pkcs11: are not supported; --key takes a file, or {VARIABLE}NAME for what a variable holds"
            ),
            _ => Self::of_file(Path::new(given)),
        }
    }

    fn of_variable(variable: &str) -> anyhow::Result<Self> {
        let name = format!("{VARIABLE}{variable}");
        // `var_os` panics at what no variable can be called.
        let is_name = !variable.is_empty() && !variable.contains(['=', '\0']);
        let value = is_name.then(|| std::env::var_os(variable)).flatten();
        let value = value.with_context(|| {
            format!("{name}: there is no variable {variable:?}: put the key's text into it")
        })?;
        Ok(Self {
            name,
            pem: Zeroizing::new(value.into_vec()),
            is_open: false,
        })
    }

    fn of_file(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let read = || {
            let file = File::open(path)?;
            let is_open = file
                .metadata()
                .is_ok_and(|it| it.is_file() && it.mode() & ANYONE != 0);
            // As large as it gets: growing would leave copies of a key behind.
            let mut pem = Zeroizing::new(Vec::with_capacity(LARGEST + 64));
            let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX) + 1;
            file.take(limit).read_to_end(&mut pem)?;
            Ok::<_, std::io::Error>((is_open, pem))
        };
        let (is_open, pem) = read().with_context(|| {
            format!("cannot read the key {name} (`distrobuild keygen` makes a pair of keys)")
        })?;
        Ok(Self { name, pem, is_open })
    }

    /// Warns of a file with a private key that anyone may read.
    pub(super) fn warn_when_open(&self, terminal: &Terminal) {
        if self.is_open {
            let name = &self.name;
            terminal.warn(&format!(
                "everyone on this machine may read or replace the private key {name}: `chmod 600 {name}` keeps it to you"
            ));
        }
    }
}

/// Whether that is how a URI begins (RFC 3986 3.1), and no path.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(given: &str) -> String {
        match Given::read(OsStr::new(given)) {
            Ok(_) => panic!("{given} was read"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_key_in_place_of_a_name_is_not_repeated() {
        let said = refusal("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n");
        assert!(said.contains("--key has a key's text"), "{said}");
        assert!(!said.contains("MC4C"), "{said}");
    }

    #[test]
    fn keys_of_services_are_refused_by_name() {
        for scheme in [
            "awskms",
            "gcpkms",
            "azurekms",
            "hashivault",
            "k8s",
            "gitlab",
            "https",
        ] {
            let error = refusal(&format!("{scheme}://x/y"));
            assert!(error.contains(&format!("keys of {scheme}://")), "{error}");
            assert!(error.contains("a file, or env://NAME"), "{error}");
        }
        assert!(refusal("pkcs11:token=x").contains("pkcs11:"));
    }

    #[test]
    fn a_variable_that_is_not_there_is_said_so() {
        for name in ["DISTROBUILD_NO_SUCH_KEY", "", "A=B", "A\0"] {
            let error = refusal(&format!("env://{name}"));
            assert!(error.contains("there is no variable"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = refusal("/no/such/cosign.key");
        assert!(error.contains("/no/such/cosign.key"), "{error}");
        assert!(error.contains("distrobuild keygen"), "{error}");
    }

    #[test]
    fn no_more_is_read_than_a_key_file_has() {
        let given = Given::read(OsStr::new("/dev/zero")).unwrap();
        assert_eq!(given.pem.len(), LARGEST + 1);
        assert!(!given.is_open);
    }
}
