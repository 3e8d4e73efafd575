//! `distrobuild rm`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Usage;
use super::args::RmArguments;
use super::terminal::Terminal;
use crate::report::human_size as human;
use crate::store::{self, Location};

/// Removes tags of layouts and archives; of each store all that are named, or none.
pub(super) fn run(arguments: &RmArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let mut stores: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for name in &arguments.images {
        let location = Location::parse(name).map_err(Usage::of)?;
        let reference = match location {
            Location::Disk(reference) => reference,
            // What is not on disk reads as a name in a registry, a mistyped layout too.
            Location::Registry(_) => {
                return Err(Usage(format!(
                    "rm removes tags of layouts and archives on disk, and {name} is not there: a registry's tags are removed by its own tools; a layout is named as app.oci:TAG or ./DIR:TAG"
                ))
                .into());
            }
        };
        let Some(tag) = reference.tag else {
            return Err(Usage(format!(
                "rm wants a tag: {name}:TAG (`distrobuild tags {name}` lists them); the whole store is removed with rm -r"
            ))
            .into());
        };
        stores.entry(reference.path).or_default().push(tag);
    }
    super::handle_signals(terminal);
    for (path, tags) in &stores {
        let removed = store::remove_tags(path, tags)?;
        let plural = if removed.blobs == 1 { "" } else { "s" };
        terminal.fact(
            "removed",
            &format!(
                "{} from {}: {} blob{plural}, {}",
                tags.join(", "),
                path.display(),
                removed.blobs,
                human(removed.bytes)
            ),
        );
    }
    Ok(ExitCode::SUCCESS)
}
