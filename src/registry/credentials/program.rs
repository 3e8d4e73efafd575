//! Credential helpers: programs that keep logins, in the protocol of docker-credential-helpers
//! (`get`, `store`, `erase`; the question on stdin, JSON on stdout).

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::environment::Environment;
use super::json::{Json, Object};
use super::{CredentialError, Login, Secret};

/// The longest answer in bytes: tokens of clouds have some KiB.
const LONGEST: usize = 64 << 10;

/// How often a helper is looked at that says nothing.
const GLANCE: Duration = Duration::from_millis(2);

/// The user name by which a helper says that its secret is an identity token.
const TOKEN: &str = "<token>";

/// What a helper says when it has no login (the protocol's fixed message goes on behind that).
const NOT_FOUND: &str = "credentials not found";

/// A credential helper that is there.
pub(super) struct Program {
    name: String,
    path: PathBuf,
    variables: Vec<(OsString, OsString)>,
    patience: Duration,
}

/// How a helper ended.
struct Ended {
    status: ExitStatus,
    output: Zeroizing<Vec<u8>>,
}

impl Program {
    /// Looks for the helper that `config` names.
    pub(super) fn find(
        name: &str,
        config: &Path,
        environment: &Environment,
    ) -> Result<Self, CredentialError> {
        let path = environment
            .program(name)
            .ok_or_else(|| CredentialError::HelperMissing {
                program: name.to_owned(),
                path: config.to_owned(),
            })?;
        let variables = environment.variables().iter();
        Ok(Self {
            name: name.to_owned(),
            path,
            variables: variables.map(|(k, v)| (k.clone(), v.clone())).collect(),
            patience: environment.patience,
        })
    }

    /// The login that it has for a registry.
    pub(super) fn get(&self, server: &str) -> Result<Option<Login>, CredentialError> {
        let failed = |problem: String| self.failed("get", server, problem);
        let ended = self.run("get", server.as_bytes()).map_err(failed)?;
        let output = std::str::from_utf8(&ended.output);
        if !ended.status.success() {
            return match output {
                Ok(text) if text.to_ascii_lowercase().contains(NOT_FOUND) => Ok(None),
                _ => Err(failed(format!("failed ({})", ended.status))),
            };
        }
        if output.is_ok_and(|text| text.trim().is_empty()) {
            return Ok(None);
        }
        login(&ended.output).map_err(|problem| failed(problem.to_owned()))
    }

    /// Gives it a login to keep.
    pub(super) fn store(
        &self,
        server: &str,
        username: &str,
        password: &Secret,
    ) -> Result<(), CredentialError> {
        let failed = |problem: String| self.failed("store", server, problem);
        let mut login = Object::default();
        login.set("ServerURL", Json::text(server));
        login.set("Username", Json::text(username));
        login.set("Secret", Json::text(password.reveal()));
        let input = super::json::pretty(&login).map_err(|error| failed(error.to_string()))?;
        self.act("store", &input).map_err(failed)
    }

    /// Lets it forget a login.
    pub(super) fn erase(&self, server: &str) -> Result<(), CredentialError> {
        let failed = |problem: String| self.failed("erase", server, problem);
        self.act("erase", server.as_bytes()).map_err(failed)
    }

    fn act(&self, action: &str, input: &[u8]) -> Result<(), String> {
        let ended = self.run(action, input)?;
        if ended.status.success() {
            Ok(())
        } else {
            Err(format!("failed ({})", ended.status))
        }
    }

    fn failed(&self, action: &'static str, server: &str, problem: String) -> CredentialError {
        CredentialError::Helper {
            program: self.name.clone(),
            action,
            server: server.to_owned(),
            problem,
        }
    }

    /// Runs it with `input` on stdin. What it says on stderr may hold secrets and is not kept.
    fn run(&self, action: &str, input: &[u8]) -> Result<Ended, String> {
        let told = |error: io::Error| format!("cannot be run: {error}");
        let mut command = Command::new(&self.path);
        command
            .arg(action)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut running = Running(command.spawn().map_err(told)?);
        running.talk(input, self.patience)
    }
}

/// A helper that is ended when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Writes `input` and reads the output until it ends. The pipes never block: what a helper
    /// starts in the background may keep them open for ever.
    fn talk(&mut self, input: &[u8], patience: Duration) -> Result<Ended, String> {
        let told = |error: io::Error| format!("cannot be spoken with: {error}");
        let mut stdin = self.0.stdin.take();
        let mut stdout = self.0.stdout.take();
        let pipes = [
            stdin.as_ref().map(AsFd::as_fd),
            stdout.as_ref().map(AsFd::as_fd),
        ];
        for pipe in pipes.into_iter().flatten() {
            rustix::fs::fcntl_getfl(pipe)
                .and_then(|flags| rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK))
                .map_err(|error| told(error.into()))?;
        }
        let mut rest = input;
        let mut output = Zeroizing::new(Vec::with_capacity(LONGEST));
        let mut block = Zeroizing::new([0; 4096]);
        let started = Instant::now();
        loop {
            // Before the output is read: what it wrote before it ended is in the pipe then.
            let status = self.0.try_wait().map_err(told)?;
            let mut is_idle = true;
            if let Some(pipe) = &mut stdin {
                match pipe.write(rest) {
                    Ok(written) => {
                        is_idle = false;
                        rest = rest.get(written..).unwrap_or_default();
                    }
                    Err(error) if is_passing(&error) => {}
                    // It need not read what it does not want to know.
                    Err(_) => rest = &[],
                }
                if rest.is_empty() {
                    stdin = None;
                }
            }
            while let Some(pipe) = &mut stdout {
                match pipe.read(&mut *block) {
                    Ok(0) => stdout = None,
                    Ok(read) if output.len() + read > LONGEST => {
                        return Err(format!("says more than {LONGEST} bytes"));
                    }
                    Ok(read) => {
                        is_idle = false;
                        output.extend_from_slice(block.get(..read).unwrap_or_default());
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(told(error)),
                }
            }
            if let Some(status) = status {
                return Ok(Ended { status, output });
            }
            if started.elapsed() > patience {
                return Err(format!("gave no answer in {} s", patience.as_secs()));
            }
            if is_idle {
                std::thread::sleep(GLANCE);
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

/// The login in the answer to `get`.
fn login(output: &[u8]) -> Result<Option<Login>, &'static str> {
    let Ok(Json::Object(answer)) = serde_json::from_slice(output) else {
        return Err("gave an answer that is no JSON object");
    };
    let text = |name| match answer.get(name) {
        None | Some(Json::Null) => Ok(""),
        Some(Json::Text(text)) => Ok(text.as_str()),
        Some(_) => Err("gave an answer whose Username and Secret are no texts"),
    };
    let (username, secret) = (text("Username")?, text("Secret")?);
    Ok(match (username, secret) {
        (_, "") => None,
        (TOKEN, token) => Some(Login::IdentityToken(Secret::new(token.to_owned()))),
        _ => Some(Login::Password {
            username: username.to_owned(),
            password: Secret::new(secret.to_owned()),
        }),
    })
}
