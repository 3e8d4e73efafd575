//! Who we are to which registry.
//!
//! | file | what it holds |
//! |---|---|
//! | `environment.rs` | where the configs of docker and podman are |
//! | `config.rs` `json.rs` | one config, and JSON that wipes what it held |
//! | `keys.rs` | by which keys a registry or repository is known |
//! | `program.rs` | credential helpers |
//! | `change.rs` | login and logout |

mod change;
mod config;
mod environment;
mod error;
mod json;
mod keys;
mod program;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use config::Config;
use environment::Environment;
pub use error::CredentialError;
use keys::Wanted;

use super::{Host, Repository};

/// A password or token: never shown, wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Takes `text`.
    pub fn new(text: String) -> Self {
        Self(zeroize::Zeroizing::new(text))
    }

    /// The text, for what sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A name and a password (or an access token in its place).
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth2 refresh token, as `docker login` keeps for some registries (`identitytoken`; of
    /// a helper: the user name `<token>`).
    IdentityToken(Secret),
    /// A bearer token to be sent as it is (`registrytoken`).
    RegistryToken(Secret),
}

impl Login {
    /// A login with a name and a password.
    ///
    /// # Errors
    /// When the name is empty or has a colon in it, which no registry can be told (RFC 7617).
    pub fn password(
        username: impl Into<String>,
        password: Secret,
    ) -> Result<Self, CredentialError> {
        let username = username.into();
        check_username(&username)?;
        Ok(Self::Password { username, password })
    }
}

fn check_username(username: &str) -> Result<(), CredentialError> {
    if username.is_empty() {
        Err(CredentialError::Username("be empty"))
    } else if username.contains(':') {
        Err(CredentialError::Username("have a colon in it"))
    } else {
        Ok(())
    }
}

/// Knows who we are.
pub trait Credentials: Send + Sync + fmt::Debug {
    /// What to log in with for `repository`; `None` to go without.
    ///
    /// # Errors
    /// When a place that should say so cannot be read, or a helper fails.
    fn find(&self, repository: &Repository) -> Result<Option<Login>, CredentialError>;

    /// Where is looked, for people: paths, variables, helpers.
    fn places(&self) -> Vec<String>;
}

/// Goes without credentials.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

impl Credentials for Anonymous {
    fn find(&self, _repository: &Repository) -> Result<Option<Login>, CredentialError> {
        Ok(None)
    }

    fn places(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The places where people keep their logins: docker's and podman's files, and the credential
/// helpers that these name.
///
/// `$REGISTRY_AUTH_FILE` alone when it is set; else `$DOCKER_CONFIG/config.json` alone when that is
/// set; else podman's `$XDG_RUNTIME_DIR/containers/auth.json` and
/// `$XDG_CONFIG_HOME/containers/auth.json`, and docker's `~/.docker/config.json`. In each of them
/// `credHelpers` come before `credsStore`, and that before `auths`.
#[derive(Debug, Clone)]
pub struct Keychain {
    given: Option<(Host, Login)>,
    environment: Environment,
}

/// Where a login was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// For people: a file or a helper.
    pub place: String,
    /// Whether the password lies there readable by whoever can read the file.
    pub is_plain: bool,
}

impl Keychain {
    /// The places that the environment of this process names.
    pub fn of_environment() -> Self {
        Self::of(std::env::vars_os())
    }

    /// The places that these variables name. Helpers are looked for on their `PATH`, and run with
    /// these variables and no others.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self {
            given: None,
            environment: Environment::new(variables),
        }
    }

    /// The same, with this login for `host`, before all others.
    #[must_use]
    pub fn with(mut self, host: Host, login: Login) -> Self {
        self.given = Some((host, login));
        self
    }

    /// Keeps a login: in the credential helper that is configured for the registry, else in the
    /// first of the files that is there, else in docker's. What else a file holds stays.
    ///
    /// # Errors
    /// When the helper or the file refuses.
    pub fn store(
        &self,
        host: &Host,
        username: &str,
        password: &Secret,
    ) -> Result<Stored, CredentialError> {
        change::store(&self.environment, &Wanted::host(host), username, password)
    }

    /// Forgets the login of a registry; gives the places where there was one. Logins for single
    /// repositories of it (`ghcr.io/me`), which podman has, stay.
    ///
    /// # Errors
    /// When a helper or a file refuses; the login is forgotten in the other places then.
    pub fn erase(&self, host: &Host) -> Result<Vec<String>, CredentialError> {
        change::erase(&self.environment, &Wanted::host(host))
    }

    fn place(&self, path: &Path) -> Vec<String> {
        let shown = self.environment.shown(path);
        let config = match Config::read(path) {
            Ok(Some(config)) => config,
            Ok(None) => return vec![format!("{shown} (not there)")],
            Err(_) => return vec![format!("{shown} (cannot be read)")],
        };
        let mut places: Vec<String> = config
            .programs()
            .into_iter()
            .map(|(program, member)| format!("credential helper {program} (`{member}` of {shown})"))
            .collect();
        places.push(shown);
        places
    }
}

impl Credentials for Keychain {
    fn find(&self, repository: &Repository) -> Result<Option<Login>, CredentialError> {
        if let Some((host, given)) = &self.given
            && *host == repository.host
        {
            return Ok(Some(given.clone()));
        }
        let wanted = Wanted::repository(repository);
        for path in self.environment.files() {
            let Some(config) = Config::read(&path)? else {
                continue;
            };
            if let Some(login) = config.find(&wanted, &self.environment)? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    fn places(&self) -> Vec<String> {
        let given = self.given.as_ref();
        let given = given.map(|(host, _)| format!("what was given for {host}"));
        let files = self.environment.files();
        let kept = files.iter().flat_map(|path| self.place(path));
        given.into_iter().chain(kept).collect()
    }
}

#[cfg(test)]
mod tests;
