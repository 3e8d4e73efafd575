#![allow(clippy::unwrap_used)]

mod configs;
mod finding;
mod keeping;
mod programs;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;

/// A home directory, and what the environment says.
struct Home {
    directory: TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Home {
    /// With nothing in it.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut home = Self {
            directory,
            variables: Vec::new(),
        };
        home.set("HOME", home.path(""));
        home.set("XDG_RUNTIME_DIR", home.path("run"));
        let bin = home.path("bin");
        fs::create_dir(&bin).unwrap();
        home.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.push((name.into(), value.into()));
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// A credential helper of these lines of shell.
    fn helper(&self, name: &str, script: &str) {
        let path = self.path(&format!("bin/docker-credential-{name}"));
        // By a process of its own: a file that this one has open for writing cannot be run, and
        // other tests start processes meanwhile.
        let mut writer = Command::new("sh")
            .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let content = format!("#!/bin/sh\n{script}\n");
        let mut stdin = writer.stdin.take().unwrap();
        stdin.write_all(content.as_bytes()).unwrap();
        drop(stdin);
        assert!(writer.wait().unwrap().success());
    }

    fn keychain(&self) -> Keychain {
        Keychain::of(self.variables.clone())
    }

    fn find(&self, repository: &str) -> Result<Option<Login>, CredentialError> {
        self.keychain().find(&repository.parse().unwrap())
    }

    fn found(&self, repository: &str) -> Option<Login> {
        self.find(repository).unwrap()
    }

    fn error(&self, repository: &str) -> String {
        self.find(repository).unwrap_err().to_string()
    }
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn password(username: &str, text: &str) -> Option<Login> {
    Some(Login::Password {
        username: username.to_owned(),
        password: secret(text),
    })
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A config with one password, that of `me` being `name`.
fn config(key: &str, name: &str) -> String {
    let auth = config::encoded("me", &secret(name));
    format!(r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#, auth.as_str())
}

#[test]
fn what_is_shown_for_debugging_has_no_secret() {
    let mut home = Home::new();
    home.set("GITHUB_TOKEN", "hunter2");
    for login in [
        password("me", "hunter2").unwrap(),
        Login::IdentityToken(secret("hunter2")),
        Login::RegistryToken(secret("hunter2")),
    ] {
        let keychain = home
            .keychain()
            .with("ghcr.io".parse().unwrap(), login.clone());
        let shown = format!("{login:?} {keychain:?} {:?}", keychain.places());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("Secret(…)"), "{shown}");
        assert!(shown.contains(".docker/config.json"), "{shown}");
    }
}

#[test]
fn a_given_login_comes_before_all_others() {
    let home = Home::new();
    home.write(".docker/config.json", "not even JSON");
    let given = password("me", "given").unwrap();
    let keychain = home.keychain().with("ghcr.io".parse().unwrap(), given);
    let found = keychain.find(&"ghcr.io/me/app".parse().unwrap()).unwrap();
    assert_eq!(found, password("me", "given"));
    // No other registry is told it.
    assert!(keychain.find(&"quay.io/me/app".parse().unwrap()).is_err());
}

#[test]
fn without_credentials_nothing_is_looked_for() {
    assert_eq!(Anonymous.find(&"app".parse().unwrap()).unwrap(), None);
    assert!(Anonymous.places().is_empty());
}
