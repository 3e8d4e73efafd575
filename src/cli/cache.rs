//! `distrobuild cache`.

use std::process::ExitCode;

use anyhow::Context;

use super::args::{CacheAction, CacheArguments};
use super::made;
use super::terminal::Terminal;
use crate::layer::{Cache, CacheSummary};
use crate::report::human_size as human;

/// Shows or prunes the cache.
pub(super) fn run(arguments: &CacheArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let cache = open()?;
    match &arguments.action {
        None | Some(CacheAction::Show) => {
            let failed = || failed(&cache, "read");
            let summary = cache.summary().with_context(failed)?;
            let made = made::size().with_context(failed)?;
            let packages = made::packages_size().with_context(failed)?;
            let parents = made::parents_size().with_context(failed)?;
            terminal.result(&shown(&summary, made, packages, parents))?;
        }
        Some(CacheAction::Prune { keep }) => {
            let failed = || failed(&cache, "pruned");
            let layers = cache.prune(keep.bytes()).with_context(failed)?.bytes;
            let left = cache.summary().with_context(failed)?.bytes;
            let keep = keep.bytes().saturating_sub(left);
            let made = made::prune(keep).with_context(failed)?;
            let keep = keep.saturating_sub(made::size().with_context(failed)?);
            let packages = made::prune_packages(keep).with_context(failed)?;
            let keep = keep.saturating_sub(made::packages_size().with_context(failed)?);
            let parents = made::prune_parents(keep).with_context(failed)?;
            let freed = layers + made + packages + parents;
            terminal.result(&format!("freed {}\n", human(freed)))?;
        }
        Some(CacheAction::Clear) => {
            let failed = || failed(&cache, "cleared");
            let layers = cache.clear().with_context(failed)?.bytes;
            let made = made::prune(0).with_context(failed)?;
            let packages = made::prune_packages(0).with_context(failed)?;
            let parents = made::prune_parents(0).with_context(failed)?;
            let freed = layers + made + packages + parents;
            terminal.result(&format!("freed {}\n", human(freed)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(cache: &Cache, what: &str) -> String {
    let directory = cache.directory().display();
    format!("the cache in {directory} cannot be {what}")
}

/// The cache in its usual place.
pub(super) fn open() -> anyhow::Result<Cache> {
    let directory = Cache::default_directory()
        .context("there is no place for a cache: set XDG_CACHE_HOME or HOME to a directory that can be written")?;
    Ok(Cache::open(directory, Cache::DEFAULT_LIMIT))
}

fn shown(summary: &CacheSummary, made: u64, packages: u64, parents: u64) -> String {
    format!(
        "directory  {}\nsize       {} of {} at most\nmembers    {}\nlayers     {}\nmade       {} (Java runtimes, compiled Python)\npackages   {} (of bases)\nimages     {} (that others are built on)\n",
        summary.directory.display(),
        human(summary.bytes),
        human(summary.limit),
        summary.members,
        summary.layers,
        human(made),
        human(packages),
        human(parents),
    )
}
