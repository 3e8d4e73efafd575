//! Images in registries: the distribution spec 1.1 over HTTP.
//!
//! [`Reference`] is how people name an image there, [`Client`] speaks with registries, and
//! [`Remote`] is one image of one as a [`Source`](crate::store::Source), so that every command
//! that reads images reads these, too. [`transfer`](crate::transfer) copies between stores.
//!
//! | file | what it holds |
//! |---|---|
//! | `reference.rs` | the grammar of names |
//! | `credentials/` | who we are to which registry: configs, helpers, login and logout |
//! | `answer.rs`, `refusal.rs`, `link.rs` | what an answer says, and why it refuses; `Link` |
//! | `exchange.rs`, `patience.rs`, `mirror.rs` | one question and its answer: whom it is asked of, and how often |
//! | `challenge.rs`, `proof.rs`, `token.rs`, `scope.rs` | `WWW-Authenticate`, and what answers it |
//! | `http.rs`, `follow.rs`, `trust.rs` | one request: connections, redirects, certificates |
//! | `sending.rs`, `receiving.rs` | its body and that of its answer |
//! | `fault.rs`, `error.rs`, `said.rs`, `moment.rs` | what goes wrong, and what servers say |
//! | `blob.rs`, `upload.rs` | blobs down, resumed and verified; blobs up, mounted or sent |
//! | `manifest.rs`, `document.rs` | manifests, and what a document is |
//! | `list.rs`, `referrers.rs` | tags; what refers to a manifest |
//! | `remote.rs` | an image of a registry as a store |
//!
//! What a registry says is hostile until its digest was checked; what it is told is never more
//! than it must know: credentials go to the host that they are for, and nowhere else.

mod answer;
mod blob;
pub mod challenge;
pub mod credentials;
mod document;
mod error;
mod exchange;
mod fault;
mod follow;
mod http;
mod link;
mod list;
mod manifest;
mod mirror;
mod moment;
mod patience;
mod proof;
mod receiving;
mod reference;
mod referrers;
mod refusal;
mod remote;
mod said;
mod scope;
#[cfg(test)]
mod script;
mod sending;
mod token;
mod trust;
mod upload;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use credentials::Credentials;
pub use error::RegistryError;
pub use manifest::Manifest;
pub(crate) use reference::harmless;
pub use reference::{Host, Reference, ReferenceError, Repository};
pub use remote::Remote;
pub use upload::Uploaded;

use crate::download::Proxy;
use exchange::{Body, Schemes};
use http::Engine;
use mirror::Resting;
use proof::Proofs;

/// How registries are spoken with.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many blobs go at once.
    pub parallel: NonZeroUsize,
    /// How often a request is tried that fails in a way that may pass.
    pub attempts: NonZeroU32,
    /// The time before the second attempt; it is doubled each time, with up to a quarter more by
    /// chance. `Retry-After` makes it longer, up to a minute.
    pub backoff: Duration,
    /// How long it may take to connect.
    pub connect: Duration,
    /// A request in which no byte moved for so long has failed.
    pub stall: Duration,
    /// Which proxy is asked.
    pub proxy: Proxy,
    /// Hosts that may be spoken with by plain HTTP when they speak no TLS. `localhost` and the
    /// loopback addresses always may.
    pub insecure: Vec<Host>,
    /// Files with further certificates (PEM) that are believed, beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// Registries that hold copies of others, asked first when something is read.
    pub mirrors: Vec<Mirror>,
    /// The size in bytes of the parts in which a blob is sent; `None` to send each in one piece,
    /// and in parts of 16 MiB to a registry that refuses that (413) or breaks the connection.
    pub chunk: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parallel: NonZeroUsize::MIN.saturating_add(3),
            attempts: NonZeroU32::MIN.saturating_add(4),
            backoff: Duration::from_millis(500),
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            proxy: Proxy::default(),
            insecure: Vec::new(),
            ca_files: Vec::new(),
            mirrors: Vec::new(),
            chunk: None,
        }
    }
}

/// A registry that holds copies of another's images: `docker.io=mirror.example/hub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The registry of which it holds copies.
    pub of: Host,
    /// The mirror.
    pub host: Host,
    /// What stands before repository names there; empty for nothing.
    pub prefix: String,
}

/// Speaks with registries; one for all of them, used from any number of threads.
#[derive(Debug)]
pub struct Client {
    options: Options,
    proofs: Proofs,
    schemes: Schemes,
    resting: Resting,
    engine: Mutex<Option<Arc<Engine>>>,
}

impl Client {
    /// A client with these options, which asks `credentials` who it is when a registry wants to
    /// know. Nothing is sent yet.
    pub fn new(options: Options, credentials: Arc<dyn Credentials>) -> Self {
        Self {
            options,
            proofs: Proofs::new(credentials),
            schemes: Schemes::default(),
            resting: Resting::default(),
            engine: Mutex::default(),
        }
    }

    /// Its options.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

#[cfg(test)]
mod tests;
