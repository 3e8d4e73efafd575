//! `distrobuild cache`.

use std::process::ExitCode;

use anyhow::Context;

use super::args::{CacheAction, CacheArguments};
use super::terminal::Terminal;
use crate::layer::{Cache, CacheSummary};
use crate::report::human_size as human;

/// Shows or prunes the cache.
pub(super) fn run(arguments: &CacheArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let cache = open()?;
    match &arguments.action {
        None | Some(CacheAction::Show) => terminal.result(&shown(
            &cache.summary().with_context(|| failed(&cache, "read"))?,
        ))?,
        Some(CacheAction::Prune { keep }) => {
            let freed = cache
                .prune(keep.bytes())
                .with_context(|| failed(&cache, "pruned"))?;
            terminal.result(&format!("freed {}\n", human(freed.bytes)))?;
        }
        Some(CacheAction::Clear) => {
            let freed = cache.clear().with_context(|| failed(&cache, "cleared"))?;
            terminal.result(&format!("freed {}\n", human(freed.bytes)))?;
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

fn shown(summary: &CacheSummary) -> String {
    format!(
        "directory  {}\nsize       {} of {} at most\nmembers    {}\nlayers     {}\n",
        summary.directory.display(),
        human(summary.bytes),
        human(summary.limit),
        summary.members,
        summary.layers,
    )
}
