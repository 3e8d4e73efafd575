//! Docker, by the Engine API over its unix socket.
//!
//! The paths have no version in front: a daemon of any age then takes the version that it likes
//! best, and what is used here is the same in all of them. podman's service answers them, too.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Body, Client, Response};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use super::engine::told;
use super::error::shown;
use super::{Environment, LoadError};

/// How long a daemon may take to say that it is there: systemd may have to start it first.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

/// A daemon that answers.
pub(super) struct Docker {
    socket: PathBuf,
    client: Client,
}

/// One message of the answer to `images/load`, or the error of any request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    stream: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

impl Docker {
    /// The first socket at which a daemon answers; why others do not is added to `looked`.
    pub(super) fn find(
        environment: &Environment,
        looked: &mut Vec<String>,
    ) -> Result<Option<Self>, LoadError> {
        for socket in sockets(environment)? {
            match Self::at(&socket) {
                Ok(docker) => return Ok(Some(docker)),
                Err(why) => looked.push(format!("Docker's socket {} {why}", socket.display())),
            }
        }
        Ok(None)
    }

    fn at(socket: &Path) -> Result<Self, String> {
        // The client's own error would not tell these apart.
        UnixStream::connect(socket).map_err(|error| explain(&error))?;
        let client = client(socket).map_err(|why| format!("cannot be spoken with: {why}"))?;
        let ping = client
            .get("http://localhost/_ping")
            .timeout(PATIENCE)
            .send()
            .map_err(|error| format!("does not answer ({}): is it Docker's?", innermost(&error)))?;
        if ping.status().is_success() {
            Ok(Self {
                socket: socket.to_path_buf(),
                client,
            })
        } else {
            Err(format!("answers with {}: is it Docker's?", ping.status()))
        }
    }

    /// `POST /images/load` (Engine API, "ImageLoad"). The daemon takes the time that it needs to
    /// unpack; nothing here grows impatient.
    pub(super) fn load(&self, archive: &Path, name: &str) -> Result<String, LoadError> {
        let file = File::open(archive).map_err(LoadError::Archive)?;
        let size = file.metadata().map_err(LoadError::Archive)?.len();
        let response = self
            .client
            .post("http://localhost/images/load?quiet=1")
            .header(CONTENT_TYPE, "application/x-tar")
            .body(Body::sized(file, size))
            .send()
            .map_err(|error| self.interrupted(innermost(&error)))?;
        if !response.status().is_success() {
            return Err(self.refused(response));
        }
        if let Some(loaded) = self.loaded(response)? {
            return Ok(loaded);
        }
        // Daemons of before 2016 say nothing.
        let there = self
            .client
            .get(format!("http://localhost/images/{name}/json"))
            .timeout(PATIENCE)
            .send()
            .map_err(|error| self.interrupted(innermost(&error)))?;
        if there.status() == StatusCode::OK {
            Ok(name.to_owned())
        } else {
            Err(LoadError::NotThere {
                engine: self.to_string(),
                name: name.to_owned(),
            })
        }
    }

    /// Reads the messages to their end: the status came before the image was unpacked, so only
    /// they tell what became of it.
    fn loaded(&self, response: Response) -> Result<Option<String>, LoadError> {
        let answer = BufReader::new(response.take(LONGEST_ANSWER));
        let mut loaded = None;
        for said in serde_json::Deserializer::from_reader(answer).into_iter::<Said>() {
            let said = said.map_err(|error| match error.classify() {
                serde_json::error::Category::Io => {
                    self.interrupted(innermost(&io::Error::from(error)))
                }
                serde_json::error::Category::Eof => {
                    self.interrupted("its answer ends in the middle".to_owned())
                }
                _ => LoadError::BadAnswer {
                    engine: self.to_string(),
                    what: format!("its answer is no JSON ({error})"),
                },
            })?;
            if let Some(error) = said.error {
                return Err(LoadError::Refused {
                    engine: self.to_string(),
                    said: shown(&error),
                });
            }
            let name = said.stream.as_deref().and_then(|line| {
                let name = line.trim().strip_prefix("Loaded image: ")?;
                told(name)
            });
            loaded = loaded.or(name);
        }
        Ok(loaded)
    }

    fn refused(&self, response: Response) -> LoadError {
        let status = response.status();
        let mut body = Vec::new();
        // What cannot be read of it is not shown.
        let _ = response.take(LONGEST_ANSWER).read_to_end(&mut body);
        let said: Said = serde_json::from_slice(&body).unwrap_or_default();
        let said = match said.message.or(said.error) {
            Some(said) => shown(&said),
            None => format!("it answers with {status}"),
        };
        LoadError::Refused {
            engine: self.to_string(),
            said,
        }
    }

    fn interrupted(&self, why: String) -> LoadError {
        LoadError::Interrupted {
            engine: self.to_string(),
            why,
        }
    }
}

impl fmt::Display for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Docker at {}", self.socket.display())
    }
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Docker")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

/// Where sockets may be, as docker(1) looks for them.
fn sockets(environment: &Environment) -> Result<Vec<PathBuf>, LoadError> {
    let Some(host) = &environment.docker_host else {
        let rootless = environment.runtime_directory.as_ref();
        return Ok(std::iter::once(environment.docker_socket.clone())
            .chain(rootless.map(|directory| Path::new(directory).join("docker.sock")))
            .collect());
    };
    match host.as_bytes().strip_prefix(b"unix://") {
        Some(path) if !path.is_empty() => {
            Ok(vec![PathBuf::from(std::ffi::OsStr::from_bytes(path))])
        }
        _ => {
            let host = host.to_string_lossy();
            let scheme = match host.split_once("://") {
                Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    format!("{scheme}://")
                }
                _ => "different kind of".to_owned(),
            };
            Err(LoadError::DockerHost { scheme })
        }
    }
}

fn client(socket: &Path) -> Result<Client, String> {
    // Nothing is encrypted over a socket, but the client wants to know how it would be.
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Client::builder()
        .user_agent(concat!("distrobuild/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(None)
        // A daemon may close a connection after each answer.
        .pool_max_idle_per_host(0)
        .tls_backend_preconfigured(tls)
        .unix_socket(socket)
        .build()
        .map_err(|error| innermost(&error))
}

/// Why there is nobody at a socket, and what to do.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "does not exist (is Docker installed and started? `systemctl start docker`; DOCKER_HOST may name another socket)".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "may not be used by this user (join the group docker with `usermod -aG docker USER` and log in again, or run this with sudo)".to_owned()
        }
        io::ErrorKind::ConnectionRefused => {
            "is there, but no daemon listens (start it: `systemctl start docker`)".to_owned()
        }
        _ => format!("cannot be connected to ({error})"),
    }
}

/// The cause of all causes; the words around it are the client's, not the user's.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    // No chain is that long.
    for _ in 0..32 {
        match inner.source() {
            Some(source) => inner = source,
            None => break,
        }
    }
    shown(&inner.to_string())
}
