//! `distrobuild login` and `distrobuild logout`.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use super::Usage;
use super::args::{LoginArguments, LogoutArguments};
use super::images::password_of_stdin;
use super::terminal::Terminal;
use super::typed;
use crate::registry::credentials::{Keychain, Login, Secret, Stored};
use crate::registry::{Client, Credentials, Host, Options, RegistryError};

/// How a password comes in that cannot be typed.
const OTHERWISE: &str = "pipe it in, with --password-stdin";

/// Logs in: asks for what is missing, checks it against the registry, and keeps it.
pub(super) fn run(arguments: &LoginArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let host = &arguments.host;
    let (username, password) = who(arguments, terminal)?;
    // After the questions, which have handlers of their own: a file with a password that is being
    // written must not stay aside.
    if let Err(error) = crate::store::install() {
        terminal.warn(&format!("Ctrl-C may leave a temporary file: {error}"));
    }
    let keychain = Keychain::of_environment();
    let options = Options {
        insecure: arguments.insecure.clone(),
        ca_files: arguments.ca_file.clone(),
        ..Options::default()
    };
    let stored = keep(&keychain, host, &username, &password, |login| {
        let keychain = keychain.clone().with(host.clone(), login);
        Client::new(options, Arc::new(keychain)).check(host)
    })?;
    terminal.fact(
        "login",
        &format!("{host} as {username}, kept in {}", stored.place),
    );
    if stored.is_plain {
        terminal.warn(&format!(
            "whoever can read {} can read the password: a credential helper (`credsStore` in that file) keeps it safe, and a token instead of the password can be revoked",
            stored.place
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// `distrobuild logout`.
pub(super) fn forget(arguments: &LogoutArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    if let Err(error) = crate::store::install() {
        terminal.warn(&format!("Ctrl-C may leave a temporary file: {error}"));
    }
    let keychain = Keychain::of_environment();
    let host = &arguments.host;
    let places = keychain.erase(host)?;
    if places.is_empty() {
        let places = keychain.places().join(", ");
        terminal.fact(
            "logout",
            &format!("there was no login for {host} in {places}"),
        );
    }
    for place in places {
        terminal.fact("logout", &format!("{host} is forgotten in {place}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps a login that `check` lets pass.
fn keep(
    keychain: &Keychain,
    host: &Host,
    username: &str,
    password: &Secret,
    check: impl FnOnce(Login) -> Result<(), RegistryError>,
) -> anyhow::Result<Stored> {
    let login = Login::password(username, password.clone())?;
    check(login).with_context(|| format!("not logged in to {host}, and nothing is kept"))?;
    keychain
        .store(host, username, password)
        .with_context(|| format!("{host} lets {username} in, but the login could not be kept"))
}

/// The user name and the password: given, or asked for.
fn who(arguments: &LoginArguments, terminal: &Terminal) -> anyhow::Result<(String, Secret)> {
    let host = &arguments.host;
    if arguments.password_stdin {
        let Some(username) = &arguments.username else {
            return Err(Usage(format!(
                "--password-stdin needs the user name, too: distrobuild login {host} --username NAME --password-stdin"
            ))
            .into());
        };
        return Ok((username.clone(), password_of_stdin()?));
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let name = arguments.username.as_deref().unwrap_or("NAME");
        anyhow::bail!(
            "the password for {host} cannot be asked for, as stdin is no terminal: pipe it in, as in: printenv TOKEN | distrobuild login {host} --username {name} --password-stdin"
        );
    }
    let username = match &arguments.username {
        Some(username) => username.clone(),
        None => {
            terminal.prompt(&format!("user name for {host}:"));
            let line =
                typed::line(stdin.as_fd(), OTHERWISE).context("cannot read the user name")?;
            line.trim().to_owned()
        }
    };
    if username.is_empty() {
        anyhow::bail!("no user name was given for {host}");
    }
    let prompt = || terminal.prompt(&format!("password or token of {username} for {host}:"));
    let password =
        typed::hidden(stdin.as_fd(), OTHERWISE, prompt).context("cannot read the password")?;
    if password.is_empty() {
        anyhow::bail!("no password was given for {username} at {host}");
    }
    Ok((username, Secret::new((*password).clone())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn home() -> (tempfile::TempDir, Keychain) {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("auth.json");
        let keychain = Keychain::of([("REGISTRY_AUTH_FILE".into(), file.into())]);
        (home, keychain)
    }

    fn refusal() -> RegistryError {
        "App"
            .parse::<crate::registry::Reference>()
            .unwrap_err()
            .into()
    }

    #[test]
    fn a_login_that_the_registry_refuses_is_not_kept() {
        let (home, keychain) = home();
        let host: Host = "ghcr.io".parse().unwrap();
        let password = Secret::new("hunter2".to_owned());
        let result = keep(&keychain, &host, "me", &password, |_| Err(refusal()));
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains("not logged in to ghcr.io"), "{error}");
        assert!(error.contains("lower case"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert!(!home.path().join("auth.json").exists());
    }

    #[test]
    fn a_login_that_the_registry_takes_is_kept() {
        let (_home, keychain) = home();
        let host: Host = "ghcr.io".parse().unwrap();
        let password = Secret::new("hunter2".to_owned());
        let mut asked = None;
        let stored = keep(&keychain, &host, "me", &password, |login| {
            asked = Some(login);
            Ok(())
        });
        assert!(stored.unwrap().is_plain);
        let found = keychain.find(&"ghcr.io/x/y".parse().unwrap()).unwrap();
        assert!(found.is_some());
        assert_eq!(found, asked);
    }

    #[test]
    fn a_user_name_with_a_colon_is_refused_before_the_registry_is_asked() {
        let (_home, keychain) = home();
        let host: Host = "ghcr.io".parse().unwrap();
        let password = Secret::new("hunter2".to_owned());
        let result = keep(&keychain, &host, "a:b", &password, |_| panic!("asked"));
        assert!(result.unwrap_err().to_string().contains("a colon"));
    }
}
