//! `distrobuild diff`.

use std::process::ExitCode;

use super::args::{DiffArguments, DiffForm};
use super::images::Images;
use super::terminal::Terminal;
use crate::report::{Details, Diff, Json, Markdown, Renderer, Subject};

/// Shows what two images have that is not the same.
pub(super) fn run(arguments: &DiffArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let images = Images::new(&arguments.registry, &[&arguments.after, &arguments.before])?;
    let platform = arguments.platform.as_ref();
    let before = images.open(&arguments.before)?;
    let after = images.open(&arguments.after)?;
    let (old, new) = (before.select(platform)?, after.select(platform)?);
    let diff = Diff::of_images(
        Subject {
            source: &*before.source,
            reference: before.shown(&arguments.before),
            manifest: &old,
        },
        Subject {
            source: &*after.source,
            reference: after.shown(&arguments.after),
            manifest: &new,
        },
    )?;
    match arguments.format {
        DiffForm::Table => terminal.result(&terminal.renderer().diff(&diff))?,
        DiffForm::Json => terminal.document(Json.diff(&diff))?,
        DiffForm::Markdown => terminal.document(Markdown.diff(&diff))?,
    }
    let is_same = diff.details.as_ref().is_some_and(Details::is_same_image);
    Ok(match arguments.exit_code && !is_same {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
