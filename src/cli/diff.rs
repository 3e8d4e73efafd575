//! `distrobuild diff`.

use std::process::ExitCode;

use oci_spec::image::Descriptor;

use super::args::{DiffArguments, DiffForm};
use super::images::{Images, Opened};
use super::terminal::Terminal;
use crate::image::Platform;
use crate::report::{Details, Diff, Json, Markdown, Renderer, Subject};
use crate::store;

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
    let elsewhere = match platform {
        Some(_) => Vec::new(),
        None => differing((&before, &old), (&after, &new))?,
    };
    if !elsewhere.is_empty() {
        terminal.warn(&format!(
            "compared are the images for {}; those for {} differ, too: compare these with --platform",
            diff.platform_after,
            elsewhere.join(", ")
        ));
    }
    let is_same = diff.details.as_ref().is_some_and(Details::is_same_image);
    Ok(
        match arguments.exit_code && !(is_same && elsewhere.is_empty()) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        },
    )
}

/// An image and the manifest in it that was compared.
type Compared<'a> = (&'a Opened, &'a Descriptor);

/// The other platforms of two indexes for which they have not the same image, or only one has one.
fn differing(before: Compared<'_>, after: Compared<'_>) -> anyhow::Result<Vec<String>> {
    let others = |(opened, compared): Compared<'_>| -> anyhow::Result<Vec<(String, Platform)>> {
        let source = &*opened.source;
        let images = store::images(source, opened.tag.as_deref())?;
        let others = images
            .into_iter()
            .filter(|(one, _)| one.digest() != compared.digest());
        Ok(others
            .map(|(one, platform)| (one.digest().to_string(), platform))
            .collect())
    };
    let (old, new) = (others(before)?, others(after)?);
    let lacks = |all: &[(String, Platform)], (digest, platform): &(String, Platform)| {
        !all.iter()
            .any(|(other, of)| other == digest && of.matches(platform))
    };
    let mut names: Vec<String> = old
        .iter()
        .filter(|one| lacks(&new, one))
        .chain(new.iter().filter(|one| lacks(&old, one)))
        .map(|(_, platform)| platform.to_string())
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
