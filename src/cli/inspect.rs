//! `distrobuild inspect`.

use std::process::ExitCode;

use super::args::InspectArguments;
use super::images::{Images, Opened};
use super::terminal::Terminal;
use crate::report::{Inspection, Json, root};
use crate::store::{is_index, read_document, read_manifest};

/// Shows what an image's documents say.
pub(super) fn run(arguments: &InspectArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let images = Images::new(&arguments.registry, &[&arguments.image])?;
    let opened = images.open(&arguments.image)?;
    if arguments.raw || arguments.config {
        terminal.document(bytes(&opened, arguments)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let inspection = Inspection::of(
        &*opened.source,
        opened.shown(&arguments.image),
        opened.tag.as_deref(),
        arguments.platform.as_ref(),
    )?;
    if arguments.json {
        terminal.document(Json.inspection(&inspection))?;
    } else {
        terminal.result(&terminal.renderer().inspection(&inspection))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The manifest, the index or the config as it is.
fn bytes(opened: &Opened, arguments: &InspectArguments) -> anyhow::Result<Vec<u8>> {
    let source = &*opened.source;
    let platform = arguments.platform.as_ref();
    // An artifact has no platform, so that it cannot be chosen by one.
    let descriptor = match platform {
        None => root(source, opened.tag.as_deref())?,
        Some(_) => None,
    };
    let descriptor = match descriptor {
        Some(root) if arguments.raw || !is_index(root.media_type()) => root,
        _ => opened.select(platform)?,
    };
    if arguments.raw {
        return Ok(read_document(source, &descriptor)?);
    }
    let manifest = read_manifest(source, &descriptor)?;
    Ok(read_document(source, manifest.config())?)
}
