//! Who may do what: Basic (RFC 7617), Bearer (RFC 6750), and a token service as docker's
//! "Token Authentication Specification" describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Shared;
use super::wire::{Head, Reply, pairs};

/// Who is let in.
#[derive(Debug, Clone)]
pub(crate) enum Auth {
    /// Everybody.
    None,
    /// One with this name and password.
    Basic { username: String, password: String },
    /// One with a token.
    Bearer {
        /// Where tokens are; `None` for `/token` of this registry.
        realm: Option<String>,
    },
}

/// Gives out tokens.
pub(crate) struct TokenService {
    pub(crate) username: String,
    pub(crate) password: String,
    /// What one may show in place of name and password (OAuth2).
    pub(crate) refresh_token: String,
    /// Whether those without a name may pull.
    pub(crate) anonymous: bool,
    /// Whether nobody may push.
    pub(crate) only_pull: bool,
    /// How many requests a token is good for.
    pub(crate) uses: Option<usize>,
    pub(crate) given: Mutex<Given>,
}

/// The tokens that were given out.
#[derive(Default)]
pub(crate) struct Given {
    count: usize,
    tokens: BTreeMap<String, Grant>,
}

/// What a token allows.
#[derive(Debug, Clone, Default)]
struct Grant {
    /// Repository and action.
    allowed: BTreeSet<(String, String)>,
    left: Option<usize>,
}

impl fmt::Debug for TokenService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenService")
    }
}

impl TokenService {
    pub(crate) fn of(username: &str, password: &str) -> Self {
        Self {
            username: username.to_owned(),
            password: password.to_owned(),
            refresh_token: "refresh-me".to_owned(),
            anonymous: false,
            only_pull: false,
            uses: None,
            given: Mutex::default(),
        }
    }

    /// How many tokens were given out.
    pub(crate) fn count(&self) -> usize {
        self.given.lock().unwrap().count
    }

    /// Makes all tokens worthless.
    pub(crate) fn expire(&self) {
        self.given.lock().unwrap().tokens.clear();
    }

    pub(super) fn answer(&self, head: &Head, body: &[u8]) -> Reply {
        let form = match head.method.as_str() {
            "GET" => {
                let query = head.target.split_once('?').map_or("", |(_, query)| query);
                pairs(query)
            }
            "POST" => pairs(&String::from_utf8_lossy(body)),
            _ => return Reply::error(405, "UNSUPPORTED", "tokens are got by GET or POST"),
        };
        let field = |name: &str| {
            let found = form.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        let known = match (head.method.as_str(), field("grant_type")) {
            ("POST", Some("refresh_token")) => {
                Some(field("refresh_token") == Some(&self.refresh_token))
            }
            ("POST", Some("password")) => Some(
                field("username") == Some(&self.username)
                    && field("password") == Some(&self.password),
            ),
            ("POST", _) => Some(false),
            _ => head
                .header("authorization")
                .map(|value| is_basic(value, &self.username, &self.password)),
        };
        if known == Some(false) || (known.is_none() && !self.anonymous) {
            return Reply::error(401, "UNAUTHORIZED", "wrong name or password");
        }
        let mut grant = Grant {
            left: self.uses,
            ..Grant::default()
        };
        let scopes = form.iter().filter(|(key, _)| key == "scope");
        // OAuth2 has them in one value.
        for scope in scopes.flat_map(|(_, value)| value.split(' ')) {
            let Some((name, actions)) = scope
                .strip_prefix("repository:")
                .and_then(|rest| rest.rsplit_once(':'))
            else {
                continue;
            };
            for action in actions.split(',') {
                if action == "pull" || (known == Some(true) && !self.only_pull) {
                    grant.allowed.insert((name.to_owned(), action.to_owned()));
                }
            }
        }
        let mut given = self.given.lock().unwrap();
        given.count += 1;
        let token = format!("token-{}", given.count);
        given.tokens.insert(token.clone(), grant);
        let document =
            serde_json::json!({ "token": token, "access_token": token, "expires_in": 300 });
        Reply::status(200).body("application/json", document.to_string())
    }

    /// Whether the token allows all that is needed, and one use less of it.
    fn allows(&self, token: &str, needed: &[(String, &str)]) -> Result<(), &'static str> {
        let mut given = self.given.lock().unwrap();
        let grant = given.tokens.get_mut(token).ok_or("invalid_token")?;
        if let Some(left) = &mut grant.left {
            *left = left.checked_sub(1).ok_or("invalid_token")?;
        }
        let has = |(name, action): &(String, &str)| {
            grant
                .allowed
                .contains(&(name.clone(), (*action).to_owned()))
        };
        if needed.iter().all(has) {
            Ok(())
        } else {
            Err("insufficient_scope")
        }
    }
}

fn is_basic(value: &str, username: &str, password: &str) -> bool {
    let expected = STANDARD.encode(format!("{username}:{password}"));
    value.strip_prefix("Basic ") == Some(expected.as_str())
}

/// What a request needs: repositories and actions.
fn needed(head: &Head) -> Vec<(String, &'static str)> {
    let mut needed = Vec::new();
    let name = head.path().strip_prefix("/v2/").and_then(|rest| {
        let marks = ["/manifests/", "/blobs/", "/tags/", "/referrers/"];
        let end = marks.into_iter().filter_map(|mark| rest.find(mark)).min();
        Some(rest[..end?].to_owned())
    });
    if let Some(name) = name {
        match head.method.as_str() {
            "GET" | "HEAD" if !head.path().contains("/uploads/") => needed.push((name, "pull")),
            "DELETE" if !head.path().contains("/uploads/") => needed.push((name, "delete")),
            _ => needed.extend([(name.clone(), "pull"), (name, "push")]),
        }
    }
    if let Some(from) = head.query("from") {
        needed.push((from, "pull"));
    }
    needed
}

pub(super) fn check(shared: &Shared, head: &Head) -> Result<(), Reply> {
    let refused = |challenge: &str| {
        Reply::error(401, "UNAUTHORIZED", "authentication required")
            .with("WWW-Authenticate", challenge)
    };
    let shown = head.header("authorization");
    match &shared.settings.auth {
        Auth::None => Ok(()),
        Auth::Basic { username, password } => {
            if shown.is_some_and(|value| is_basic(value, username, password)) {
                Ok(())
            } else {
                Err(refused("Basic realm=\"a test\""))
            }
        }
        Auth::Bearer { realm } => {
            let needed = needed(head);
            let token = shown.and_then(|value| value.strip_prefix("Bearer "));
            let service = shared.settings.tokens.as_ref();
            let problem = match (token, service) {
                (Some(token), Some(service)) => match service.allows(token, &needed) {
                    Ok(()) => return Ok(()),
                    Err(problem) => Some(problem),
                },
                _ => None,
            };
            let realm = match realm {
                Some(realm) => realm.clone(),
                None => format!("{}/token", shared.url()),
            };
            let mut challenge = format!("Bearer realm=\"{realm}\",service=\"a test\"");
            let mut scopes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (name, action) in &needed {
                scopes.entry(name).or_default().push(action);
            }
            if !scopes.is_empty() {
                let scope = |(name, actions): (&&str, &Vec<&str>)| {
                    format!("repository:{name}:{}", actions.join(","))
                };
                let scopes: Vec<String> = scopes.iter().map(scope).collect();
                challenge += &format!(",scope=\"{}\"", scopes.join(" "));
            }
            if let Some(problem) = problem {
                challenge += &format!(",error=\"{problem}\"");
            }
            Err(refused(&challenge))
        }
    }
}
