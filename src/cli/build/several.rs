//! One image for several platforms.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::{Prepared, Staging, key, named, open_cache, push, sign, tree, written};
use crate::cli::args::{Build, ReportForm};
use crate::cli::images::Images;
use crate::cli::terminal::Terminal;
use crate::cli::{OVER_BUDGET, Usage, handle_signals, report, transfers};
use crate::image::Platform;
use crate::layer::Cache;
use crate::transfer::Target;

/// Builds for each platform, and puts all of them under one name: all or none.
pub(super) fn run(
    arguments: Build,
    images: &Images,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    check(&arguments)?;
    let key = key(&arguments, terminal)?;
    let mut prepared = Vec::new();
    for platform in &arguments.platform {
        let own = filled_in(&arguments, platform);
        terminal.fact("platform", &platform.to_string());
        let one = Prepared::new(&own, Some(platform), images, terminal)
            .with_context(|| format!("{platform} cannot be built"))?;
        if arguments.dry_run {
            terminal.result(&format!("# {platform}\n{}", tree(&one.plan)))?;
            continue;
        }
        match runs_here(platform) {
            true => one.prove(&own, terminal)?,
            false if own.smoke.is_wanted() => terminal.warn(&format!(
                "{platform} is not started: this machine is {}",
                Platform::host()
            )),
            false => {}
        }
        prepared.push(one);
    }
    let Some(first) = prepared.first() else {
        return Ok(ExitCode::SUCCESS);
    };
    handle_signals(terminal);
    let cache = open_cache(&arguments, terminal);
    let staging = Staging::new()?;
    let destination = first.destination.clone();
    let is_on_disk = arguments.output.is_some() || arguments.push.is_empty();
    let form = arguments.report.unwrap_or(ReportForm::Table);
    let shown = match (is_on_disk, arguments.push.first()) {
        (false, Some(reference)) => transfers::named(reference),
        _ => first.output(&arguments, None, terminal).reference(),
    };
    let mut reports = Vec::new();
    for one in &prepared {
        let mut output = one.output(&arguments, cache.as_ref(), terminal);
        output.destination = staging.destination();
        output.name = Some(shown.clone());
        let built = match one.plan.write(&output) {
            Err(crate::Error::OverBudget { excess, report }) => {
                if !terminal.is_quiet() || arguments.report.is_some() {
                    report::show(*report, &one.against, form, terminal)?;
                }
                terminal.error(&anyhow::anyhow!(
                    "{}: {excess}; nothing was written",
                    one.plan.platform
                ));
                return Ok(ExitCode::from(OVER_BUDGET));
            }
            result => result?,
        };
        terminal.built(&built, &output);
        reports.push((built.report, &one.against));
    }
    if let Some(reason) = cache.as_ref().and_then(Cache::degraded) {
        terminal.warn(&reason);
    }
    if let Some(key) = &key {
        sign(&arguments, key, &staging.destination(), images, terminal)?;
    }
    if is_on_disk {
        let opened = images.open_at(written(&arguments, &staging.destination()))?;
        let chosen = transfers::chosen_attached(&opened, None, false, terminal)?;
        let target = Target::Disk {
            destination,
            tag: arguments.tag.clone(),
        };
        let copied = transfers::copy("write", &opened, &chosen, &target, images, terminal)?;
        terminal.fact("index", &format!("{shown} {}", copied.root.digest()));
    }
    let pushed = push(&arguments, &staging.destination(), images, terminal)?;
    terminal.apart();
    if arguments.timings || terminal.is_verbose() {
        terminal.timings();
    }
    match arguments.report {
        None if terminal.is_quiet() => terminal.result(&named(&shown, is_on_disk, &pushed))?,
        _ => report::show_all(reports, form, terminal)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses what makes no sense for several platforms.
fn check(arguments: &Build) -> Result<(), Usage> {
    let mut seen: Vec<Platform> = Vec::new();
    for platform in &arguments.platform {
        if seen.iter().any(|other| other.matches(platform)) {
            return Err(Usage(format!("--platform names {platform} twice")));
        }
        seen.push(platform.clone());
    }
    let problem = match arguments {
        Build { trace, .. } if trace.is_wanted() => {
            "--trace runs the app on this machine: trace one platform, and give its list to all with --profile"
        }
        Build {
            format: crate::cli::args::Format::DockerArchive,
            ..
        } => "a docker archive holds one platform: leave out --format docker-archive",
        _ => return Ok(()),
    };
    Err(Usage(problem.to_owned()))
}

/// Whether this machine can start an image for `platform`.
fn runs_here(platform: &Platform) -> bool {
    platform.matches(&Platform::host())
}

/// The arguments with the words for one platform in the place of `{arch}` and the like.
pub(super) fn filled_in(arguments: &Build, platform: &Platform) -> Build {
    let mut own = arguments.clone();
    let fill = |path: &Path| filled(path, platform);
    own.app = own.app.as_deref().map(fill);
    own.search.sysroot = own.search.sysroot.as_deref().map(fill);
    own.search.library_path = own
        .search
        .library_path
        .iter()
        .map(|path| fill(path))
        .collect();
    own.search.include = own
        .search
        .include
        .into_iter()
        .map(|include| include.with_source(|source| fill(&source)))
        .collect();
    own
}

/// `path` with `{arch}`, `{machine}`, `{os}` and `{variant}` replaced.
fn filled(path: &Path, platform: &Platform) -> PathBuf {
    // A path that is not Unicode has none of the words that matter, or keeps them.
    let Some(text) = path.to_str() else {
        return path.to_path_buf();
    };
    let machine = match platform.architecture.as_str() {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "386" => "i686",
        other => other,
    };
    text.replace("{arch}", &platform.architecture)
        .replace("{machine}", machine)
        .replace("{os}", &platform.os)
        .replace("{variant}", platform.variant.as_deref().unwrap_or(""))
        .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(text: &str, platform: &str) -> PathBuf {
        filled(Path::new(text), &platform.parse().unwrap())
    }

    #[test]
    fn a_path_has_a_word_for_each_platform() {
        assert_eq!(
            of("out/{arch}/app", "linux/arm64"),
            Path::new("out/arm64/app")
        );
        assert_eq!(
            of("target/{machine}-unknown-{os}-gnu/app", "linux/amd64"),
            Path::new("target/x86_64-unknown-linux-gnu/app")
        );
        assert_eq!(of("{arch}{variant}", "linux/arm/v7"), Path::new("armv7"));
        assert_eq!(of("a{b}c", "linux/amd64"), Path::new("a{b}c"));
    }
}
