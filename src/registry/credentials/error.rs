//! Why credentials could not be found, kept or forgotten.

use std::io;
use std::path::PathBuf;

/// Why credentials could not be found, kept or forgotten. Nothing of what a file or a helper said
/// is in it, as that may be a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A config cannot be read.
    #[error("the logins in {} cannot be read: {source}", path.display())]
    Read {
        /// The config.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What should be a config is a directory, a pipe or the like.
    #[error("{} should hold logins, but is no regular file: put a config of docker or podman there, or take it away", .0.display())]
    NotAFile(PathBuf),
    /// A config is larger than any that people have.
    #[error("{} should hold logins, but has more than {limit} bytes: it is no config of docker or podman", path.display())]
    TooLarge {
        /// The config.
        path: PathBuf,
        /// The largest size in bytes.
        limit: u64,
    },
    /// A config is not JSON.
    #[error("{} should hold logins, but is no JSON (line {line}, column {column}): mend it, or take it away and log in again", path.display())]
    Json {
        /// The config.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A member of a config is not what it should be.
    #[error("the logins in {} cannot be used: {member} {problem}", path.display())]
    Member {
        /// The config.
        path: PathBuf,
        /// The member, as `auths`.
        member: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The name of a helper is no plain word.
    #[error("{} names the credential helper {name:?}, but a word such as pass or osxkeychain is expected, to which docker-credential- is put in front", path.display())]
    HelperName {
        /// The config that names it.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A helper that a config names is not there.
    #[error("the credential helper {program}, which {} names, is not on PATH: install it, or take its name out of that file (`credsStore` or `credHelpers`)", path.display())]
    HelperMissing {
        /// The helper, as `docker-credential-pass`.
        program: String,
        /// The config that names it.
        path: PathBuf,
    },
    /// A helper failed.
    #[error(
        "the credential helper {program} {problem} when it was asked to {action} the login for {server}; to see what it says: echo {server} | {program} get"
    )]
    Helper {
        /// The helper, as `docker-credential-pass`.
        program: String,
        /// What it was asked for: `get`, `store`, `erase`.
        action: &'static str,
        /// The registry that it was asked about, in its spelling.
        server: String,
        /// What happened.
        problem: String,
    },
    /// A user name that no registry can be told.
    #[error("a user name may not {0}: give the name alone, and the password apart")]
    Username(&'static str),
    /// There is no place for a login.
    #[error(
        "there is no place to keep a login: set HOME, DOCKER_CONFIG (a directory) or REGISTRY_AUTH_FILE (a file)"
    )]
    NoPlace,
    /// A config cannot be written.
    #[error("the login cannot be kept in {}, or taken out of it: {source}", path.display())]
    Write {
        /// The config.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
