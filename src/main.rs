//! The command line of distrobuild. All of it is in [`distrobuild::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    distrobuild::helper::play().unwrap_or_else(distrobuild::cli::main)
}
