//! Why a registry did not do what it was asked for.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;

/// Why a registry did not do what it was asked for.
///
/// What a server said is shown as [`said`](Self::Refused::said): short and harmless, empty when it
/// said nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A name is none.
    #[error(transparent)]
    Reference(#[from] super::ReferenceError),
    /// Credentials cannot be had.
    #[error(transparent)]
    Credentials(#[from] super::credentials::CredentialError),
    /// The registry does not have it.
    #[error("{what} is not there{}; {hint}", quoted(.said))]
    NotFound {
        /// What was asked for, with its registry.
        what: String,
        /// What the registry said.
        said: String,
        /// What to do next.
        hint: &'static str,
    },
    /// The registry wants to know who we are, and was not content with what it was told.
    #[error("{}", unauthorized(.host, .action, .sent.as_deref(), .places, .said))]
    Unauthorized {
        /// The registry.
        host: String,
        /// What was to be done, as `pull from ghcr.io/me/app`.
        action: String,
        /// Who we said we are; `None` when no credentials were found.
        sent: Option<String>,
        /// Where credentials were looked for.
        places: Vec<String>,
        /// What the registry or its token server said.
        said: String,
    },
    /// The registry knows who we are, and does not allow it (403, or a token without the right).
    #[error("{what}: the registry does not allow {}{}; ask its owner for the right, or log in as somebody who has it, with distrobuild login", .sent.as_deref().map_or_else(|| "it".to_owned(), |sent| format!("it to {sent}")), quoted(.said))]
    Denied {
        /// What was to be done, as `push to ghcr.io/me/app`.
        what: String,
        /// Who we said we are; `None` when we did not, or when that is not known.
        sent: Option<String>,
        /// What the registry said.
        said: String,
    },
    /// The server's certificate is not believed, or no encryption was agreed on.
    #[error(
        "cannot trust {host}: TLS: {why}; if the registry has a certificate of its own authority, name that with --ca-file FILE"
    )]
    Tls {
        /// The server.
        host: String,
        /// Why not.
        why: String,
    },
    /// The server does not encrypt.
    #[error(
        "{host} speaks no TLS ({why}); if that is meant to be so, allow plain HTTP for it with --insecure {host}: whoever is on the way can then read and change what is sent"
    )]
    NoTls {
        /// The server.
        host: String,
        /// How that was seen.
        why: String,
    },
    /// No connection was made.
    #[error("no connection to {host}: {why}; check its name and the network")]
    Connect {
        /// The server.
        host: String,
        /// Why not.
        why: String,
    },
    /// The proxy does not do what it should.
    #[error(
        "cannot reach {host}: the proxy: {why}; check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
    )]
    Proxy {
        /// The server behind it.
        host: String,
        /// Why not.
        why: String,
    },
    /// No byte moved for too long.
    #[error(
        "{what}: no byte moved for {after:?}: the registry or the network stands still; try again later"
    )]
    Stalled {
        /// The server, or what was asked of it.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke.
    #[error("{what}: the connection broke: {why}; try again")]
    Interrupted {
        /// The server, or what was asked of it.
        what: String,
        /// What was said about it.
        why: String,
    },
    /// The server wants to be asked less often (429).
    #[error("{host} was asked too often (429){}{}; wait, or log in: that often raises the limit", come_back(*.after), quoted(.said))]
    TooManyRequests {
        /// The server.
        host: String,
        /// When it wants to be asked again.
        after: Option<Duration>,
        /// What it said.
        said: String,
    },
    /// The server has trouble of its own (5xx).
    #[error("{what}: the registry answers {}{}: it has trouble of its own; try again later", told(*.status), quoted(.said))]
    Server {
        /// What was to be done, or what was asked for.
        what: String,
        /// The status (RFC 9110, section 15.6).
        status: u16,
        /// What it said.
        said: String,
    },
    /// The server answers with another status than it should.
    #[error("{what}: the registry refuses it with {}{}", told(*.status), quoted(.said))]
    Refused {
        /// What was to be done, or what was asked for.
        what: String,
        /// The status (RFC 9110, section 15).
        status: u16,
        /// What it said.
        said: String,
    },
    /// A redirect, or another address that the registry gave, was not followed.
    #[error("{host} {why}; that is the registry's fault, tell who runs it")]
    Redirect {
        /// Who redirects.
        host: String,
        /// Where to, and why that is not followed.
        why: String,
    },
    /// There is no registry.
    #[error("{host} is no registry: {found}; check the name")]
    NotARegistry {
        /// The host.
        host: String,
        /// What it answers.
        found: String,
    },
    /// An answer is not what the specification says.
    #[error("{what}: {problem}; that is the registry's fault, tell who runs it")]
    BadAnswer {
        /// The server, or what was asked of it.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// What came has another digest.
    #[error(
        "{what} has the digest {found}, but {expected} was expected: it was changed in the registry or on the way, and is not used"
    )]
    Digest {
        /// What came, with its registry.
        what: String,
        /// The digest that was asked for.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// What came has another size.
    #[error(
        "{what} has {found} bytes instead of {expected}: it was changed in the registry or on the way, and is not used"
    )]
    Size {
        /// What came, with its registry.
        what: String,
        /// The size in bytes that was asked for.
        expected: u64,
        /// The size in bytes of what came.
        found: u64,
    },
    /// What came is larger than anything of its kind.
    #[error("{what} has more than {limit} bytes, the most that is taken")]
    TooLarge {
        /// What came, with its registry.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A digest of an algorithm that cannot be checked.
    #[error("{what}: its digest cannot be checked: only sha256 and sha512 are known")]
    UnknownAlgorithm {
        /// What was asked for, with its registry.
        what: String,
    },
    /// What should be sent cannot be read on this side.
    #[error("what should be sent to the registry cannot be read: {0}")]
    Local(#[source] io::Error),
    /// A file with further certificates cannot be used.
    #[error("cannot use the certificates in {}: {why}", .path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not, and what is right.
        why: String,
    },
    /// The client could not be made.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
}

impl RegistryError {
    /// Whether the registry does not have what was asked for.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// A status and its name.
pub(super) fn told(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("(a status of its own)");
    format!("{status} {reason}")
}

fn quoted(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(" (it says: {said})"),
    }
}

fn come_back(after: Option<Duration>) -> String {
    after
        .map(|after| format!(", and wants to be asked again in {} s", after.as_secs()))
        .unwrap_or_default()
}

fn unauthorized(
    host: &str,
    action: &str,
    sent: Option<&str>,
    places: &[String],
    said: &str,
) -> String {
    let said = quoted(said);
    let looked = match places {
        [] => String::new(),
        places => format!(" (looked in {})", places.join(", ")),
    };
    match sent {
        Some(sent) => format!(
            "cannot {action}: {host} does not accept the login of {sent}{said}; log in again with distrobuild login {host}{looked}"
        ),
        None => format!(
            "cannot {action}: {host} wants a login{said}, and there is none for it{looked}; log in with distrobuild login {host}, and check that the name is right: many registries answer so when there is no such repository"
        ),
    }
}
