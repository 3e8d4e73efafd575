//! Tokens: how they are fetched (distribution's token and OAuth2 specifications).

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::credentials::{Login, Secret};
use super::fault::authority;
use super::follow::{Errand, Stop};
use super::http::{Engine, Response};
use super::patience::{Patience, may_pass, retry_after};
use super::said::{harmless, said};
use super::scope::Scopes;
use super::{Body, Options, RegistryError, moment};

/// Who asks, for a token server.
const CLIENT: &str = "distrobuild";

/// The largest answer of a token server that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The longest token that is sent, in bytes: more than servers take in a header.
const LONGEST: usize = 64 << 10;

/// How long a token lasts that does not say so, and at most.
const DEFAULT_LIFE: u64 = 60;
const LONGEST_LIFE: u64 = 7 * 86_400;

/// How long before its end a token is not used any more.
const SLACK: Duration = Duration::from_secs(10);

/// A token server, as a challenge names it.
#[derive(Debug, Clone)]
pub(super) struct Realm {
    pub(super) url: Url,
    pub(super) service: Option<String>,
}

/// Why there is no token.
pub(super) enum NoToken {
    /// The server does not accept who we are.
    Refused(String),
    /// Something else.
    Failed(RegistryError),
}

impl From<RegistryError> for NoToken {
    fn from(error: RegistryError) -> Self {
        Self::Failed(error)
    }
}

/// A token, and until when it is used.
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
    issued_at: Option<String>,
}

/// The value of `Authorization` for a scheme; `None` when it cannot be sent.
pub(super) fn header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("{scheme} {secret}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The value of `Authorization` for a name and a password (RFC 7617).
pub(super) fn basic(username: &str, password: &Secret) -> Option<HeaderValue> {
    let pair = Zeroizing::new(format!("{username}:{}", password.reveal()));
    header("Basic", &Zeroizing::new(STANDARD.encode(pair.as_bytes())))
}

impl Realm {
    /// Fetches a token that allows these scopes.
    pub(super) fn fetch(
        &self,
        engine: &Arc<Engine>,
        options: &Options,
        scopes: &Scopes,
        login: Option<&Login>,
    ) -> Result<Token, NoToken> {
        let mut patience = Patience::new(options);
        loop {
            let begun = Instant::now();
            let response = match self.ask(engine, scopes, login) {
                Ok(response) => response,
                Err(Stop::Fault(fault, _)) if fault.is_worth_another(true) => {
                    if patience.is_left(None) {
                        continue;
                    }
                    return Err(NoToken::Failed(fault.at(&self.url)));
                }
                Err(stop) => return Err(NoToken::Failed(stop.into())),
            };
            let status = response.status;
            if status.is_success() {
                return Ok(self.read(response, begun)?);
            }
            let host = authority(&self.url);
            let after = retry_after(&response.headers);
            if may_pass(status, true) && patience.is_left(after) {
                continue;
            }
            let said = said(response.body);
            return Err(match status.as_u16() {
                401 | 403 => NoToken::Refused(said),
                // RFC 6749, section 5.2.
                400 if matches!(login, Some(Login::IdentityToken(_))) => NoToken::Refused(said),
                429 => NoToken::Failed(RegistryError::TooManyRequests { host, after, said }),
                status @ 500.. => NoToken::Failed(RegistryError::Server {
                    what: format!("a token from {host}"),
                    status,
                    said,
                }),
                status => NoToken::Failed(RegistryError::Refused {
                    what: format!("a token from {host}"),
                    status,
                    said,
                }),
            });
        }
    }

    fn ask(
        &self,
        engine: &Arc<Engine>,
        scopes: &Scopes,
        login: Option<&Login>,
    ) -> Result<Response, Stop> {
        let mut url = self.url.clone();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut proof = None;
        let mut form = None;
        match login {
            Some(Login::IdentityToken(token)) => {
                let joined = scopes.texts().collect::<Vec<_>>().join(" ");
                let mut fields = vec![
                    ("grant_type", "refresh_token"),
                    ("client_id", CLIENT),
                    ("refresh_token", token.reveal()),
                ];
                fields.extend(self.service.as_deref().map(|service| ("service", service)));
                if !joined.is_empty() {
                    fields.push(("scope", &joined));
                }
                form = Some(encoded(&self.url, &fields));
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/x-www-form-urlencoded"),
                );
            }
            other => {
                let mut query = url.query_pairs_mut();
                query.extend_pairs(self.service.as_deref().map(|service| ("service", service)));
                query.extend_pairs(scopes.texts().map(|scope| ("scope", scope)));
                query.append_pair("client_id", CLIENT);
                if let Some(Login::Password { username, password }) = other {
                    query.append_pair("account", username);
                    proof = basic(username, password);
                }
            }
        }
        let arrived = engine.follow(Errand {
            method: if form.is_some() {
                Method::POST
            } else {
                Method::GET
            },
            url,
            headers,
            body: match &form {
                Some(form) => Body::Bytes(form.as_bytes()),
                None => Body::None,
            },
            proof: proof.as_ref(),
            home: &self.url,
            may_be_plain: false,
        })?;
        Ok(arrived.response)
    }

    fn read(&self, response: Response, begun: Instant) -> Result<Token, RegistryError> {
        let host = || authority(&self.url);
        let wrong = |problem: String| RegistryError::BadAnswer {
            what: format!("a token from {}", host()),
            problem,
        };
        let date = response
            .headers
            .get(DATE)
            .and_then(|date| moment::http_date(date.to_str().ok()?));
        let mut bytes = Zeroizing::new(Vec::new());
        response
            .body
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| RegistryError::Interrupted {
                what: format!("a token from {}", host()),
                why: error.to_string(),
            })?;
        if bytes.len() as u64 > LARGEST {
            return Err(RegistryError::TooLarge {
                what: format!("the token of {}", host()),
                limit: LARGEST,
            });
        }
        // What the parser says could quote the token.
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| {
            wrong(format!(
                "the answer cannot be read (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        let secret = [answer.token, answer.access_token]
            .into_iter()
            .flatten()
            .map(Zeroizing::new)
            .find(|token| !token.is_empty())
            .ok_or_else(|| wrong("there is none in the answer".to_owned()))?;
        if secret.len() > LONGEST || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("it is none that can be sent".to_owned()));
        }
        let life = match answer.expires_in {
            Some(seconds) if seconds >= 0.0 => (seconds as u64).min(LONGEST_LIFE),
            _ => DEFAULT_LIFE,
        };
        // How old it was already, by the server's own clock; ours may be wrong.
        let issued = answer.issued_at.as_deref().and_then(moment::rfc3339);
        let age = match (date, issued) {
            (Some(date), Some(issued)) => date.saturating_sub(issued),
            _ => 0,
        };
        let life = Duration::from_secs(life.saturating_sub(age));
        Ok(Token {
            secret: Secret::new(secret.to_string()),
            until: begun + life.saturating_sub(SLACK.min(life / 4)),
        })
    }
}

/// The fields of a form, encoded.
fn encoded(any: &Url, fields: &[(&str, &str)]) -> Zeroizing<String> {
    let mut url = any.clone();
    url.query_pairs_mut().clear().extend_pairs(fields);
    Zeroizing::new(url.query().unwrap_or_default().to_owned())
}

impl Realm {
    /// The token server that a challenge names, unless its address is none that is asked;
    /// `may_be_plain` says of which that is done without encryption.
    pub(super) fn parse(
        realm: &str,
        service: Option<&str>,
        may_be_plain: impl Fn(&Url) -> bool,
    ) -> Result<Self, String> {
        let shown = harmless(realm.split(['?', '#']).next().unwrap_or_default());
        let mut url = Url::parse(realm)
            .map_err(|_| format!("it wants a token from {shown:?}, which is no URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if may_be_plain(&url) => {}
            "http" => {
                let host = authority(&url);
                return Err(format!(
                    "it wants a token from {host}, which would be asked without encryption: --insecure {host} allows that"
                ));
            }
            _ => return Err("it wants a token from what is no http or https URL".to_owned()),
        }
        // None that a server names are used. A URL that cannot have credentials has none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Ok(Self {
            url,
            service: service.map(str::to_owned),
        })
    }
}
