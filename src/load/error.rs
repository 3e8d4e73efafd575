//! Why an image was not loaded.

use std::io;
use std::path::PathBuf;

use crate::transfer::TransferError;

/// What always helps: another program loads an archive.
const ARCHIVE: &str = "write a docker archive (`distrobuild copy IMAGE docker-archive:image.tar`, or build with --format docker-archive) and load that where the engine is";

/// Why an image was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// None of the engines that are known is here.
    #[error("no container engine is here: {}; install or start one of them, or {ARCHIVE}", looked.join("; "))]
    NoEngine {
        /// What was looked for, and why it will not do.
        looked: Vec<String>,
    },
    /// The engine that was asked for is not here.
    #[error("{engine} is not here: {}; or {ARCHIVE}", looked.join("; "))]
    NotHere {
        /// The engine.
        engine: &'static str,
        /// What was looked for, why it will not do, and what to do about it.
        looked: Vec<String>,
    },
    /// `DOCKER_HOST` names something else than a unix socket.
    #[error(
        "DOCKER_HOST names a {scheme} address, and only unix:// sockets are spoken with: {ARCHIVE} with `docker load -i image.tar`, or choose another engine with --into"
    )]
    DockerHost {
        /// The scheme alone; the rest may hold a password.
        scheme: String,
    },
    /// The engine answered, and did not take the image.
    #[error("{engine} does not take the image: {said}")]
    Refused {
        /// The engine.
        engine: String,
        /// What it said.
        said: String,
    },
    /// The conversation with the engine broke off.
    #[error(
        "{engine} broke off while the image was loaded ({why}): see whether it still runs and has room for the image, then load again"
    )]
    Interrupted {
        /// The engine.
        engine: String,
        /// What the system said.
        why: String,
    },
    /// The engine says that all is well, and has no such image.
    #[error("{engine} took the image, but has none called {name}: its log may tell why")]
    NotThere {
        /// The engine.
        engine: String,
        /// The name.
        name: String,
    },
    /// The answer is none of an engine.
    #[error("what answers at {engine} is no container engine: {what}")]
    BadAnswer {
        /// What was asked.
        engine: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// A program cannot be started.
    #[error("{} cannot be run: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program failed.
    #[error("{command} failed ({how}): {said}")]
    Failed {
        /// The command.
        command: String,
        /// Its exit code or signal.
        how: String,
        /// What it printed, and what may help.
        said: String,
    },
    /// The archive that was just written cannot be read.
    #[error("the archive of the image cannot be read: {0}")]
    Archive(#[source] io::Error),
    /// The archive cannot be written.
    #[error(
        "the archive of the image cannot be written to {}: {source}; let TMPDIR name a directory with room for the whole image, uncompressed",
        directory.display()
    )]
    Temporary {
        /// The temporary directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The image cannot be read.
    #[error(transparent)]
    Transfer(Box<TransferError>),
}

/// The longest text of an engine that is shown, in bytes.
const LONGEST: usize = 2 << 10;

/// What an engine said, in a length for people and without control characters.
pub(super) fn shown(said: &str) -> String {
    let mut text = String::new();
    for character in said.trim().chars() {
        if text.len() >= LONGEST {
            text.push('…');
            break;
        }
        match character {
            '\n' => text.push('\n'),
            character if character.is_control() => text.push(' '),
            character => text.push(character),
        }
    }
    if text.is_empty() {
        text.push_str("it does not say why");
    }
    text
}
