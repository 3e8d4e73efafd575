//! Why there was no answer, and whether to ask again is safe and of use.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::Url;

use super::RegistryError;
use crate::download::{cause, chain};

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// No connection: nothing was sent.
    Connect(String),
    /// The other side does not encrypt: nothing was sent.
    NoTls(String),
    /// The certificate is not believed, or no encryption agreed on: nothing was sent.
    Tls { why: String, is_certificate: bool },
    /// The proxy refuses: nothing was sent.
    Proxy(String),
    /// No byte moved for so long.
    Stalled(Duration),
    /// The connection broke.
    Interrupted(String),
    /// Our own reader of what should be sent.
    Local(io::Error),
    /// It cannot be sent at all.
    Client(String),
}

impl Fault {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let why = chain(error);
        if let Some(tls) = cause::<rustls::Error>(error) {
            return match tls {
                rustls::Error::InvalidMessage(_) => Self::NoTls(tls.to_string()),
                // Our own words, which the library would call unexpected.
                rustls::Error::General(said) => Self::Tls {
                    why: said.clone(),
                    is_certificate: true,
                },
                other => Self::Tls {
                    why: other.to_string(),
                    is_certificate: matches!(other, rustls::Error::InvalidCertificate(_)),
                },
            };
        }
        if why.contains("tunnel") || why.contains("proxy") {
            Self::Proxy(why)
        } else if error.is_connect() {
            Self::Connect(why)
        } else if error.is_builder() {
            Self::Client(why)
        } else {
            Self::Interrupted(why)
        }
    }

    /// Whether the next attempt may go well, and cannot do twice what shall be done once.
    pub(super) fn is_worth_another(&self, is_repeatable: bool) -> bool {
        match self {
            Self::Connect(_) | Self::Proxy(_) => true,
            Self::Tls { is_certificate, .. } => !is_certificate,
            Self::Stalled(_) | Self::Interrupted(_) => is_repeatable,
            Self::NoTls(_) | Self::Local(_) | Self::Client(_) => false,
        }
    }

    /// Whether it may be that the other side speaks plain HTTP only. Of a certificate that is
    /// not believed that cannot be said: there is TLS. Who says nothing at all may wait for the end
    /// of a line; but only what may be sent twice is sent again then.
    pub(super) fn may_be_plain(&self, is_repeatable: bool) -> bool {
        match self {
            Self::Connect(_) | Self::NoTls(_) | Self::Proxy(_) => true,
            Self::Stalled(_) => is_repeatable,
            _ => false,
        }
    }

    /// For people: the fault of a request to `url`.
    pub(super) fn at(self, url: &Url) -> RegistryError {
        self.of_host(authority(url))
    }

    pub(super) fn of_host(self, host: String) -> RegistryError {
        match self {
            Self::Connect(why) => RegistryError::Connect { host, why },
            Self::NoTls(why) => RegistryError::NoTls { host, why },
            Self::Tls { why, .. } => RegistryError::Tls { host, why },
            Self::Proxy(why) => RegistryError::Proxy { host, why },
            Self::Stalled(after) => RegistryError::Stalled { what: host, after },
            Self::Interrupted(why) => RegistryError::Interrupted { what: host, why },
            Self::Local(source) => RegistryError::Local(source),
            Self::Client(why) => RegistryError::Client(why),
        }
    }

    /// As the error of a reader. What kind it is tells a stall from a break; the cause inside is
    /// a [`RegistryError`].
    pub(super) fn into_io(self, host: String) -> io::Error {
        let kind = match self {
            Self::Stalled(_) => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::ConnectionAborted,
        };
        let error: Box<dyn Error + Send + Sync> = Box::new(self.of_host(host));
        io::Error::new(kind, error)
    }
}

/// `HOST` or `HOST:PORT` of a URL: all of it that is ever shown, since queries are often signed
/// and a path may hold a session's secret.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or("a URL without host");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
