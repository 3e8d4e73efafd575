//! Whom to believe: the public keys of an archive.

mod armor;
#[cfg(test)]
pub(super) mod authority;
mod certificate;
mod fault;
mod packets;
mod soundness;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pgp::packet::{Packet, Signature};
use pgp::types::Tag;

pub(super) use armor::decode;
use certificate::Certificate;
pub use fault::SignatureFault;
pub(super) use packets::packets;
pub(super) use soundness::CLOCK_SKEW;

/// The embedded keyrings; `bases/keyrings/README.md` says where they are from.
const EMBEDDED: &[(&str, &str)] = &[
    ("debian", include_str!("../../bases/keyrings/debian.asc")),
    ("ubuntu", include_str!("../../bases/keyrings/ubuntu.asc")),
];

/// The most bytes of a keyring; an archive's have some 50 kB.
const SIZE_LIMIT: u64 = 16 << 20;

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
const BEGIN_PRIVATE: &str = "-----BEGIN PGP PRIVATE KEY BLOCK-----";

/// The public keys whose signatures are believed.
#[derive(Debug, Clone)]
pub struct Keyring {
    what: PathBuf,
    certificates: Vec<Certificate>,
}

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// No embedded keyring has this name.
    #[error("there is no built-in keyring {0:?}, only debian and ubuntu; give a file by --keyring")]
    Unknown(String),
    /// It cannot be read.
    #[error("the keyring {} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than any keyring of an archive.
    #[error(
        "the keyring {} is larger than {} MiB; give one with the archive's keys alone \
         (gpg --export FINGERPRINT)",
        .path.display(), SIZE_LIMIT >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is GnuPG's own database.
    #[error(
        "the keyring {} is a keybox of GnuPG; take the keys out of it: gpg --no-default-keyring \
         --keyring {} --export > archive.gpg", .path.display(), .path.display()
    )]
    Keybox {
        /// The file.
        path: PathBuf,
    },
    /// It has a private key.
    #[error(
        "the keyring {} holds a private key, which is not needed to check signatures; give the \
         public one (gpg --export FINGERPRINT)", .path.display()
    )]
    Private {
        /// The file.
        path: PathBuf,
    },
    /// It has no key.
    #[error(
        "the keyring {} holds no OpenPGP public key; a file as gpg --export writes it, armored \
         or not, is expected", .path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A part of it cannot be read.
    #[error("the keyring {} is damaged: {reason}; export it again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Keyring {
    /// An embedded keyring: `debian` or `ubuntu`.
    pub fn built_in(name: &str) -> Result<Self, KeyringError> {
        let (_, text) = EMBEDDED
            .iter()
            .find(|(it, _)| *it == name)
            .ok_or_else(|| KeyringError::Unknown(name.to_owned()))?;
        Self::parse(text.as_bytes(), Path::new(name))
    }

    /// The keyring in a file: OpenPGP packets (`.gpg`, `.pgp`) or ASCII armor (`.asc`).
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let error = |source| KeyringError::Read {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(error)?;
        file.take(SIZE_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(error)?;
        Self::parse(&bytes, path)
    }

    /// The keyring in `bytes`; errors call it `what`. A key of a kind that is obsolete or unknown
    /// is left out; when all are, that is an error.
    pub fn parse(bytes: &[u8], what: &Path) -> Result<Self, KeyringError> {
        let path = || what.to_owned();
        if bytes.len() as u64 > SIZE_LIMIT {
            return Err(KeyringError::TooLarge { path: path() });
        }
        // The first block of a keybox (GnuPG, kbx/keybox-blob.c) has its magic behind its
        // length, kind, version and flags.
        if bytes.get(8..12) == Some(b"KBXf") {
            return Err(KeyringError::Keybox { path: path() });
        }
        let mut keyring = Self {
            what: path(),
            certificates: Vec::new(),
        };
        let mut left_out = Vec::new();
        // The first byte of a packet has its high bit set, that of an armored text has not.
        if bytes.first().is_some_and(|byte| !byte.is_ascii()) {
            keyring.add(bytes, &mut left_out)?;
        } else {
            let text = String::from_utf8_lossy(bytes);
            if text.contains(BEGIN_PRIVATE) {
                return Err(KeyringError::Private { path: path() });
            }
            for block in blocks(&text) {
                let bytes = block.and_then(decode);
                let bytes = bytes.map_err(|flaw| keyring.damaged(flaw))?;
                keyring.add(&bytes, &mut left_out)?;
            }
        }
        match (keyring.certificates.is_empty(), left_out.first()) {
            (false, _) => Ok(keyring),
            (true, Some(reason)) => Err(keyring.damaged(reason)),
            (true, None) => Err(KeyringError::NoKey { path: path() }),
        }
    }

    /// The fingerprints of the keys, without those of subkeys, in upper-case hexadecimal digits.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates
            .iter()
            .map(Certificate::fingerprint)
            .collect()
    }

    /// Its name or file.
    pub(super) fn what(&self) -> &Path {
        &self.what
    }

    /// The fingerprint of the key (never of its subkey) that made `signature` over `text`.
    pub(super) fn check(
        &self,
        signature: &Signature,
        text: &str,
        now: u64,
    ) -> Result<String, SignatureFault> {
        let mut fault = SignatureFault::UnknownKey;
        for certificate in &self.certificates {
            match certificate.check(signature, text, now) {
                Some(Ok(())) => return Ok(certificate.fingerprint()),
                Some(Err(found)) => fault = found,
                None => {}
            }
        }
        Err(fault)
    }

    /// Adds the certificates of `bytes`, and to `left_out` why others are not added.
    fn add(&mut self, bytes: &[u8], left_out: &mut Vec<String>) -> Result<(), KeyringError> {
        let mut group = None::<Result<Vec<Packet>, String>>;
        for framed in packets(bytes) {
            let framed = framed.map_err(|flaw| self.damaged(flaw))?;
            match framed.tag() {
                Tag::SecretKey | Tag::SecretSubkey => {
                    let path = self.what.clone();
                    return Err(KeyringError::Private { path });
                }
                // GnuPG's notes to itself, and fillers.
                Tag::Trust | Tag::Marker | Tag::Padding => continue,
                Tag::PublicKey => {
                    self.finish(group.take(), left_out);
                    group = Some(
                        framed
                            .read()
                            .map(|it| vec![it])
                            .map_err(|it| it.to_string()),
                    );
                }
                _ => {
                    let Some(group) = &mut group else {
                        return Err(self.damaged("it does not begin with a key"));
                    };
                    if let Ok(packets) = group {
                        match framed.read() {
                            Ok(packet) => packets.push(packet),
                            // It may be a revocation, so the key cannot be believed without it.
                            Err(error) => *group = Err(error.to_string()),
                        }
                    }
                }
            }
        }
        self.finish(group, left_out);
        Ok(())
    }

    fn finish(&mut self, group: Option<Result<Vec<Packet>, String>>, left_out: &mut Vec<String>) {
        match group.map(|packets| packets.and_then(Certificate::new)) {
            Some(Ok(certificate)) => self.certificates.push(certificate),
            Some(Err(reason)) => left_out.push(reason),
            None => {}
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> KeyringError {
        KeyringError::Damaged {
            path: self.what.clone(),
            reason: reason.into(),
        }
    }
}

/// The armored blocks in `text`; what stands between them is for people.
fn blocks(text: &str) -> impl Iterator<Item = Result<&str, &'static str>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, block) = rest.split_at_checked(rest.find(BEGIN)?)?;
        let found = block
            .find(END)
            .and_then(|end| block.split_at_checked(end + END.len()));
        rest = found.map_or("", |(_, rest)| rest);
        Some(
            found
                .map(|(block, _)| block)
                .ok_or("it ends in the middle of a key"),
        )
    })
}
