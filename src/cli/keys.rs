//! `distrobuild keygen`, `import-key-pair` and `public-key`; keys and their passwords, for every
//! command that signs or verifies.

mod given;
mod pair;
mod password;

use std::ffi::OsStr;
use std::process::ExitCode;

use self::given::Given;
use self::pair::Pair;
use super::args::{ImportKeyPairArguments, KeygenArguments, PublicKeyArguments};
use super::terminal::Terminal;
use crate::sign::key::{KeyError, PrivateKey, PublicKey};

/// Makes a key pair.
pub(super) fn generate(
    arguments: &KeygenArguments,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let pair = Pair::free(&arguments.output_key_prefix)?;
    let password = password::of_new(&pair.private_name(), terminal)?;
    let key = PrivateKey::generate(arguments.algorithm)?;
    pair.write(&key.seal(&password)?, &key.public().to_pem())?;
    pair.tell(&key, terminal)?;
    Ok(ExitCode::SUCCESS)
}

/// Encrypts a key of another tool.
pub(super) fn import(
    arguments: &ImportKeyPairArguments,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let pair = Pair::free(&arguments.output_key_prefix)?;
    let given = Given::read(arguments.key.as_os_str())?;
    let key = PrivateKey::import(&given.pem, &given.name, &mut || {
        password::of_foreign(&given.name, terminal)
            .map_err(|error| KeyError::NoPassword(error.into()))
    })?;
    given.warn_when_open(terminal);
    let password = password::of_new(&pair.private_name(), terminal)?;
    pair.write(&key.seal(&password)?, &key.public().to_pem())?;
    pair.tell(&key, terminal)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the public half of a key.
pub(super) fn public(
    arguments: &PublicKeyArguments,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let key = private(&arguments.key, terminal)?;
    terminal.document(key.public().to_pem())?;
    Ok(ExitCode::SUCCESS)
}

/// The private key that `given` names: a file, or `env://VARIABLE`. Its password comes from
/// `COSIGN_PASSWORD` or the terminal.
pub(super) fn private(given: &str, terminal: &Terminal) -> anyhow::Result<PrivateKey> {
    let given = Given::read(OsStr::new(given))?;
    // What is no such key at all is said before anyone types a password.
    let password = match PrivateKey::is_sealed(&given.pem) {
        true => password::of_key(&given.name, terminal)?,
        false => password::none(),
    };
    let key = PrivateKey::open(&given.pem, &given.name, &password)?;
    given.warn_when_open(terminal);
    Ok(key)
}

/// The public key that `given` names: a file, or `env://VARIABLE`.
pub(super) fn of_verifier(given: &str) -> anyhow::Result<PublicKey> {
    let given = Given::read(OsStr::new(given))?;
    Ok(PublicKey::read(&given.pem, &given.name)?)
}
