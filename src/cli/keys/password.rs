//! Passwords of key files: from the variable, or typed.

use std::io::{IsTerminal, Stdin};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use anyhow::Context;
use zeroize::Zeroizing;

use crate::cli::terminal::Terminal;
use crate::cli::typed;
use crate::sign::key::Password;

/// How a password comes in that cannot be typed.
const OTHERWISE: &str = "put it into COSIGN_PASSWORD";

/// The password of the key file `name`, which is there.
pub(super) fn of_key(name: &str, terminal: &Terminal) -> anyhow::Result<Password> {
    match of_variable() {
        Some(password) => Ok(password),
        None => typed(
            &on_terminal(name)?,
            &format!("password of {name}:"),
            terminal,
        ),
    }
}

/// The password of the key file `name`, which is to be made: typed twice, so that it is what the
/// person means.
pub(super) fn of_new(name: &str, terminal: &Terminal) -> anyhow::Result<Password> {
    if let Some(password) = of_variable() {
        return Ok(password);
    }
    let stdin = on_terminal(name)?;
    let first = typed(&stdin, &format!("new password for {name}:"), terminal)?;
    let second = typed(&stdin, "the same again:", terminal)?;
    if first != second {
        anyhow::bail!("the passwords are not the same, and nothing was written: try again");
    }
    if first == none() {
        terminal.warn(&format!(
            "{name} has no password: whoever can read it can sign with it"
        ));
    }
    Ok(first)
}

/// The password of another tool's key. `COSIGN_PASSWORD` is that of the file to be made, so a
/// person is asked for this one; without a terminal, the key keeps its password.
pub(super) fn of_foreign(name: &str, terminal: &Terminal) -> anyhow::Result<Password> {
    match on_terminal(name) {
        Ok(stdin) => typed(&stdin, &format!("password of {name}:"), terminal),
        Err(error) => of_variable().ok_or(error),
    }
}

/// No password.
pub(super) fn none() -> Password {
    Password::new(Zeroizing::default())
}

/// That in the variable, which may be empty, and any bytes.
fn of_variable() -> Option<Password> {
    let value = std::env::var_os(Password::VARIABLE)?;
    Some(Password::new(Zeroizing::new(value.into_vec())))
}

/// Where a person types.
fn on_terminal(name: &str) -> anyhow::Result<Stdin> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let variable = Password::VARIABLE;
        anyhow::bail!(
            "the password for {name} cannot be asked for, as stdin is no terminal: put it into {variable} (`{variable}=` when there is none)"
        );
    }
    Ok(stdin)
}

fn typed(stdin: &Stdin, prompt: &str, terminal: &Terminal) -> anyhow::Result<Password> {
    let typed = typed::hidden(stdin.as_fd(), OTHERWISE, || terminal.prompt(prompt))
        .context("cannot read the password")?;
    Ok(Password::new(Zeroizing::new(typed.as_bytes().to_vec())))
}
