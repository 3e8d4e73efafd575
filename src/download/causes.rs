//! What it means that an answer, or none, came: why, and whether it is worth another attempt.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;

use super::Reason;
use super::attempts::{Again, Trouble};

/// What a status means (RFC 9110, section 15).
pub(super) fn refusal(status: StatusCode, retry_after: Option<Duration>) -> Trouble {
    let number = status.as_u16();
    let refused = Reason::Refused {
        status: number,
        retry_after,
    };
    match number {
        404 | 410 => Trouble::last(Reason::NotFound {
            status: Some(number),
        }),
        407 => Trouble::last(Reason::Proxy(
            "it wants credentials (407 Proxy Authentication Required), as in http://USER:PASSWORD@HOST:PORT".to_owned(),
        )),
        // Too early, too many, or a server that has trouble of its own.
        408 | 421 | 425 | 429 | 500..=599 => Trouble {
            again: Again::After(retry_after),
            ..Trouble::last(refused)
        },
        _ => Trouble::last(refused),
    }
}

pub(super) fn interrupted(received: u64, why: String) -> Trouble {
    Trouble {
        again: Again::After(None),
        ..Trouble::last(Reason::Interrupted {
            received,
            expected: None,
            why,
        })
    }
}

pub(super) fn trouble(error: &reqwest::Error, received: u64, stall: Duration) -> Trouble {
    let said = chain(error);
    if let Some(tls) = cause::<rustls::Error>(error) {
        let certificate = matches!(
            tls,
            rustls::Error::InvalidCertificate(_) | rustls::Error::General(_)
        );
        return Trouble {
            again: if certificate {
                Again::No
            } else {
                Again::After(None)
            },
            ..Trouble::last(Reason::Tls(match tls {
                // Our own words, which the library would call unexpected.
                rustls::Error::General(said) => said.clone(),
                other => other.to_string(),
            }))
        };
    }
    let reason = if said.contains("tunnel") || said.contains("proxy") {
        Reason::Proxy(said)
    } else if error.is_connect() {
        Reason::Connect(said)
    } else if error.is_timeout() {
        Reason::Stalled {
            after: stall,
            received,
        }
    } else if error.is_builder() {
        return Trouble::last(Reason::Url(said));
    } else {
        return interrupted(received, said);
    };
    Trouble {
        again: Again::After(None),
        ..Trouble::last(reason)
    }
}

/// What an error says, with what caused it, without the URL, which may hold credentials.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // What the client says of itself comes first, and only its cause is of use.
        let said = error.to_string();
        let is_preface = error.is::<reqwest::Error>() || said.starts_with("client error (");
        let said = (!is_preface || error.source().is_none()).then_some(said);
        if let Some(said) = said
            && !parts.iter().any(|part| part.contains(&said))
        {
            parts.push(said);
        }
        next = error.source();
    }
    parts.join(": ")
}

/// The cause of this type, also inside of an `io::Error`, which does not name what it wraps
/// as its source.
pub(crate) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(|error| error.get_ref());
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
