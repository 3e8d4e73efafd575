//! A request and the first line and headers of its answer: redirects, proxies, TLS, and what
//! a failure means.

use std::io::{self, Read};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_RANGE, ETAG, HeaderName, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{StatusCode, Url, redirect};

use super::attempts::Trouble;
use super::causes::{chain, interrupted, refusal, trouble};
use super::trust;
use super::{Options, Proxy, Reason, Redirection};

/// How many redirects are followed, one after the other.
const REDIRECTS: usize = 5;

/// A redirect's body of this size in bytes is read, so that its connection is used again.
const SMALL_BODY: u64 = 16 << 10;

/// The longest header in bytes that is sent back to a server: an entity tag, a date.
const LONGEST_VALIDATOR: usize = 1 << 10;

/// The client, made when it is first used.
#[derive(Debug)]
pub(super) struct Http {
    client: OnceLock<Result<Client, String>>,
    connect: Duration,
    stall: Duration,
    proxy: Proxy,
}

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Question<'a> {
    /// The first byte that is wanted; the ones before are there.
    pub(super) from: u64,
    /// Only if the file is still the one with this validator; else all of it.
    pub(super) if_range: Option<&'a str>,
    /// Only if it is another than the one with this entity tag.
    pub(super) unless_tag: Option<&'a str>,
    /// Only if it was changed since.
    pub(super) unless_since: Option<&'a str>,
    /// What caches on the way may do (RFC 9111, section 5.2.1).
    pub(super) cache_control: Option<&'static str>,
}

/// An answer whose body was not read yet.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response,
    /// Where the URL redirected to.
    pub(super) via: Vec<String>,
    stall: Duration,
}

impl Http {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            client: OnceLock::new(),
            connect: options.connect,
            stall: options.stall,
            proxy: options.proxy.clone(),
        }
    }

    /// Asks `url`, and whom it redirects to.
    pub(super) fn get(&self, url: &Url, question: &Question<'_>) -> Result<Answer, Trouble> {
        let client = self
            .client
            .get_or_init(|| self.client())
            .as_ref()
            .map_err(|error| Trouble::last(Reason::Client(error.clone())))?;
        let mut url = url.clone();
        let mut via = Vec::new();
        loop {
            let response = match question.ask(client, &url).send() {
                Ok(response) => response,
                Err(error) => return Err(self.trouble(&error, &url).via(via)),
            };
            if !is_redirect(response.status()) {
                return Ok(Answer {
                    response,
                    via,
                    stall: self.stall,
                });
            }
            let to = match redirection(&url, &response) {
                Ok(to) if via.len() < REDIRECTS => to,
                Ok(_) => return Err(Trouble::last(Reason::Redirect(Redirection::TooMany)).via(via)),
                Err(reason) => return Err(Trouble::last(Reason::Redirect(reason)).via(via)),
            };
            if response
                .content_length()
                .is_some_and(|size| size <= SMALL_BODY)
            {
                // A connection that broke is not used again, and nothing else depends on it.
                let _ = io::copy(&mut response.take(SMALL_BODY), &mut io::sink());
            }
            via.push(shown(&to));
            url = to;
        }
    }

    fn client(&self) -> Result<Client, String> {
        let tls = trust::settings(Vec::new()).map_err(|error| error.to_string())?;
        let builder = Client::builder()
            .user_agent(concat!("distrobuild/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.connect)
            // Of the blocking client: for the headers, then for each read.
            .timeout(self.stall)
            .tls_backend_preconfigured(tls);
        let builder = match &self.proxy {
            // The client takes the star for host names only, not for addresses.
            Proxy::Environment if no_proxy_at_all() => builder.no_proxy(),
            Proxy::Environment => builder,
            Proxy::Direct => builder.no_proxy(),
            Proxy::Url(url) => {
                builder.proxy(reqwest::Proxy::all(url).map_err(|error| chain(&error))?)
            }
        };
        builder.build().map_err(|error| chain(&error))
    }

    /// What it means that there was no answer.
    fn trouble(&self, error: &reqwest::Error, url: &Url) -> Trouble {
        let mut trouble = trouble(error, 0, self.stall);
        if let Reason::Connect(said) = &mut trouble.reason {
            match &self.proxy {
                Proxy::Direct => {}
                Proxy::Url(_) => trouble.reason = Reason::Proxy(std::mem::take(said)),
                // Whether NO_PROXY names the host is the client's to know.
                Proxy::Environment => {
                    if let Some(name) = proxy_variable(url.scheme()) {
                        said.push_str(&format!(" ({name} names a proxy)"));
                    }
                }
            }
        }
        trouble
    }
}

/// Whether no proxy is ever to be asked.
pub(crate) fn no_proxy_at_all() -> bool {
    ["NO_PROXY", "no_proxy"]
        .into_iter()
        .find_map(std::env::var_os)
        .is_some_and(|hosts| hosts == "*")
}

/// The variable that names a proxy for this scheme.
pub(crate) fn proxy_variable(scheme: &str) -> Option<&'static str> {
    let names: [&str; 4] = match scheme {
        "https" => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        _ => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
    };
    names
        .into_iter()
        .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

impl Question<'_> {
    fn ask(&self, client: &Client, url: &Url) -> RequestBuilder {
        let mut request = client
            .get(url.clone())
            // What is hashed is the file, not what a server makes of it on the way.
            .header(ACCEPT_ENCODING, "identity");
        if self.from > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.from));
        }
        let conditions = [
            (IF_RANGE, self.if_range.filter(|_| self.from > 0)),
            (IF_NONE_MATCH, self.unless_tag),
            (IF_MODIFIED_SINCE, self.unless_since),
            (CACHE_CONTROL, self.cache_control),
        ];
        for (name, value) in conditions {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The size of the body in bytes, when the server names it.
    pub(super) fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The entity tag.
    pub(super) fn tag(&self) -> Option<String> {
        self.header(&ETAG)
    }

    /// When the file was last changed, as the server writes it.
    pub(super) fn last_modified(&self) -> Option<String> {
        self.header(&LAST_MODIFIED)
    }

    /// What may be said in `If-Range` later: a strong entity tag, or a date (RFC 9110,
    /// section 13.1.5).
    pub(super) fn validator(&self) -> Option<String> {
        match self.tag() {
            Some(tag) if tag.starts_with("W/") => None,
            Some(tag) => Some(tag),
            None => self.last_modified(),
        }
    }

    /// The first byte of the body within the file, and the file's size (RFC 9110,
    /// section 14.4).
    pub(super) fn range(&self) -> Option<(u64, Option<u64>)> {
        content_range(&self.header(&CONTENT_RANGE)?)
    }

    /// What an answer means that does not hold the file.
    pub(super) fn refusal(self) -> Trouble {
        let status = self.status();
        let retry_after = self
            .header(&RETRY_AFTER)
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs);
        let trouble = refusal(status, retry_after);
        trouble.via(self.via)
    }

    /// Reads on.
    pub(super) fn read(&mut self, buffer: &mut [u8], received: u64) -> Result<usize, Trouble> {
        loop {
            match self.response.read(buffer) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let inner = error
                        .get_ref()
                        .and_then(|inner| inner.downcast_ref::<reqwest::Error>());
                    return Err(match inner {
                        Some(inner) => trouble(inner, received, self.stall),
                        None => interrupted(received, chain(&error)),
                    });
                }
            }
        }
    }

    fn header(&self, name: &HeaderName) -> Option<String> {
        let value = self.response.headers().get(name)?.to_str().ok()?;
        (value.len() <= LONGEST_VALIDATOR).then(|| value.to_owned())
    }
}

/// A URL as it may be shown: without credentials.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    strip(&mut url);
    url.into()
}

/// The same of what may be no URL at all.
pub(crate) fn shown_text(text: &str) -> String {
    if let Ok(url) = Url::parse(text) {
        return shown(&url);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest.get(..end).and_then(|host| host.rfind('@')) {
        Some(at) => format!("{scheme}://{}", rest.get(at + 1..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn strip(url: &mut Url) {
    // A URL that cannot have credentials has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn redirection(from: &Url, response: &Response) -> Result<Url, Redirection> {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
        .ok_or(Redirection::Nowhere)?;
    follow(from, location)
}

/// Where a redirect from `from` leads. Credentials go only to whom they were meant for, and
/// none that a server names are used.
pub(crate) fn follow(from: &Url, location: &str) -> Result<Url, Redirection> {
    let mut to = from.join(location).map_err(|_| Redirection::Elsewhere)?;
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Err(Redirection::ToPlain),
        _ => return Err(Redirection::Elsewhere),
    }
    strip(&mut to);
    if to.origin() == from.origin() {
        let _ = to.set_username(from.username());
        let _ = to.set_password(from.password());
    }
    Ok(to)
}

/// `bytes 10-99/100`, `bytes 10-99/*`.
pub(crate) fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last: u64 = last.parse().ok()?;
    let size = match size.trim() {
        "*" => None,
        size => Some(size.parse().ok()?),
    };
    (first <= last && size.is_none_or(|size| last < size)).then_some((first, size))
}
