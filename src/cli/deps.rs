//! `distrobuild deps`.

use std::process::ExitCode;

use super::args::Deps;
use super::build::apply_search;
use super::terminal::Terminal;
use crate::build::Builder;
use crate::report::deps;
use crate::rootfs::Base;

/// Shows the closure of a program; exit code 1 when something is missing.
pub(super) fn run(arguments: &Deps, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let mut builder = Builder::new(&arguments.app, Base::none());
    apply_search(&mut builder, &arguments.search)?;
    let resolved = builder.resolve()?;
    match arguments.json {
        true => terminal.document(&deps::json(&resolved.closure)?)?,
        false => terminal.result(&deps::tree(&resolved.closure))?,
    }
    let complete = resolved.closure.is_complete();
    // The process ends here: thousands of small pieces need not be given back one by one.
    std::mem::forget(resolved);
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
