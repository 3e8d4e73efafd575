//! What an archive vouches for: its `InRelease` file, believed only when its signature is good
//! (Debian's repository format, apt-secure(8)).

mod cleartext;
mod date;
pub(super) mod fields;
mod lists;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use pgp::packet::Signature;

use super::keyring::{CLOCK_SKEW, Keyring, SignatureFault};
use crate::image::rfc3339;
use crate::layer::Digest;

/// Whom to believe, and when.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The keys of which one must have signed.
    pub keyring: &'a Keyring,
    /// The time that it is, in seconds since the epoch.
    pub now: u64,
    /// Whether a file whose `Valid-Until` is past is believed. Keys that expired never are.
    pub allow_expired: bool,
}

/// An index file that the archive vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFile {
    /// Its bytes.
    pub size: u64,
    /// Their digest.
    pub sha256: Digest,
}

/// A verified `InRelease` file. A field that is not there is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Who made it: `Debian`.
    pub origin: String,
    /// `Debian`, `Debian-Security`.
    pub label: String,
    /// What it is at present: `stable`, `oldstable-updates`. Ubuntu's: `noble`, `noble-updates`.
    pub suite: String,
    /// What it always is: `bookworm`, `bookworm-updates`. Ubuntu's: `noble`, even for its updates.
    pub codename: String,
    /// `12.15`.
    pub version: Option<String>,
    /// When it was made, in seconds since the epoch.
    pub date: u64,
    /// Until when it may be used, in seconds since the epoch.
    pub valid_until: Option<u64>,
    /// Those that it has packages for, by Debian's names; may hold `all`.
    pub architectures: Vec<String>,
    /// `main`, `contrib`... In Debian's security archive: `updates/main`..., though the paths of
    /// its files begin with `main`.
    pub components: Vec<String>,
    /// Whether its files are also at `by-hash/SHA256/` beside them, which is safe while it changes.
    pub by_hash: bool,
    /// The index files by their paths below `dists/SUITE/`.
    pub files: BTreeMap<String, IndexFile>,
    /// The fingerprint of the key (not of its subkey) that made the first good signature.
    pub signed_by: String,
}

/// Why an `InRelease` file is not believed. Nothing of it is used.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It is no signed text, or more than that.
    #[error(
        "{url} is not the one signed text that an archive has there: {reason}; nothing of it is \
         used. A mirror that is out of order, or a proxy that answers in its place, may be why: \
         look at it, or take another mirror"
    )]
    Unsigned {
        /// Where it is from.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No signature is good, or one is false.
    #[error(
        "{url} is not signed as it must be to be believed (keyring {}):{}\nNothing of it is used. \
         When the archive has a new key, give a keyring that has it: --keyring FILE",
        .keyring.display(), told(.signatures)
    )]
    Untrusted {
        /// Where it is from.
        url: String,
        /// The keyring.
        keyring: PathBuf,
        /// Each signature that is not good: its key, as it names it, and what is wrong.
        signatures: Vec<(String, SignatureFault)>,
    },
    /// It is signed, but not as a `Release` file is.
    #[error(
        "{url} is signed, but is no release file: line {line}: {reason}; tell the archive's owner"
    )]
    Malformed {
        /// Where it is from.
        url: String,
        /// The line of its text, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Its `Valid-Until` is past.
    #[error(
        "{url} was valid until {}, and it is {} now: the mirror is no longer kept up to date, or \
         somebody shows old packages. Take another mirror, check this machine's clock, or use it \
         nevertheless: --allow-expired", rfc3339(*.valid_until), rfc3339(*.now)
    )]
    Expired {
        /// Where it is from.
        url: String,
        /// Until when it was valid, in seconds since the epoch.
        valid_until: u64,
        /// The time that it is.
        now: u64,
    },
    /// It was made later than tomorrow.
    #[error(
        "{url} claims to be of {}, but it is {} now: set this machine's clock",
        rfc3339(*.date), rfc3339(*.now)
    )]
    Future {
        /// Where it is from.
        url: String,
        /// When it was made, in seconds since the epoch.
        date: u64,
        /// The time that it is.
        now: u64,
    },
}

fn told(signatures: &[(String, SignatureFault)]) -> String {
    let line = |(key, fault): &(String, SignatureFault)| format!("\n  by {key}: {fault}");
    signatures.iter().map(line).collect()
}

impl Release {
    /// What `in_release`, from `url`, says, if it is to be believed.
    ///
    /// One good signature suffices, and keys that are unknown, expired or revoked do no harm
    /// beside it; but as for apt, a signature of a known key that does not fit the text does.
    /// Whether it is the suite that was asked for is for the caller to see: [`Self::is`].
    pub fn verify(in_release: &[u8], url: &str, trust: &Trust<'_>) -> Result<Self, ReleaseError> {
        let signed = cleartext::read(in_release).map_err(|reason| ReleaseError::Unsigned {
            url: url.to_owned(),
            reason,
        })?;
        let signed_by = signer(&signed, trust).map_err(|signatures| ReleaseError::Untrusted {
            url: url.to_owned(),
            keyring: trust.keyring.what().to_owned(),
            signatures,
        })?;
        let release = lists::parse(&signed.text, signed_by);
        let release = release.map_err(|(line, reason)| ReleaseError::Malformed {
            url: url.to_owned(),
            line,
            reason,
        })?;
        release.check_times(url, trust)?;
        Ok(release)
    }

    /// Whether it is that of `suite`, by its suite's name or its code name. One key signs many
    /// suites, so a mirror could hand out one of them for another. `noble` is not the name of
    /// `noble-updates`, though that has it as its code name.
    pub fn is(&self, suite: &str) -> bool {
        let is_part = self
            .suite
            .strip_prefix(&self.codename)
            .is_some_and(|rest| rest.starts_with('-'));
        !suite.is_empty() && (self.suite == suite || (self.codename == suite && !is_part))
    }

    fn check_times(&self, url: &str, trust: &Trust<'_>) -> Result<(), ReleaseError> {
        let (url, now) = (url.to_owned(), trust.now);
        if self.date > now.saturating_add(CLOCK_SKEW) {
            let date = self.date;
            return Err(ReleaseError::Future { url, date, now });
        }
        match self.valid_until {
            Some(valid_until) if valid_until < now && !trust.allow_expired => {
                Err(ReleaseError::Expired {
                    url,
                    valid_until,
                    now,
                })
            }
            _ => Ok(()),
        }
    }
}

/// The key of the first good signature; else what is wrong with each.
fn signer(
    signed: &cleartext::SignedText,
    trust: &Trust<'_>,
) -> Result<String, Vec<(String, SignatureFault)>> {
    let mut good = None;
    let mut faults = Vec::new();
    for signature in &signed.signatures {
        let (key, checked) = match signature {
            Ok(signature) => (
                issuer(signature),
                trust.keyring.check(signature, &signed.text, trust.now),
            ),
            Err(reason) => {
                let reason = format!("it cannot be read: {reason}");
                (
                    "a key unknown".to_owned(),
                    Err(SignatureFault::Unsupported(reason)),
                )
            }
        };
        match checked {
            Ok(fingerprint) => good = good.or(Some(fingerprint)),
            Err(fault) => faults.push((key, fault)),
        }
    }
    let is_false = |(_, fault): &(_, SignatureFault)| *fault == SignatureFault::Mismatch;
    match good {
        Some(_) if faults.iter().any(is_false) => {
            faults.retain(is_false);
            Err(faults)
        }
        Some(good) => Ok(good),
        None => Err(faults),
    }
}

/// The key that `signature` claims to be by.
fn issuer(signature: &Signature) -> String {
    let fingerprints = signature.issuer_fingerprint();
    let numbers = signature.issuer_key_id();
    match (&fingerprints[..], &numbers[..]) {
        ([fingerprint, ..], _) => format!("{fingerprint:X}"),
        ([], [number, ..]) => number.to_string().to_uppercase(),
        ([], []) => "a key that it does not name".to_owned(),
    }
}
