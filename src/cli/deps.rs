//! `distrobuild deps`.

use std::fmt::Write;
use std::process::ExitCode;

use super::args::Deps;
use super::base::Ground;
use super::build::apply_search;
use super::images::Images;
use super::terminal::Terminal;
use crate::build::Builder;
use crate::plugins::Rules;
use crate::report::deps;
use crate::rootfs::Base;

/// Shows the closure of a program; exit code 1 when something is missing.
pub(super) fn run(arguments: &Deps, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    if arguments.rules {
        return rules(terminal);
    }
    // clap requires APP unless `--rules` was given.
    let app = arguments.app.clone().unwrap_or_default();
    let mut builder = Builder::new(app, Base::none());
    builder.scratch = super::made::directory();
    apply_search(&mut builder, &arguments.search)?;
    let images = Images::new(&arguments.registry, &[&arguments.base.base])?;
    let base = &arguments.base;
    let mut ground = Ground::of(base, &builder.app, None, true, &images, terminal)?;
    ground.lay_system(&mut builder, terminal)?;
    let resolved = builder.resolve()?;
    match arguments.json {
        true => terminal.document(&deps::json(&resolved.closure, &resolved.companions)?)?,
        false => {
            let tree = deps::tree(&resolved.closure);
            terminal.result(&(tree + &deps::companions(&resolved.companions)))?;
        }
    }
    for notice in &resolved.notices {
        terminal.warn(notice);
    }
    let complete = resolved.closure.is_complete();
    let missing = resolved.closure.missing.iter();
    let missing: Vec<String> = missing
        .map(|library| library.name.to_string_lossy().into_owned())
        .collect();
    if !missing.is_empty() {
        ground.tell_missing(&missing, terminal);
    }
    // The process ends here: thousands of small pieces need not be given back one by one.
    std::mem::forget(resolved);
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lists the rules, a line each: those that apply by themselves, and those to ask for.
fn rules(terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let rules = Rules::built_in()?;
    let mut text = String::new();
    for (heading, default) in [
        ("Applied where they fit (--without NAME)", true),
        ("Applied when asked for (--with NAME)", false),
    ] {
        let _ = writeln!(text, "{heading}:");
        for rule in rules.iter().filter(|rule| rule.default == default) {
            let _ = writeln!(text, "  {:<18} {}", rule.name, rule.reason);
        }
    }
    terminal.result(&text)?;
    Ok(ExitCode::SUCCESS)
}
