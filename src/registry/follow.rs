//! A request along redirects. Credentials go to the host that they are for, and nowhere else.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::fault::{Fault, authority};
use super::http::{Engine, Request, Response};
use super::{Body, RegistryError};

/// How many redirects are followed, one after the other.
const REDIRECTS: usize = 5;

/// A request that may be redirected.
pub(super) struct Errand<'a, 'b> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body<'b>,
    /// What proves who we are, for `home` only.
    pub(super) proof: Option<&'a HeaderValue>,
    /// A URL of the server that the errand is for.
    pub(super) home: &'a Url,
    /// Whether it may be redirected to plain HTTP.
    pub(super) may_be_plain: bool,
}

/// An answer that is no redirect.
pub(super) struct Arrived {
    pub(super) response: Response,
    /// Whether it is of the server that the errand was for.
    pub(super) is_home: bool,
}

/// Why there is no answer.
pub(super) enum Stop {
    /// The request to this URL failed.
    Fault(Fault, Url),
    /// A redirect was not followed.
    Redirect(RegistryError),
}

impl From<Stop> for RegistryError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Fault(fault, url) => fault.at(&url),
            Stop::Redirect(error) => error,
        }
    }
}

impl Engine {
    /// Sends a request, and on to where it is redirected.
    pub(super) fn follow(self: &Arc<Self>, errand: Errand<'_, '_>) -> Result<Arrived, Stop> {
        let mut url = errand.url;
        let mut is_home = url.origin() == errand.home.origin();
        for left in (0..=REDIRECTS).rev() {
            let mut headers = errand.headers.clone();
            if let Some(proof) = errand.proof.filter(|_| is_home) {
                headers.insert(AUTHORIZATION, proof.clone());
            }
            let response = self
                .send(Request {
                    method: errand.method.clone(),
                    url: url.clone(),
                    headers,
                    body: errand.body,
                })
                .map_err(|fault| Stop::Fault(fault, url.clone()))?;
            if !is_redirect(response.status) {
                return Ok(Arrived { response, is_home });
            }
            let refused = |why: &str| {
                Stop::Redirect(RegistryError::Redirect {
                    host: authority(&url),
                    why: why.to_owned(),
                })
            };
            if left == 0 {
                return Err(refused("redirects again and again"));
            }
            let to = target(&url, &response).map_err(refused)?;
            if url.scheme() == "https" && to.scheme() == "http" && !errand.may_be_plain {
                return Err(refused(
                    "redirects from https to http, which is not followed",
                ));
            }
            let is_same = to.origin() == url.origin();
            if !matches!(errand.method, Method::GET | Method::HEAD) {
                if !matches!(response.status.as_u16(), 307 | 308) {
                    return Err(refused(
                        "redirects what is sent in a way that would lose it",
                    ));
                }
                if !is_same {
                    return Err(refused(
                        "redirects what is sent to another host, which is not followed",
                    ));
                }
            }
            is_home &= is_same;
            url = to;
        }
        // The last round has returned.
        Err(Stop::Redirect(RegistryError::Redirect {
            host: authority(&url),
            why: "redirects again and again".to_owned(),
        }))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn target(from: &Url, response: &Response) -> Result<Url, &'static str> {
    let location = response
        .headers
        .get(LOCATION)
        .and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
        .ok_or("redirects without saying where to")?;
    let elsewhere = "redirects to what is no http or https URL";
    let mut to = from.join(location).map_err(|_| elsewhere)?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(elsewhere);
    }
    // None that a server names are used. A URL that cannot have credentials has none.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    Ok(to)
}
