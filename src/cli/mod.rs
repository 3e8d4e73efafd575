//! The command line: parses, calls the library, shows.

mod args;
mod build;
mod cache;
mod deps;
mod report;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Arguments, Command};
use terminal::Terminal;

/// Parses the process's arguments, runs the command and returns the exit code:
/// 0 for success, 1 for an error, 2 for wrong usage, 3 for an image over its size budget.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.color.color.write_global();
    if let Some(shell) = arguments.completions {
        clap_complete::generate(
            shell,
            &mut Arguments::command(),
            "distrobuild",
            &mut std::io::stdout(),
        );
        return ExitCode::SUCCESS;
    }
    let terminal = Terminal::new(arguments.verbosity.level());
    let result = match arguments.command {
        Some(Command::Build(build)) => build::run(*build, &terminal),
        Some(Command::Deps(deps)) => deps::run(&deps, &terminal),
        Some(Command::Report(report)) => report::run(&report, &terminal),
        Some(Command::Cache(cache)) => cache::run(&cache, &terminal),
        None => build::run(arguments.build, &terminal),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(
                error
                    .downcast_ref::<crate::Error>()
                    .map_or(1, crate::Error::exit_code),
            )
        }
    }
}
