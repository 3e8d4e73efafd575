//! What can go wrong in a download.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;

use crate::layer::Digest;

/// Why a file could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// It is not in the cache, and the network may not be asked.
    #[error(
        "{name} is not in the cache{}, and nothing is downloaded offline: run the same once without --offline",
        of_directory(.cache.as_ref())
    )]
    Offline {
        /// What people call the file.
        name: String,
        /// The cache's directory.
        cache: Option<PathBuf>,
    },
    /// There is no place that it could come from.
    #[error("cannot download {name}: no URL is known for it")]
    NoUrl {
        /// What people call the file.
        name: String,
    },
    /// None of its URLs gave it.
    #[error("cannot download {name} {}", Listed(.failures))]
    Failed {
        /// What people call the file.
        name: String,
        /// What happened at each URL, in the order in which they were tried; never empty.
        failures: Vec<Failure>,
    },
    /// Several files could not be downloaded.
    #[error("{}", Lines(.errors, *.more))]
    Several {
        /// The first of them, in the order in which they were asked for; at least two.
        errors: Vec<DownloadError>,
        /// How many more there were.
        more: usize,
    },
    /// The cache cannot be written to, or read from.
    #[error(
        "cannot use {} for downloads: {source}; make room or mend its permissions, or set XDG_CACHE_HOME to another directory",
        .path.display()
    )]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A thread of this process failed.
    #[error(
        "cannot download {name}: no thread could be started for it, or it failed; try again with fewer processes running"
    )]
    Thread {
        /// What people call the file.
        name: String,
    },
}

impl DownloadError {
    /// Whether every place that was asked does not have the file (any more).
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Failed { failures, .. } => failures
                .iter()
                .all(|failure| matches!(failure.reason, Reason::NotFound { .. })),
            Self::Several { errors, .. } => errors.iter().all(Self::is_not_found),
            _ => false,
        }
    }

    /// Whether the file was only not asked for because the network may not be.
    pub fn is_offline(&self) -> bool {
        match self {
            Self::Offline { .. } => true,
            Self::Several { errors, .. } => errors.iter().all(Self::is_offline),
            _ => false,
        }
    }

    /// Whether a server delivered something else than was expected: another hash or size.
    pub fn is_mismatch(&self) -> bool {
        match self {
            Self::Failed { failures, .. } => failures
                .iter()
                .any(|failure| matches!(failure.reason, Reason::Hash { .. } | Reason::Size { .. })),
            Self::Several { errors, .. } => errors.iter().any(Self::is_mismatch),
            _ => false,
        }
    }

    /// The URL that was tried last.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Failed { failures, .. } => failures.last().map(|failure| failure.url.as_str()),
            Self::Several { errors, .. } => errors.first().and_then(Self::url),
            _ => None,
        }
    }
}

/// What happened at one URL.
#[derive(Debug)]
pub struct Failure {
    /// The URL, without credentials.
    pub url: String,
    /// Where it redirected to, step by step, without credentials.
    pub via: Vec<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// What happened the last time.
    pub reason: Reason,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", self.url)?;
        for to in &self.via {
            write!(f, " (redirected to {to})")?;
        }
        write!(f, ": {}", self.reason)?;
        match self.attempts {
            0 | 1 => Ok(()),
            attempts => write!(f, " (tried {attempts} times)"),
        }
    }
}

/// Why a URL did not give the file.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The server, or the directory, does not have it.
    #[error("{}", .status.map_or_else(|| "there is no such file".to_owned(), told))]
    NotFound {
        /// 404 or 410; `None` for a `file:` URL.
        status: Option<u16>,
    },
    /// The server answers otherwise than with the file.
    #[error("the server answers {}{}", told(*.status), come_back(*.retry_after))]
    Refused {
        /// The status of the answer (RFC 9110, section 15).
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Nothing came for too long.
    #[error(
        "nothing came for {after:?} after the first {received} bytes: the server or the network stands still"
    )]
    Stalled {
        /// How long was waited.
        after: Duration,
        /// Bytes that are there.
        received: u64,
    },
    /// No connection was made.
    #[error("no connection: {0}; check the host's name and the network")]
    Connect(String),
    /// The connection broke.
    #[error("the connection ended after {received}{} bytes: {why}", .expected.map(|size| format!(" of {size}")).unwrap_or_default())]
    Interrupted {
        /// Bytes that are there.
        received: u64,
        /// Bytes that should be.
        expected: Option<u64>,
        /// What was said about it.
        why: String,
    },
    /// What came is not what was expected.
    #[error(
        "its hash is {found}, but {expected} was expected: the file was changed on the server or on the way, and is not used"
    )]
    Hash {
        /// The hash that was known before.
        expected: Box<Digest>,
        /// The hash of what came.
        found: Box<Digest>,
    },
    /// What came is of another size than what was expected.
    #[error("{} bytes instead of {expected}: the file was changed on the server or on the way, and is not used", .found.map_or_else(|| "it delivers more".to_owned(), |found| format!("it has {found}")))]
    Size {
        /// The size that was known before.
        expected: u64,
        /// The size that the server names; `None` when it just did not stop.
        found: Option<u64>,
    },
    /// What came is larger than anything of its kind.
    #[error("it is larger than {limit} bytes, the most that is taken")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A redirect was not followed.
    #[error("{0}")]
    Redirect(Redirection),
    /// The server's certificate is not trusted, or no encryption was agreed on.
    #[error(
        "TLS: {0}; when a proxy of your organisation answers in its stead, name the file with its certificate in SSL_CERT_FILE"
    )]
    Tls(String),
    /// The proxy does not do what it should.
    #[error("the proxy: {0}; check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY")]
    Proxy(String),
    /// It is no URL that can be used.
    #[error("it is no URL that can be used ({0}): http, https and file are")]
    Url(String),
    /// A `file:` URL's file cannot be read.
    #[error("it cannot be read: {0}")]
    File(io::Error),
    /// The client could not be made.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
}

/// Why a redirect was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Redirection {
    /// One after the other.
    #[error("it redirects again and again")]
    TooMany,
    /// From an encrypted connection to one that is not.
    #[error("it redirects from https to http, which is not followed")]
    ToPlain,
    /// To something else than HTTP.
    #[error("it redirects to what is no http or https URL")]
    Elsewhere,
    /// It does not say where to.
    #[error("it redirects without saying where to")]
    Nowhere,
}

fn told(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("(a status of its own)");
    format!("{status} {reason}")
}

fn come_back(after: Option<Duration>) -> String {
    after
        .map(|after| format!(", to be asked again in {} s", after.as_secs()))
        .unwrap_or_default()
}

fn of_directory(cache: Option<&PathBuf>) -> String {
    cache
        .map(|cache| format!(" ({})", cache.display()))
        .unwrap_or_default()
}

/// One failure in the same line, several in a line each.
struct Listed<'a>(&'a [Failure]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [failure] = self.0 {
            return failure.fmt(f);
        }
        write!(f, "from any of its {} URLs:", self.0.len())?;
        for failure in self.0 {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

struct Lines<'a>(&'a [DownloadError], usize);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        match self.1 {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}
