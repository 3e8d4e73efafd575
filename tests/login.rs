//! `login` and `logout` as a user meets them, as far as no registry is asked.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::termios::{LocalModes, tcgetattr};

fn distrobuild(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distrobuild"));
    command
        .args(arguments)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("DOCKER_CONFIG")
        .env_remove("REGISTRY_AUTH_FILE")
        .stdin(Stdio::null());
    command
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    distrobuild(home, arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "nothing of it is a result");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_password_is_not_asked_for_without_a_terminal() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &["login", "ghcr.io", "-u", "me"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no terminal"), "{said}");
    assert!(
        said.contains("distrobuild login ghcr.io --username me --password-stdin"),
        "{said}"
    );
}

#[test]
fn a_password_on_stdin_needs_a_user_name() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), &["login", "--password-stdin"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--username NAME"), "{said}");
}

#[test]
fn logout_says_where_there_was_a_login() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join(".docker/config.json");
    fs::create_dir(home.path().join(".docker")).unwrap();
    fs::write(&config, r#"{"auths":{"ghcr.io":{"auth":"bWU6eA=="}}}"#).unwrap();
    let output = run(home.path(), &["logout", "ghcr.io"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("forgotten in ~/.docker/config.json"),
        "{said}"
    );
    assert!(!fs::read_to_string(&config).unwrap().contains("ghcr.io"));
    let output = run(home.path(), &["logout", "ghcr.io"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("no login for ghcr.io"), "{said}");
}

/// `login` at the question for the password, the person's side of its terminal, and the other.
fn asking(home: &Path) -> (Child, File, OwnedFd) {
    let pair = nix::pty::openpty(None, None).unwrap();
    let mut child = distrobuild(home, &["login", "ghcr.io", "-u", "me"])
        .stdin(pair.slave.try_clone().unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut byte = [0];
    while !said.contains("for ghcr.io:") {
        let read = child.stderr.as_mut().unwrap().read(&mut byte).unwrap();
        assert_eq!(read, 1, "it asks: {said}");
        said.push(char::from(byte[0]));
    }
    assert!(!echoes(&pair.slave));
    (child, File::from(pair.master), pair.slave)
}

fn echoes(terminal: &OwnedFd) -> bool {
    tcgetattr(terminal)
        .unwrap()
        .local_modes
        .contains(LocalModes::ECHO)
}

#[test]
fn a_signal_at_the_question_leaves_a_terminal_that_shows_what_is_typed() {
    let home = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let (mut child, _person, terminal) = asking(home.path());
        let process = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(process, signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(128 + signal as i32));
        assert!(echoes(&terminal), "{signal}");
    }
}

#[test]
fn no_password_is_no_login() {
    let home = tempfile::tempdir().unwrap();
    for typed in [&b"\n"[..], &[4]] {
        let (mut child, mut person, terminal) = asking(home.path());
        person.write_all(typed).unwrap();
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert!(said.contains("no password was given for me"), "{said}");
        assert!(echoes(&terminal));
    }
    assert!(!home.path().join(".docker").exists());
}
