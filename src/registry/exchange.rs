//! One question to a registry, and its answer: with who we are where that is asked for, again
//! where that may help, and along redirects.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::fault::authority;
use super::follow::{Arrived, Errand, Stop};
use super::http::{Engine, Response};
use super::patience::{Patience, may_pass, retry_after};
use super::proof::Need;
use super::said::{is_page, said};
use super::{Client, Host, RegistryError, Repository};

/// How often a token is shown in one question: kept ones that are not good any more, and one that
/// is new.
const MOST_PROOFS: usize = 4;

/// A question.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    /// The repository that it is about; with an empty path: none, but the registry.
    pub(super) repository: &'a Repository,
    /// Whether it changes something there, or is asked in order to: the token must allow `push`,
    /// and no mirror is asked.
    pub(super) writes: bool,
    /// Whether a mirror is asked only when the registry itself is out of reach: a copy may lack what
    /// was added a moment ago.
    pub(super) fresh: bool,
    /// A second repository of the same registry that the token must allow to read (for a mount).
    pub(super) also: Option<&'a Repository>,
    pub(super) place: Place<'a>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body<'a>,
    /// Whether it may be sent a second time when it is not known what became of the first.
    pub(super) repeatable: bool,
}

/// Where a question goes.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Below `/v2/NAME/`: `manifests/latest`, `blobs/uploads/?mount=…`.
    Path(&'a str),
    /// A URL that the registry gave (a `Location`, a `Link`), made absolute.
    Url(&'a Url),
}

/// What a question carries.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// `length` bytes that `open` gives, anew for each attempt. Both are called on the thread that
    /// asks, as far as the registry takes what comes, and read to the end: that there are more or
    /// fewer bytes is an error, and the last ones are only sent when there is none.
    Stream {
        length: u64,
        open: &'a (dyn Fn() -> io::Result<Box<dyn Read + 'a>> + Sync),
    },
}

/// An answer, whatever its status but 401, 403 of the registry itself, 429, and those 5xx that were
/// tried again in vain.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Who gave it, after redirects.
    pub(super) url: Url,
    /// Its content, which fails when the connection breaks or stands still: see
    /// [`Incoming`](super::receiving::Incoming).
    pub(super) body: Box<dyn Read + Send>,
}

impl Question<'_> {
    /// What it is for, for people.
    pub(super) fn action(&self) -> String {
        let repository = self.repository;
        match (repository.path.as_str(), self.writes, &self.method) {
            ("", ..) => format!("ask {}", repository.host),
            (_, _, &Method::DELETE) => format!("delete from {repository}"),
            (_, true, _) => format!("push to {repository}"),
            (_, false, _) => format!("pull from {repository}"),
        }
    }

    fn may_be_mirrored(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
            && !self.writes
            && !self.repository.path.is_empty()
    }
}

/// Which hosts speak plain HTTP, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Schemes(Mutex<HashMap<Host, &'static str>>);

impl Schemes {
    fn get(&self, host: &Host) -> Option<&'static str> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(host).copied()
    }

    /// The first answer decides: who has spoken TLS is not believed to speak none.
    fn set(&self, host: &Host, scheme: &'static str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(host.clone()).or_insert(scheme);
    }
}

impl Client {
    /// Asks the registry whether it lets us in (distribution-spec, "Determining Support").
    ///
    /// # Errors
    /// When it does not, or is none.
    pub fn check(&self, host: &Host) -> Result<(), RegistryError> {
        let repository = Repository {
            host: host.clone(),
            path: String::new(),
        };
        let question = Question {
            method: Method::GET,
            repository: &repository,
            writes: false,
            fresh: false,
            also: None,
            place: Place::Path(""),
            headers: Vec::new(),
            body: Body::None,
            repeatable: true,
        };
        let answer = self.ask_itself(&question, Patience::new(&self.options))?;
        let status = answer.status;
        let is_html = answer
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if !status.is_success() && status != StatusCode::NOT_FOUND && !is_html {
            return Err(RegistryError::Refused {
                what: question.action(),
                status: status.as_u16(),
                said: said(answer.body),
            });
        }
        // Some registries say of anything that it is HTML.
        let mut begin = Vec::new();
        let _ = answer.body.take(1024).read_to_end(&mut begin);
        let found = match (status.as_u16(), is_page(&begin)) {
            (404, _) => "it answers 404 Not Found to /v2/",
            (_, true) => "it answers with a web page to /v2/",
            _ => return Ok(()),
        };
        Err(RegistryError::NotARegistry {
            host: host.to_string(),
            found: found.to_owned(),
        })
    }

    /// Asks, and reads the head of the answer. What only reads is asked of mirrors first.
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<Answer, RegistryError> {
        if question.fresh
            && let Some(answer) = self.ask_itself_freshly(question)
        {
            return Ok(answer);
        }
        match self.ask_mirrors(question) {
            Some(answer) => answer,
            None => self.ask_itself(question, Patience::new(&self.options)),
        }
    }

    /// Asks the registry before its mirrors; `None` when there are none, it is not at hand, or it
    /// lets only others in: then mirrors are worth a try.
    fn ask_itself_freshly(&self, question: &Question<'_>) -> Option<Answer> {
        let host = &question.repository.host;
        let is_mirrored = self.options.mirrors.iter().any(|mirror| mirror.of == *host);
        let is_of_mirror = matches!(question.place, Place::Url(url) if !is_at(url, host));
        if !is_mirrored || is_of_mirror || self.resting.has(host) {
            return None;
        }
        match self.ask_itself(question, Patience::little(&self.options)) {
            Ok(answer) => Some(answer),
            Err(RegistryError::Unauthorized { .. } | RegistryError::Denied { .. }) => None,
            Err(_) => {
                self.resting.add(host);
                None
            }
        }
    }

    /// Asks the mirrors of the registry; `None` when there is none that answers.
    fn ask_mirrors(&self, question: &Question<'_>) -> Option<Result<Answer, RegistryError>> {
        if !question.may_be_mirrored() {
            return None;
        }
        for mirror in &self.options.mirrors {
            if mirror.of != question.repository.host || self.resting.has(&mirror.host) {
                continue;
            }
            let is_its_own = match question.place {
                Place::Path(_) => false,
                Place::Url(url) if is_at(url, &mirror.host) => true,
                Place::Url(_) => continue,
            };
            let repository = mirror.repository(&question.repository.path);
            let mirrored = Question {
                method: question.method.clone(),
                repository: &repository,
                headers: question.headers.clone(),
                also: None,
                body: Body::None,
                ..*question
            };
            if is_its_own {
                return Some(self.ask_itself(&mirrored, Patience::new(&self.options)));
            }
            match self.ask_itself(&mirrored, Patience::little(&self.options)) {
                Ok(answer) if answer.status.is_success() => return Some(Ok(answer)),
                Ok(_) | Err(RegistryError::Unauthorized { .. } | RegistryError::Denied { .. }) => {}
                Err(_) => self.resting.add(&mirror.host),
            }
        }
        None
    }

    /// Asks the registry itself.
    fn ask_itself(
        &self,
        question: &Question<'_>,
        mut patience: Patience,
    ) -> Result<Answer, RegistryError> {
        let engine = self.engine()?;
        let host = &question.repository.host;
        let mut need = Need {
            engine: &engine,
            options: &self.options,
            question,
            may_be_plain: self.is_spoken_plain(host),
        };
        let mut proof = self.proofs.known(&need)?;
        let mut proofs = 0;
        loop {
            let value = proof.as_ref().map(|proof| &proof.value);
            let Arrived { response, is_home } = match self.deliver(&engine, question, value) {
                Ok(arrived) => arrived,
                Err(Stop::Fault(fault, url)) => {
                    if fault.is_worth_another(question.repeatable) && patience.is_left(None) {
                        continue;
                    }
                    return Err(fault.at(&url));
                }
                Err(Stop::Redirect(error)) => return Err(error),
            };
            let status = response.status;
            if status == StatusCode::UNAUTHORIZED && is_home && proofs < MOST_PROOFS {
                proofs += 1;
                need.may_be_plain = self.is_spoken_plain(host);
                proof = Some(self.proofs.answer(&need, response, proof.as_ref())?);
                continue;
            }
            let after = retry_after(&response.headers);
            if may_pass(status, question.repeatable) && patience.is_left(after) {
                continue;
            }
            let who = authority(&response.url);
            return match status.as_u16() {
                // Of another host, which is not told who we are.
                401 => Err(RegistryError::Refused {
                    what: format!("{} (at {who})", question.action()),
                    status: 401,
                    said: said(response.body),
                }),
                403 if is_home => Err(RegistryError::Denied {
                    what: question.action(),
                    sent: proof.and_then(|proof| proof.who),
                    said: said(response.body),
                }),
                429 => Err(RegistryError::TooManyRequests {
                    host: who,
                    after,
                    said: said(response.body),
                }),
                status @ (500 | 502 | 503 | 504) => Err(RegistryError::Server {
                    what: format!("{} (at {who})", question.action()),
                    status,
                    said: said(response.body),
                }),
                _ => Ok(Answer::of(response)),
            };
        }
    }

    /// The thread with the connections, started when it is first needed.
    fn engine(&self) -> Result<Arc<Engine>, RegistryError> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*engine {
            return Ok(Arc::clone(engine));
        }
        Ok(Arc::clone(engine.insert(Engine::start(&self.options)?)))
    }

    fn may_be_plain(&self, host: &Host) -> bool {
        host.is_local() || self.options.insecure.contains(host)
    }

    fn is_spoken_plain(&self, host: &Host) -> bool {
        host.is_local() || self.schemes.get(host) == Some("http")
    }

    /// Sends a question once, encrypted unless the registry may be and is spoken with in plain.
    fn deliver(
        &self,
        engine: &Arc<Engine>,
        question: &Question<'_>,
        proof: Option<&HeaderValue>,
    ) -> Result<Arrived, Stop> {
        let host = &question.repository.host;
        let may_be_plain = self.may_be_plain(host);
        let send = |scheme: &'static str| {
            let home = base(scheme, host).map_err(Stop::Redirect)?;
            let url = match question.place {
                Place::Path(path) => below(&home, &question.repository.path, path),
                Place::Url(url) => Ok(url.clone()),
            };
            let url = url.map_err(Stop::Redirect)?;
            if scheme == "https" && url.scheme() == "http" && !may_be_plain {
                return Err(Stop::Redirect(RegistryError::Redirect {
                    host: host.to_string(),
                    why: format!(
                        "sends on from https to http ({}), which is not followed",
                        authority(&url)
                    ),
                }));
            }
            engine.follow(Errand {
                method: question.method.clone(),
                url,
                headers: question.headers.iter().cloned().collect(),
                body: question.body,
                proof,
                home: &home,
                may_be_plain,
            })
        };
        let known = self.schemes.get(host).or(match question.place {
            // It was the registry that gave it.
            Place::Url(url) if may_be_plain && url.scheme() == "http" => Some("http"),
            Place::Url(_) => Some("https"),
            Place::Path(_) if !may_be_plain => Some("https"),
            Place::Path(_) => None,
        });
        if let Some(scheme) = known {
            return send(scheme);
        }
        let encrypted = match send("https") {
            Ok(arrived) => {
                self.schemes.set(host, "https");
                return Ok(arrived);
            }
            Err(stop) => stop,
        };
        match &encrypted {
            Stop::Fault(fault, url)
                if is_at(url, host) && fault.may_be_plain(question.repeatable) => {}
            _ => return Err(encrypted),
        }
        match send("http") {
            Err(Stop::Fault(fault, _)) if fault.may_be_plain(false) => Err(encrypted),
            Err(stop) => Err(stop),
            Ok(arrived) => {
                self.schemes.set(host, "http");
                Ok(arrived)
            }
        }
    }
}

impl Answer {
    fn of(response: Response) -> Self {
        Self {
            status: response.status,
            headers: response.headers,
            url: response.url,
            body: Box::new(response.body),
        }
    }
}

/// Where a registry's API is.
fn base(scheme: &str, host: &Host) -> Result<Url, RegistryError> {
    let text = format!("{scheme}://{}/v2/", host.address());
    Url::parse(&text).map_err(|error| RegistryError::NotARegistry {
        host: host.to_string(),
        found: format!("it is no host that can be asked ({error})"),
    })
}

/// The URL of what is at `place` in a repository. It never leads out of the repository, whatever
/// is in it.
fn below(home: &Url, path: &str, place: &str) -> Result<Url, RegistryError> {
    let inner = match path {
        "" => String::new(),
        path => format!("{path}/"),
    };
    home.join(&format!("./{inner}{place}"))
        .ok()
        .filter(|url| url.path().starts_with(&format!("/v2/{inner}")))
        .ok_or_else(|| RegistryError::BadAnswer {
            what: authority(home),
            problem: "a name in it is no part of an address".to_owned(),
        })
}

/// Whether a URL is of this registry, encrypted or not.
fn is_at(url: &Url, host: &Host) -> bool {
    base(url.scheme(), host).is_ok_and(|home| home.origin() == url.origin())
}
