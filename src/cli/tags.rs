//! `distrobuild tags`.

use std::process::ExitCode;

use super::Usage;
use super::args::TagsArguments;
use super::images::Images;
use super::terminal::{Terminal, harmless};
use crate::store::{self, Location};

/// Lists the tags of a repository, a layout or an archive, one a line.
pub(super) fn run(arguments: &TagsArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let location = Location::parse(&arguments.repository).map_err(Usage::of)?;
    let (name, tags) = match &location {
        Location::Disk(reference) => {
            if let Some(tag) = &reference.tag {
                return Err(Usage(format!(
                    "tags lists those of a whole store; leave out :{tag}"
                ))
                .into());
            }
            (
                location.to_string(),
                store::tags(&*store::open(reference)?)?,
            )
        }
        Location::Registry(reference) => {
            if reference.tag.is_some() || reference.digest.is_some() {
                return Err(Usage(format!(
                    "tags lists those of a repository: give {} alone",
                    reference.repository
                ))
                .into());
            }
            let images = Images::new(&arguments.registry, &[&arguments.repository])?;
            let tags = images.client().tags(&reference.repository)?;
            (reference.repository.to_string(), tags)
        }
    };
    if arguments.json {
        let document = serde_json::json!({
            "schema": "distrobuild.tags/1",
            "name": name,
            "tags": tags,
        });
        terminal.document(format!("{document}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines: String = tags
        .iter()
        .map(|tag| format!("{}\n", harmless(tag)))
        .collect();
    terminal.result(&lines)?;
    Ok(ExitCode::SUCCESS)
}
