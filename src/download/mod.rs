//! Files from the network, verified by their hash, kept in a cache.
//!
//! | file | what it does |
//! |---|---|
//! | `fetch.rs` | one file whose hash is known: cache, claim, URLs in order |
//! | `several.rs` | many of them, some at once |
//! | `latest.rs` | a file whose hash is not known: asked for anew each time |
//! | `attempts.rs` | what is tried again, when, and how often |
//! | `http.rs`, `trust.rs` | a request: redirects, proxies, TLS |
//! | `causes.rs` | what the failure of one means |
//! | `transfer.rs`, `partial.rs` | an answer's bytes into a file that can be resumed |
//! | `store.rs`, `claim.rs`, `prune.rs` | the cache, shared by builds at the same time |
//!
//! Whatever a server says is hostile until its hash, which the caller knows from elsewhere,
//! was checked: only then a file gets the name under which it is looked up.
//!
//! Below the cache's directory:
//!
//! | path | what it holds |
//! |---|---|
//! | `sha256/ab/ab12…` | a whole, verified file, named by its hash |
//! | `latest/…` | a file whose hash was not known, named by the hash of its URL |
//! | `partial/ab12…` | what came so far of the file with this hash; locked while it comes |
//! | `partial/ab12….from` | the URL that it came from, and that answer's validator |
//! | `partial/alone-…` | the same, of a build that did not wait for another that stood still |

mod attempts;
mod causes;
mod claim;
mod error;
mod fetch;
mod http;
mod latest;
mod partial;
mod prune;
mod several;
mod store;
mod transfer;
mod trust;

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use attempts::pause;
pub(crate) use causes::{cause, chain};
pub use error::{DownloadError, Failure, Reason, Redirection};
pub use latest::Latest;
pub use prune::{Summary, prune, summary};

use crate::layer::Digest;
use http::Http;
#[cfg(feature = "debian")]
pub(crate) use http::shown_text;
pub(crate) use http::{content_range, follow};
pub(crate) use http::{no_proxy_at_all, proxy_variable};
use store::{Hold, Store};
pub(crate) use trust::settings as tls;

/// How files are downloaded.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of the cache, made when it is missing. Without one nothing is kept: the
    /// files live as long as the [`Downloader`] and what it gave.
    pub cache: Option<PathBuf>,
    /// Whether only the cache and `file:` URLs are used; then no socket is ever opened.
    pub offline: bool,
    /// How many files are downloaded at once.
    pub parallel: NonZeroUsize,
    /// How often each URL is tried.
    pub attempts: NonZeroU32,
    /// The time before the second attempt; it is doubled each time, with up to a quarter
    /// more by chance. Seconds in a server's `Retry-After` make it longer, up to a minute; a
    /// server that wants more is not asked again.
    pub backoff: Duration,
    /// How long it may take to connect.
    pub connect: Duration,
    /// An attempt in which no byte came for so long has failed.
    pub stall: Duration,
    /// The most bytes of a file whose size is not known.
    pub largest: u64,
    /// Which proxy is asked.
    pub proxy: Proxy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: None,
            offline: false,
            parallel: NonZeroUsize::MIN.saturating_add(7),
            attempts: NonZeroU32::MIN.saturating_add(3),
            backoff: Duration::from_millis(500),
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(20),
            largest: 4 << 30,
            proxy: Proxy::default(),
        }
    }
}

/// Which proxy is asked for files.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, as curl(1) does.
    #[default]
    Environment,
    /// None.
    Direct,
    /// The one with this URL, for everything.
    Url(String),
}

impl fmt::Debug for Proxy {
    /// Without the name and the password that its URL may have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::Direct => f.write_str("Direct"),
            Self::Url(url) => {
                let address = url.rsplit('@').next().unwrap_or_default();
                f.debug_tuple("Url").field(&address).finish()
            }
        }
    }
}

/// What is known of a file before it is downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The SHA-256 of the whole file.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: Option<u64>,
}

/// A file to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What people call it: `libc6 2.36-9+deb12u10 (amd64)`.
    pub name: String,
    /// Where it is (`http`, `https` or `file`), tried in this order: the next one when a
    /// server does not have it or fails again and again.
    pub urls: Vec<String>,
    /// What it has to be.
    pub expected: Expected,
}

/// A file that is there and verified.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Where it is. It stays there as long as this value lives, whatever is pruned.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether nothing had to be downloaded.
    pub was_cached: bool,
    _hold: Arc<Hold>,
}

/// Told of what is downloaded; never of what the cache had.
pub trait Progress: Sync {
    /// A download begins.
    fn begin(&self, _name: &str, _size: Option<u64>) {}
    /// So many more bytes are there, downloaded now or left by a build that was stopped.
    /// Bytes that come again are not told again.
    fn advance(&self, _bytes: u64) {}
    /// A download has ended, well or not.
    fn end(&self, _name: &str) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {}

/// Downloads files, and keeps them.
#[derive(Debug)]
pub struct Downloader {
    options: Options,
    store: Store,
    http: Http,
}

impl Downloader {
    /// A downloader with these options. A cache that cannot be used is left out, and
    /// [`degraded`](Self::degraded) says why.
    ///
    /// # Errors
    /// When there is not even a temporary directory.
    pub fn new(options: Options) -> Result<Self, DownloadError> {
        Ok(Self {
            store: Store::open(options.cache.as_deref())?,
            http: Http::new(&options),
            options,
        })
    }

    /// Why the cache is not, or not fully, used; `None` when all is well.
    pub fn degraded(&self) -> Option<&str> {
        self.store.degraded()
    }

    /// Where a file is in the cache, when it is there. Its hash is checked again; one that
    /// is wrong is removed. Never asks the network.
    pub fn cached(&self, expected: &Expected) -> Option<PathBuf> {
        self.store.find(expected).map(|found| found.path)
    }
}

/// Runs `work` on a thread of its own: the HTTP client must not wait for its answers on a
/// thread that belongs to an asynchronous runtime of the program that uses this crate.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("download".to_owned())
            .spawn_scoped(scope, work)
            .ok()?
            .join()
            .ok()
    })
}

#[cfg(test)]
mod tests;
