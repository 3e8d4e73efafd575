//! The command line: parses, calls the library, shows.

mod args;
mod base;
mod bases;
mod build;
mod cache;
mod copy;
mod deps;
mod diff;
mod images;
mod index;
mod inspect;
mod keys;
mod load;
mod login;
mod made;
mod order;
mod pull;
mod push;
mod rebase;
mod report;
mod rm;
mod sign;
mod tags;
mod terminal;
mod transfers;
mod typed;
mod verify;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};

use args::{Arguments, Command};
use terminal::Terminal;

/// Parses the process's arguments, runs the command and returns the exit code:
/// 0 for success, 1 for an error, 2 for wrong usage, 3 for an image over its size budget.
pub fn main() -> ExitCode {
    let arguments = order::globals_after_command(std::env::args_os());
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => without_passwords(error).exit(),
    };
    arguments.color.color.write_global();
    let terminal = Terminal::new(arguments.verbosity.level());
    if let Some(shell) = arguments.completions {
        return ended(completions(shell, &terminal), &terminal);
    }
    let result = match arguments.command {
        Some(Command::Build(build)) => build::run(*build, &terminal),
        Some(Command::Deps(deps)) => deps::run(&deps, &terminal),
        Some(Command::Report(report)) => report::run(&report, &terminal),
        Some(Command::Diff(diff)) => diff::run(&diff, &terminal),
        Some(Command::Inspect(inspect)) => inspect::run(&inspect, &terminal),
        Some(Command::Push(push)) => push::run(&push, &terminal),
        Some(Command::Pull(pull)) => pull::run(&pull, &terminal),
        Some(Command::Copy(copy)) => copy::run(&copy, &terminal),
        Some(Command::Tags(tags)) => tags::run(&tags, &terminal),
        Some(Command::Rm(rm)) => rm::run(&rm, &terminal),
        Some(Command::Index(index)) => index::run(&index, &terminal),
        Some(Command::Rebase(rebase)) => rebase::run(&rebase, &terminal),
        Some(Command::Load(load)) => load::run(&load, &terminal),
        Some(Command::Login(login)) => login::run(&login, &terminal),
        Some(Command::Logout(logout)) => login::forget(&logout, &terminal),
        Some(Command::Keygen(keygen)) => keys::generate(&keygen, &terminal),
        Some(Command::ImportKeyPair(import)) => keys::import(&import, &terminal),
        Some(Command::PublicKey(key)) => keys::public(&key, &terminal),
        Some(Command::Sign(sign)) => sign::run(&sign, &terminal),
        Some(Command::Attest(attest)) => sign::attest(&attest, &terminal),
        Some(Command::Verify(verify)) => verify::run(&verify, &terminal),
        Some(Command::VerifyAttestation(verify)) => verify::attestation(&verify, &terminal),
        Some(Command::Bases(bases)) => bases::run(bases, &terminal),
        Some(Command::Cache(cache)) => cache::run(&cache, &terminal),
        None => build::run(arguments.build, &terminal),
    };
    ended(result, &terminal)
}

/// What clap says of the arguments, without a password or a key in what it repeats of them: a name
/// such as `https://me:password@ghcr.io` is refused, and must not stand in a log for that.
fn without_passwords(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg] {
        let Some(ContextValue::String(value)) = error.get(kind) else {
            continue;
        };
        // A key's text in place of its file's name.
        let is_key = value.contains("-----BEGIN");
        let harmless = if is_key {
            "-----BEGIN…".to_owned()
        } else if value.contains('@') || value.contains("://") {
            crate::registry::harmless(value)
        } else {
            continue;
        };
        error.insert(kind, ContextValue::String(harmless));
        // What clap suggests repeats all of it.
        error.remove(ContextKind::Suggested);
        if is_key {
            let tip = "a key is named by its file, or as env://NAME: everyone on this machine sees an argument, so make a new key if that was a private one";
            let tips = ContextValue::StyledStrs(vec![tip.into()]);
            error.insert(ContextKind::Suggested, tips);
        }
    }
    error
}

fn completions(shell: clap_complete::Shell, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    // By way of memory: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "distrobuild", &mut script);
    terminal.result(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Lets a signal that ends the program remove its temporary files first.
fn handle_signals(terminal: &Terminal) {
    if let Err(error) = crate::store::install() {
        terminal.warn(&format!(
            "signals cannot be handled ({error}): stopping this may leave temporary files"
        ));
    }
}

/// The exit code for an image that is larger than `--max-size` allows.
const OVER_BUDGET: u8 = 3;

/// An argument that is wrong by itself, whatever is on the disk.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

impl Usage {
    fn of(error: impl Into<anyhow::Error>) -> Self {
        Self(format!("{:#}", error.into()))
    }
}

/// The exit code, after the error has been shown.
fn ended(result: anyhow::Result<ExitCode>, terminal: &Terminal) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}
