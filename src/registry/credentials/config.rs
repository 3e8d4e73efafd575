//! A config of docker or podman: `config.json`, containers-auth.json(5).

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::environment::Environment;
use super::json::{Json, Object};
use super::keys::{Wanted, normalized, spelled};
use super::program::Program;
use super::{CredentialError, Login, Secret};

/// The largest config in bytes.
pub(super) const LIMIT: u64 = 1 << 20;

/// How many helpers are told of.
const PROGRAMS_SHOWN: usize = 8;

/// The members of a login that hold secrets.
pub(super) const SECRETS: [&str; 5] = [
    "auth",
    "username",
    "password",
    "identitytoken",
    "registrytoken",
];

/// As lenient as Go's reader.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A config that was read.
pub(super) struct Config {
    /// Where it is.
    pub(super) path: PathBuf,
    /// All of it.
    pub(super) document: Object,
}

/// Which helper knows what is wanted.
pub(super) struct Helper {
    /// `docker-credential-` and the name.
    pub(super) program: String,
    /// What it is asked about.
    pub(super) server: String,
}

impl Config {
    /// Reads the config at `path`; `None` where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let Some(bytes) = read(path)? else {
            return Ok(None);
        };
        let document = if bytes.iter().all(u8::is_ascii_whitespace) {
            Object::default()
        } else {
            match serde_json::from_slice(&bytes) {
                Ok(Json::Object(document)) => document,
                Ok(_) => {
                    return Err(CredentialError::Member {
                        path: path.to_owned(),
                        member: "the document".to_owned(),
                        problem: IS_NO_OBJECT,
                    });
                }
                Err(error) => {
                    return Err(CredentialError::Json {
                        path: path.to_owned(),
                        line: error.line(),
                        column: error.column(),
                    });
                }
            }
        };
        Ok(Some(Self {
            path: path.to_owned(),
            document,
        }))
    }

    /// What it, or a helper that it names, knows of what is wanted.
    pub(super) fn find(
        &self,
        wanted: &Wanted,
        environment: &Environment,
    ) -> Result<Option<Login>, CredentialError> {
        if let Some(helper) = self.helper(wanted)? {
            let program = Program::find(&helper.program, &self.path, environment)?;
            if let Some(login) = program.get(&helper.server)? {
                return Ok(Some(login));
            }
        }
        self.login(wanted)
    }

    /// The helper for what is wanted: that of `credHelpers`, else that of `credsStore`.
    pub(super) fn helper(&self, wanted: &Wanted) -> Result<Option<Helper>, CredentialError> {
        let of = |member: &str, name: &Json, server: String| match name {
            Json::Null => Ok(None),
            // Docker has it mean its own file.
            Json::Text(name) if name.is_empty() => Ok(None),
            Json::Text(name) if is_word(name) => Ok(Some(Helper {
                program: format!("docker-credential-{}", name.as_str()),
                server,
            })),
            Json::Text(name) => Err(CredentialError::HelperName {
                path: self.path.clone(),
                name: name.chars().take(100).collect(),
            }),
            _ => Err(self.bad(member.to_owned(), "does not hold the names of helpers")),
        };
        if let Some(helpers) = self.object(CRED_HELPERS)?
            && let Some((key, name)) = wanted.sorted(helpers.iter()).first()
        {
            let plain = normalized(key);
            return of(CRED_HELPERS, name, spelled(&plain).to_owned());
        }
        match self.document.get(CREDS_STORE) {
            Some(name) => of(CREDS_STORE, name, wanted.registry().to_owned()),
            None => Ok(None),
        }
    }

    /// The helpers that it names, and the members that name them, for people.
    pub(super) fn programs(&self) -> Vec<(String, &'static str)> {
        let mut named: Vec<(&Json, &'static str)> = Vec::new();
        if let Ok(Some(helpers)) = self.object(CRED_HELPERS) {
            named.extend(helpers.iter().map(|(_, name)| (name, CRED_HELPERS)));
        }
        named.extend(self.document.get(CREDS_STORE).map(|it| (it, CREDS_STORE)));
        let mut programs = Vec::new();
        for (name, member) in named {
            if let Json::Text(name) = name
                && is_word(name)
                && programs.len() < PROGRAMS_SHOWN
            {
                let program = (format!("docker-credential-{}", name.as_str()), member);
                if !programs.contains(&program) {
                    programs.push(program);
                }
            }
        }
        programs
    }

    /// The login that the file itself has.
    pub(super) fn login(&self, wanted: &Wanted) -> Result<Option<Login>, CredentialError> {
        let Some(logins) = self.object(AUTHS)? else {
            return Ok(None);
        };
        for (key, value) in wanted.sorted(logins.iter()) {
            // The key itself may be a URL with a password.
            let member = || format!("the login for {} in `auths`", normalized_safe(key));
            let login = match value {
                // Docker Desktop leaves an empty one where the helper has it.
                Json::Null => None,
                Json::Object(entry) => {
                    login_of(entry).map_err(|problem| self.bad(member(), problem))?
                }
                _ => return Err(self.bad(member(), IS_NO_OBJECT)),
            };
            if login.is_some() {
                return Ok(login);
            }
        }
        Ok(None)
    }

    fn object(&self, member: &'static str) -> Result<Option<&Object>, CredentialError> {
        match self.document.get(member) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.bad(format!("`{member}`"), IS_NO_OBJECT)),
        }
    }

    fn bad(&self, member: String, problem: &'static str) -> CredentialError {
        CredentialError::Member {
            path: self.path.clone(),
            member,
            problem,
        }
    }
}

pub(super) const AUTHS: &str = "auths";
const CRED_HELPERS: &str = "credHelpers";
const CREDS_STORE: &str = "credsStore";

const IS_NO_OBJECT: &str = "is no JSON object ({…})";

/// The key without a user, which only a URL has.
fn normalized_safe(key: &str) -> String {
    let key = normalized(key);
    match key.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => key,
    }
}

/// Whether any program could be meant, and no path.
fn is_word(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The login of an entry of `auths`. A token counts more than a password, as docker has it.
fn login_of(entry: &Object) -> Result<Option<Login>, &'static str> {
    let text = |name| match entry.get(name) {
        None | Some(Json::Null) => Ok(""),
        Some(Json::Text(text)) => Ok(text.as_str()),
        Some(_) => Err("holds something that is no text"),
    };
    let secret = |text: &str| Secret::new(text.to_owned());
    match text("registrytoken")? {
        "" => {}
        token => return Ok(Some(Login::RegistryToken(secret(token)))),
    }
    match text("identitytoken")? {
        "" => {}
        token => return Ok(Some(Login::IdentityToken(secret(token)))),
    }
    match text("auth")? {
        "" => {}
        auth => return decoded(auth).map(Some),
    }
    Ok(match (text("username")?, text("password")?) {
        ("", _) | (_, "") => None,
        (username, password) => Some(Login::Password {
            username: username.to_owned(),
            password: secret(password),
        }),
    })
}

/// `auth`: user, colon and password in Base64.
fn decoded(auth: &str) -> Result<Login, &'static str> {
    let mut compact = Zeroizing::new(Vec::with_capacity(auth.len()));
    compact.extend(auth.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(compact.len())]);
    let length = BASE64
        .decode_slice(&*compact, &mut bytes)
        .map_err(|_| "has an `auth` that is no Base64")?;
    let text = std::str::from_utf8(bytes.get(..length).unwrap_or_default())
        .map_err(|_| "has an `auth` that is no UTF-8 in Base64")?;
    match text.split_once(':') {
        Some((username, password)) if !username.is_empty() => Ok(Login::Password {
            username: username.to_owned(),
            // Some writers pad with zeroes.
            password: Secret::new(password.trim_end_matches('\0').to_owned()),
        }),
        _ => Err("has an `auth` without USER:PASSWORD in it"),
    }
}

/// `auth` of a user and password.
pub(super) fn encoded(username: &str, password: &Secret) -> Zeroizing<String> {
    let password = password.reveal();
    let mut text = Zeroizing::new(String::with_capacity(username.len() + 1 + password.len()));
    text.push_str(username);
    text.push(':');
    text.push_str(password);
    Zeroizing::new(STANDARD.encode(text.as_bytes()))
}

/// All of a file; `None` where there is none.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, CredentialError> {
    let failed = |source| CredentialError::Read {
        path: path.to_owned(),
        source,
    };
    // A pipe without a writer would make us wait.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let facts = file.metadata().map_err(failed)?;
    let kind = facts.file_type();
    if kind.is_dir() || kind.is_fifo() || kind.is_socket() || kind.is_block_device() {
        return Err(CredentialError::NotAFile(path.to_owned()));
    }
    if facts.len() > LIMIT {
        return Err(too_large(path));
    }
    let bytes = bounded(file, facts.len()).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(too_large(path));
    }
    Ok(Some(bytes))
}

/// At most one byte more than [`LIMIT`], in one buffer where the length is what it was: one that
/// grows leaves copies behind.
fn bounded(file: File, length: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let capacity = usize::try_from(length).unwrap_or_default() + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn too_large(path: &Path) -> CredentialError {
    CredentialError::TooLarge {
        path: path.to_owned(),
        limit: LIMIT,
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
