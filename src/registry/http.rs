//! One request and the head of its answer, over a connection that is kept for the next one.
//!
//! The connections belong to one thread. Whoever asks waits for it on a thread of his own, which
//! may belong to anything, also to an asynchronous runtime.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url, redirect};
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fault::{Fault, authority};
use super::receiving::Incoming;
use super::sending::{Feed, Watch, pipe};
use super::{Body, Options, RegistryError, trust};
use crate::download::{Proxy, chain, no_proxy_at_all, proxy_variable};

/// A watch that never ends is one of so long.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// How often is looked whether our own reader goes on.
const GLANCE: Duration = Duration::from_millis(200);

/// Has the connections.
pub(super) struct Engine {
    client: reqwest::Client,
    /// Of this machine no proxy is asked.
    direct: reqwest::Client,
    handle: Handle,
    stall: Duration,
    proxy: Proxy,
    /// When it is dropped, the thread ends.
    _stop: oneshot::Sender<()>,
}

/// What the thread that asks is told.
pub(super) enum Event {
    /// The connection can take more of the body.
    Wanted,
    /// It is over.
    Answered(Box<Result<reqwest::Response, Fault>>),
}

/// What is sent.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body<'a>,
}

/// The head of an answer, and what follows it.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) url: Url,
    pub(super) body: Incoming,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the thread; nothing is connected to yet.
    pub(super) fn start(options: &Options) -> Result<Arc<Self>, RegistryError> {
        let further = trust::certificates(&options.ca_files)?;
        let failed = RegistryError::Client;
        let tls = crate::download::tls(further).map_err(|error| failed(error.to_string()))?;
        let direct = client(options, tls.clone(), &Proxy::Direct).map_err(failed)?;
        let client = match &options.proxy {
            Proxy::Direct => direct.clone(),
            proxy => client(options, tls, proxy).map_err(failed)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || {
                // Nothing is ever sent: the other end is dropped.
                let _ = runtime.block_on(stopped);
                // Not to wait for the name of a host that is being looked up.
                runtime.shutdown_background();
            })
            .map_err(|error| failed(format!("no thread can be started: {error}")))?;
        Ok(Arc::new(Self {
            client,
            direct,
            handle,
            stall: options.stall.min(NEVER),
            proxy: options.proxy.clone(),
            _stop: stop,
        }))
    }

    pub(super) fn stall(&self) -> Duration {
        self.stall
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // It tells what came of it itself.
        drop(self.handle.spawn(work));
    }

    /// Sends a request, and waits for the head of its answer.
    pub(super) fn send(self: &Arc<Self>, request: Request<'_>) -> Result<Response, Fault> {
        let is_local = is_local(&request.url);
        let client = if is_local { &self.direct } else { &self.client };
        let host = authority(&request.url);
        let url = request.url.clone();
        let method = request.method.clone();
        let (tell, told) = channel();
        let mut builder = client
            .request(request.method, request.url)
            .headers(request.headers)
            // What is hashed is the content, not what a server makes of it on the way.
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut feeding: Option<(Feed, Opener<'_>)> = None;
        let mut watch = None;
        match request.body {
            Body::None | Body::Bytes([]) => builder = empty(builder, &method),
            Body::Bytes(bytes) => builder = builder.body(bytes.to_vec()),
            // Of which there is nothing to watch; but it may fail.
            Body::Stream { length: 0, open } => {
                let mut none = open().map_err(Fault::Local)?;
                if none.read(&mut [0]).map_err(Fault::Local)? > 0 {
                    let more = std::io::Error::other("it has more bytes than was said");
                    return Err(Fault::Local(more));
                }
                builder = empty(builder, &method);
            }
            Body::Stream { length, open } => {
                let (drain, feed, seen) = pipe(length, tell.clone());
                builder = builder.body(reqwest::Body::wrap(drain));
                feeding = Some((feed, Opener { open, reader: None }));
                watch = Some(seen);
            }
        }
        let request = builder.build().map_err(|error| Fault::of(&error))?;
        self.spawn(exchange(client.clone(), request, watch, self.stall, tell));
        loop {
            match told.recv() {
                Ok(Event::Wanted) => {
                    if let Some((feed, opener)) = &mut feeding {
                        // Dropping the feed breaks the connection.
                        opener
                            .get()
                            .and_then(|reader| feed.read(reader))
                            .map_err(Fault::Local)?;
                    }
                }
                Ok(Event::Answered(outcome)) => {
                    let response =
                        outcome.map_err(|fault| self.with_proxy(fault, &url, is_local))?;
                    let status = response.status();
                    let headers = response.headers().clone();
                    let url = response.url().clone();
                    let rest = feeding.map(|(feed, _)| feed);
                    return Ok(Response {
                        status,
                        headers,
                        url,
                        body: Incoming::new(self, response, host, rest),
                    });
                }
                Err(_) => return Err(Fault::Client("its thread has ended".to_owned())),
            }
        }
    }

    /// Tells when it may be the proxy's fault that there is no connection.
    fn with_proxy(&self, fault: Fault, url: &Url, is_local: bool) -> Fault {
        match (fault, &self.proxy) {
            (fault, Proxy::Direct) => fault,
            (fault, _) if is_local => fault,
            (Fault::Connect(why), Proxy::Url(_)) => Fault::Proxy(why),
            // Whether NO_PROXY names the host is the client's to know.
            (Fault::Connect(why), Proxy::Environment) => {
                Fault::Connect(match proxy_variable(url.scheme()) {
                    Some(name) => format!("{why} ({name} names a proxy)"),
                    None => why,
                })
            }
            (fault, _) => fault,
        }
    }
}

/// Opens what is sent when its first byte is wanted.
struct Opener<'a> {
    open: &'a (dyn Fn() -> std::io::Result<Box<dyn Read + 'a>> + Sync),
    reader: Option<Box<dyn Read + 'a>>,
}

impl<'a> Opener<'a> {
    fn get(&mut self) -> std::io::Result<&mut (dyn Read + 'a)> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => (self.open)()?,
        };
        Ok(&mut **self.reader.insert(reader))
    }
}

/// Tells that nothing follows, where something could (RFC 9110, section 8.6); there are servers
/// and proxies that do not answer without it.
fn empty(builder: reqwest::RequestBuilder, method: &Method) -> reqwest::RequestBuilder {
    match *method {
        Method::POST | Method::PUT | Method::PATCH => {
            builder.header(CONTENT_LENGTH, HeaderValue::from_static("0"))
        }
        _ => builder,
    }
}

fn client(options: &Options, tls: ClientConfig, proxy: &Proxy) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("distrobuild/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(options.connect)
        // A peer that does not even acknowledge is gone.
        .tcp_user_timeout(options.stall.clamp(Duration::from_secs(1), NEVER))
        .tls_backend_preconfigured(tls);
    let builder = match proxy {
        // The client takes the star for host names only, not for addresses.
        Proxy::Environment if no_proxy_at_all() => builder.no_proxy(),
        Proxy::Environment => builder,
        Proxy::Direct => builder.no_proxy(),
        Proxy::Url(url) => builder.proxy(reqwest::Proxy::all(url).map_err(|error| chain(&error))?),
    };
    builder.build().map_err(|error| chain(&error))
}

async fn exchange(
    client: reqwest::Client,
    request: reqwest::Request,
    watch: Option<Watch>,
    stall: Duration,
    tell: Sender<Event>,
) {
    let outcome = watched(client.execute(request), watch, stall).await;
    // Who asked may have given up.
    let _ = tell.send(Event::Answered(Box::new(outcome)));
}

/// Waits for an answer as long as something moves.
async fn watched(
    answer: impl Future<Output = reqwest::Result<reqwest::Response>>,
    watch: Option<Watch>,
    stall: Duration,
) -> Result<reqwest::Response, Fault> {
    let mut answer = std::pin::pin!(answer);
    let begun = Instant::now();
    loop {
        let due = match &watch {
            Some(watch) => watch.due(stall),
            None => Some(begun + stall),
        };
        if due.is_some_and(|due| due <= Instant::now()) {
            return Err(Fault::Stalled(stall));
        }
        let until = due.unwrap_or_else(|| Instant::now() + GLANCE);
        if let Ok(outcome) = tokio::time::timeout_at(until, &mut answer).await {
            return outcome.map_err(|error| Fault::of(&error));
        }
    }
}

/// Whether a URL is of this machine.
pub(super) fn is_local(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let name = host.strip_suffix('.').unwrap_or(host);
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}
