//! `distrobuild bases`.

#[cfg(feature = "debian")]
mod packages;
mod slim;

use std::fmt::Write;
use std::process::ExitCode;

use super::args::{BasesAction, BasesArguments};
use super::terminal::Terminal;
use crate::rootfs::Base;

/// Lists bases, shows one, or locks their packages.
pub(super) fn run(arguments: BasesArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    match arguments.action {
        None => list(false, terminal),
        Some(BasesAction::List { json }) => list(json, terminal),
        Some(BasesAction::RefreshSlim {
            file,
            only,
            unpacked,
            dry_run,
            registry,
        }) => slim::refresh(&file, &only, unpacked, dry_run, &registry, terminal),
        #[cfg(feature = "debian")]
        Some(BasesAction::Show {
            base,
            package,
            arch,
            json,
            archives,
        }) => packages::show(&base, package, arch, json, &archives, terminal),
        #[cfg(feature = "debian")]
        Some(BasesAction::Lock {
            base,
            package,
            arch,
            lock,
            archives,
        }) => packages::lock(&base, &package, &arch, &lock, &archives, terminal),
        #[cfg(feature = "debian")]
        Some(BasesAction::Update {
            base,
            lock,
            dry_run,
            archives,
        }) => packages::update(&base, &lock, dry_run, &archives, terminal),
    }
}

/// All bases, a line each.
fn list(json: bool, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let embedded = Base::available()
        .into_iter()
        .map(|base| (base.name, base.description));
    #[cfg(feature = "debian")]
    let embedded = embedded.chain(packages::all()?);
    let all: Vec<(String, String)> = embedded.collect();
    if json {
        let all: Vec<_> = all
            .iter()
            .map(
                |(name, description)| serde_json::json!({"name": name, "description": description}),
            )
            .collect();
        let mut text = serde_json::to_string_pretty(&all)?;
        text.push('\n');
        terminal.document(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, description) in &all {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<width$}  {description}");
    }
    terminal.result(&text)?;
    Ok(ExitCode::SUCCESS)
}
