//! `distrobuild report`, and the report at the end of a build.

use std::path::Path;
use std::process::ExitCode;

use super::args::{ReportArguments, ReportForm};
use super::terminal::Terminal;
use super::{OVER_BUDGET, Usage};
use crate::image::Platform;
use crate::report::{Diff, Json, Markdown, Renderer, Report, SlimBases};
use crate::store::{self, Reference, Source};

/// Shows the report of an image that was made earlier, by this or any other tool.
pub(super) fn run(arguments: &ReportArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let against = Against::read(&arguments.against, arguments.platform.as_ref())?;
    let report = read(&arguments.image, arguments.platform.as_ref())?;
    let excess = arguments
        .max_size
        .as_ref()
        .and_then(|budget| report.over(budget));
    show(report, &against, arguments.report, terminal)?;
    match excess {
        Some(excess) => {
            terminal.error(&anyhow::anyhow!("{excess}"));
            Ok(ExitCode::from(OVER_BUDGET))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What an image is compared with: rows of the table of slim bases, and images on disk.
#[derive(Debug, Default)]
pub(super) struct Against {
    slim: Vec<String>,
    images: Vec<Report>,
}

impl Against {
    /// Reads what the `--against` options name: an image where something exists at that path, else a
    /// slim base. Done before anything is built, so that a wrong name fails early.
    pub(super) fn read(names: &[String], platform: Option<&Platform>) -> anyhow::Result<Self> {
        let mut against = Self::default();
        for name in names {
            if Reference::parse(name).is_ok_and(|reference| exists(&reference.path)) {
                against.images.push(read(name, platform)?);
            } else {
                if is_spelled_as_path(name) {
                    // Says that there is nothing.
                    read(name, platform)?;
                }
                SlimBases::embedded()?
                    .find(name, &Platform::host().to_string())
                    .map_err(Usage::of)?;
                against.slim.push(name.clone());
            }
        }
        Ok(against)
    }
}

/// Whether `name` can be no recorded image: `./old.oci`, `old.tar:1`, `oci:old`.
fn is_spelled_as_path(name: &str) -> bool {
    let reference = Reference::parse(name);
    reference.is_ok_and(|reference| {
        let extension = reference.path.extension();
        reference.form.is_some()
            || name.starts_with(['.', '/'])
            || extension.is_some_and(|extension| extension == "oci" || extension == "tar")
    })
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn read(name: &str, platform: Option<&Platform>) -> anyhow::Result<Report> {
    let reference = Reference::parse(name)?;
    let source: Box<dyn Source> = store::open(&reference)?;
    let manifest = store::select(&*source, reference.tag.as_deref(), platform)?;
    Ok(Report::of_image(&*source, name, &manifest)?)
}

/// Shows a report in the form that was asked for, and after it the differences from the
/// images that it is compared with.
pub(super) fn show(
    mut report: Report,
    against: &Against,
    form: ReportForm,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    if form == ReportForm::None {
        return Ok(());
    }
    // Only images were named: the slim bases were not asked for.
    if against.images.is_empty() || !against.slim.is_empty() {
        report.compare(&SlimBases::embedded()?, &against.slim)?;
    }
    let renderer: Box<dyn Renderer> = match form {
        ReportForm::Json => Box::new(Json),
        ReportForm::Markdown => Box::new(Markdown),
        ReportForm::Table | ReportForm::None => Box::new(terminal.renderer()),
    };
    report.since = against
        .images
        .iter()
        .map(|image| Diff::between(image, &report))
        .collect();
    terminal.result(&renderer.report(&report))?;
    // In JSON they are a part of the report: one document.
    if form != ReportForm::Json {
        for diff in &report.since {
            // Markdown takes no heading right after an HTML block.
            terminal.result(&format!("\n{}", renderer.diff(diff)))?;
        }
    }
    Ok(())
}
