//! What proves who we are to a registry: asked for only when the registry wants to know, kept as
//! long as it holds, fetched once for all threads that need it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use reqwest::Url;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};

use super::challenge::Challenge;
use super::credentials::{Credentials, Login};
use super::exchange::Question;
use super::fault::authority;
use super::http::{Engine, Response, is_local};
use super::said::{harmless, said};
use super::scope::Scopes;
use super::token::{NoToken, Realm, basic, header};
use super::{Host, Options, RegistryError, Repository};

/// What registries want, and what they were shown.
pub(super) struct Proofs {
    credentials: Arc<dyn Credentials>,
    wanted: Mutex<HashMap<Host, Wanted>>,
    logins: Shelf<Repository, Option<Login>>,
    tokens: Shelf<(Host, String, Scopes), Kept>,
    serial: AtomicU64,
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// What a registry wants to see.
#[derive(Clone)]
enum Wanted {
    Basic,
    Bearer(Realm),
}

/// What is sent to a registry.
#[derive(Clone)]
pub(super) struct Proof {
    pub(super) value: HeaderValue,
    /// Who it says we are, for people; `None` for nobody.
    pub(super) who: Option<String>,
    /// Whether it was got for this very question: to get another one is of no use.
    pub(super) is_fresh: bool,
    serial: u64,
}

struct Kept {
    proof: Proof,
    scopes: Scopes,
    until: Instant,
}

/// Values that are made once for all threads that need one; those that need others do not wait.
struct Shelf<K, V>(Mutex<HashMap<K, Arc<Mutex<Option<V>>>>>);

impl<K: Hash + Eq, V> Shelf<K, V> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn slot(&self, key: K) -> Arc<Mutex<Option<V>>> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shelf.entry(key).or_default())
    }
}

/// A question, and what is needed to get a proof for it.
pub(super) struct Need<'a, 'q> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) options: &'a Options,
    pub(super) question: &'a Question<'q>,
    /// Whether the registry itself is spoken with by plain HTTP, or is this machine.
    pub(super) may_be_plain: bool,
}

impl Need<'_, '_> {
    /// Whether a token server is asked by plain HTTP: that of a registry which is so, too, and no
    /// other host than was allowed. A password for a registry on this machine does not go through
    /// the network in clear because the registry says so.
    fn may_ask_plainly(&self, url: &Url) -> bool {
        let registry = &self.question.repository.host;
        let registry = Url::parse(&format!("http://{}", registry.address())).ok();
        let is_same = registry.is_some_and(|registry| registry.host() == url.host());
        let is_allowed = || {
            let named = authority(url).parse::<Host>();
            named.is_ok_and(|host| self.options.insecure.contains(&host))
        };
        self.may_be_plain && (is_same || is_local(url) || is_allowed())
    }
}

impl Proofs {
    pub(super) fn new(credentials: Arc<dyn Credentials>) -> Self {
        Self {
            credentials,
            wanted: Mutex::default(),
            logins: Shelf::new(),
            tokens: Shelf::new(),
            serial: AtomicU64::new(1),
        }
    }

    /// What the registry will want to see, as far as that is known; so that it needs not ask
    /// each time.
    pub(super) fn known(&self, need: &Need<'_, '_>) -> Result<Option<Proof>, RegistryError> {
        let wanted = {
            let all = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(&need.question.repository.host).cloned()
        };
        let proof = match wanted {
            None => return Ok(None),
            Some(Wanted::Basic) => self.basic(need, String::new()),
            // The registry may want one that allows more.
            Some(Wanted::Bearer(realm)) => {
                self.token(need, &realm, &Scopes::default(), None)
                    .map(|proof| Proof {
                        is_fresh: proof.serial == 0,
                        ..proof
                    })
            }
        };
        match proof {
            Ok(proof) => Ok(Some(proof)),
            // It may be that this repository is open to all.
            Err(RegistryError::Unauthorized { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What answers a 401; `refused` is what was shown before.
    pub(super) fn answer(
        &self,
        need: &Need<'_, '_>,
        response: Response,
        refused: Option<&Proof>,
    ) -> Result<Proof, RegistryError> {
        let host = &need.question.repository.host;
        let values = response.headers.get_all(WWW_AUTHENTICATE);
        let challenges = Challenge::parse(values.iter().map(HeaderValue::as_bytes));
        if let Some(refused) = refused.filter(|refused| refused.is_fresh) {
            let lacks_right = challenges
                .iter()
                .any(|challenge| challenge.get("error") == Some("insufficient_scope"));
            let said = said(response.body);
            return Err(match &refused.who {
                Some(_) if lacks_right => RegistryError::Denied {
                    what: need.question.action(),
                    sent: refused.who.clone(),
                    said,
                },
                _ => self.unauthorized(need, refused.who.clone(), said),
            });
        }
        let bearer = challenges.iter().find(|it| it.scheme == "bearer");
        let realm = match bearer.map(|challenge| (challenge, challenge.get("realm"))) {
            None => None,
            Some((challenge, Some(realm))) => Some(
                Realm::parse(realm, challenge.get("service"), |url| {
                    need.may_ask_plainly(url)
                })
                .map(|realm| {
                    let scopes = Scopes::parse(challenge.get("scope").unwrap_or_default());
                    (realm, scopes)
                }),
            ),
            Some((_, None)) => Some(Err(
                "it wants a token, and does not say from where".to_owned()
            )),
        };
        let has_basic = challenges.iter().any(|it| it.scheme == "basic");
        match realm {
            Some(Ok((realm, scopes))) => {
                self.remember(host, Wanted::Bearer(realm.clone()));
                self.token(need, &realm, &scopes, refused.map(|refused| refused.serial))
            }
            _ if has_basic => {
                self.remember(host, Wanted::Basic);
                self.basic(need, said(response.body))
            }
            Some(Err(problem)) => Err(RegistryError::BadAnswer {
                what: host.to_string(),
                problem,
            }),
            None => {
                let schemes: Vec<_> = challenges.iter().map(|it| harmless(&it.scheme)).collect();
                let problem = match schemes.as_slice() {
                    [] => "it answers 401 Unauthorized, and does not say what it wants".to_owned(),
                    schemes => format!(
                        "it wants to be shown who we are by {}, and only Basic and Bearer are known",
                        schemes.join(" or ")
                    ),
                };
                Err(RegistryError::BadAnswer {
                    what: host.to_string(),
                    problem,
                })
            }
        }
    }

    /// That we are not who we should be.
    fn unauthorized(
        &self,
        need: &Need<'_, '_>,
        sent: Option<String>,
        said: String,
    ) -> RegistryError {
        RegistryError::Unauthorized {
            host: need.question.repository.host.to_string(),
            action: need.question.action(),
            sent,
            places: self.credentials.places(),
            said,
        }
    }

    fn remember(&self, host: &Host, wanted: Wanted) {
        let mut all = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(host.clone(), wanted);
    }

    /// Who we are; looked up once for each repository.
    fn login(&self, repository: &Repository) -> Result<Option<Login>, RegistryError> {
        let slot = self.logins.slot(repository.clone());
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(login) = &*slot {
            return Ok(login.clone());
        }
        let login = self.credentials.find(repository)?;
        *slot = Some(login.clone());
        Ok(login)
    }

    fn basic(&self, need: &Need<'_, '_>, said: String) -> Result<Proof, RegistryError> {
        let login = self.login(need.question.repository)?;
        let who = login.as_ref().map(name);
        let value = match &login {
            None => None,
            Some(Login::Password { username, password }) => basic(username, password),
            Some(Login::RegistryToken(token)) => header("Bearer", token.reveal()),
            // Only a token server takes it.
            Some(Login::IdentityToken(_)) => None,
        };
        match value {
            Some(value) => Ok(Proof {
                value,
                who,
                is_fresh: true,
                serial: 0,
            }),
            None => Err(self.unauthorized(need, who, said)),
        }
    }

    /// A token: the one that is kept, or a new one when that was refused or allows too little.
    fn token(
        &self,
        need: &Need<'_, '_>,
        realm: &Realm,
        asked: &Scopes,
        refused: Option<u64>,
    ) -> Result<Proof, RegistryError> {
        let repository = need.question.repository;
        let login = self.login(repository)?;
        let who = login.as_ref().map(name);
        let unsendable = || self.unauthorized(need, who.clone(), String::new());
        if let Some(Login::RegistryToken(token)) = &login {
            return Ok(Proof {
                value: header("Bearer", token.reveal()).ok_or_else(unsendable)?,
                who,
                is_fresh: true,
                serial: 0,
            });
        }
        let scopes = Scopes::of(need.question);
        let path = repository.path.clone();
        let slot = self
            .tokens
            .slot((repository.host.clone(), path, scopes.clone()));
        // Whoever comes meanwhile waits for the token that is fetched, and uses it.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scopes = scopes.and(asked);
        if let Some(kept) = &*slot {
            if Some(kept.proof.serial) != refused
                && Instant::now() < kept.until
                && kept.scopes.hold(&scopes)
            {
                return Ok(kept.proof.clone());
            }
            scopes = scopes.and(&kept.scopes);
        }
        let token = realm
            .fetch(need.engine, need.options, &scopes, login.as_ref())
            .map_err(|error| match error {
                NoToken::Refused(said) => self.unauthorized(need, who.clone(), said),
                NoToken::Failed(error) => error,
            })?;
        let proof = Proof {
            value: header("Bearer", token.secret.reveal()).ok_or_else(unsendable)?,
            who,
            is_fresh: false,
            serial: self.serial.fetch_add(1, Ordering::Relaxed),
        };
        *slot = Some(Kept {
            proof: proof.clone(),
            scopes,
            until: token.until,
        });
        Ok(Proof {
            is_fresh: true,
            ..proof
        })
    }
}

/// Who a login says we are, for people.
fn name(login: &Login) -> String {
    match login {
        Login::Password { username, .. } => harmless(username),
        Login::IdentityToken(_) => "an identity token".to_owned(),
        Login::RegistryToken(_) => "a registry token".to_owned(),
    }
}
