//! `distrobuild report`, and the report at the end of a build.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use super::args::{ReportArguments, ReportForm};
use super::images::Images;
use super::terminal::Terminal;
use super::{OVER_BUDGET, Usage};
use crate::image::Platform;
use crate::registry::{Client, Remote};
use crate::report::{
    Diff, Json, Markdown, Renderer, Report, SlimBase, SlimBases, Unanswered, Wanted, live, today,
};
use crate::store::{self, Reference, Source};

/// Shows the report of an image that was made earlier, by this or any other tool.
pub(super) fn run(arguments: &ReportArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let platform = arguments.platform.as_ref();
    let against = match arguments.live {
        true => Against::read_live(&arguments.against, platform)?,
        false => Against::read(&arguments.against, platform)?,
    };
    let images = Images::new(&arguments.registry, &[&arguments.image])?;
    let opened = images.open(&arguments.image)?;
    let manifest = opened.select(platform)?;
    let name = opened.shown(&arguments.image);
    let report = Report::of_image(&*opened.source, name, &manifest)?;
    let excess = arguments
        .max_size
        .as_ref()
        .and_then(|budget| report.over(budget));
    let registries = arguments.live.then(|| images.impatient());
    show_with(report, &against, arguments.report, registries, terminal)?;
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
        let against = Self::read_live(names, platform)?;
        let table = SlimBases::embedded()?;
        let host = Platform::host().to_string();
        for name in &against.slim {
            table.find(name, &host).map_err(|error| {
                let live = "report with --live asks a registry for any image's size";
                Usage(format!("{error}; {live}"))
            })?;
        }
        Ok(against)
    }

    /// As [`read`](Self::read), where a slim base need not be recorded: a registry will be asked.
    fn read_live(names: &[String], platform: Option<&Platform>) -> anyhow::Result<Self> {
        let mut against = Self::default();
        for name in names {
            let is_there = Reference::parse(name).is_ok_and(|reference| exists(&reference.path));
            // What can only be a path is read as well: that says that there is nothing.
            if is_there || is_spelled_as_path(name) {
                against.images.push(read(name, platform)?);
            } else {
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

/// What an image of a registry weighs today, or why that is not known.
pub(super) fn ask(client: &Arc<Client>, wanted: &Wanted) -> Result<SlimBase, String> {
    let reference = wanted.reference.parse();
    let reference =
        reference.map_err(|error: crate::registry::ReferenceError| error.to_string())?;
    let remote = Remote::open(Arc::clone(client), reference).map_err(|error| error.to_string())?;
    live(&remote, wanted, &today(SystemTime::now())).map_err(|error| error.to_string())
}

/// Shows a report in the form that was asked for, and after it the differences from the
/// images that it is compared with.
pub(super) fn show(
    report: Report,
    against: &Against,
    form: ReportForm,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    show_with(report, against, form, None, terminal)
}

/// As [`show`], where the registries are asked what slim bases weigh when there is someone to ask
/// them.
fn show_with(
    report: Report,
    against: &Against,
    form: ReportForm,
    registries: Option<Arc<Client>>,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    if form == ReportForm::None {
        return Ok(());
    }
    let report = compared(report, against, registries, terminal)?;
    let renderer = renderer(form, terminal);
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

/// Shows the reports of images for several platforms: in JSON one list.
pub(super) fn show_all(
    reports: Vec<(Report, &Against)>,
    form: ReportForm,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    if form != ReportForm::Json {
        for (place, (report, against)) in reports.into_iter().enumerate() {
            if place > 0 && form != ReportForm::None {
                terminal.result("\n")?;
            }
            show(report, against, form, terminal)?;
        }
        return Ok(());
    }
    let mut documents = Vec::new();
    for (report, against) in reports {
        let report = compared(report, against, None, terminal)?;
        documents.push(Json.report(&report).trim_end().to_owned());
    }
    terminal.result(&format!("[{}]\n", documents.join(",\n")))
}

fn renderer(form: ReportForm, terminal: &Terminal) -> Box<dyn Renderer> {
    match form {
        ReportForm::Json => Box::new(Json),
        ReportForm::Markdown => Box::new(Markdown),
        ReportForm::Table | ReportForm::None => Box::new(terminal.renderer()),
    }
}

/// The report with the comparisons that were asked for.
fn compared(
    mut report: Report,
    against: &Against,
    registries: Option<Arc<Client>>,
    terminal: &Terminal,
) -> anyhow::Result<Report> {
    // Only images were named: the slim bases were not asked for.
    if against.images.is_empty() || !against.slim.is_empty() {
        let table = SlimBases::embedded()?;
        match registries {
            None => report.compare(&table, &against.slim)?,
            Some(client) => {
                let mut unanswered = Vec::new();
                let compared = report.compare_live(
                    &table,
                    &against.slim,
                    &|wanted| ask(&client, wanted),
                    &mut |one| unanswered.push(one),
                );
                tell(&unanswered, terminal);
                compared.map_err(Usage::of)?;
            }
        }
    }
    report.since = against
        .images
        .iter()
        .map(|image| Diff::between(image, &report))
        .collect();
    Ok(report)
}

/// One warning for all that no registry answered.
fn tell(unanswered: &[Unanswered], terminal: &Terminal) {
    let recorded: Vec<&Unanswered> = unanswered.iter().filter(|one| one.is_recorded).collect();
    let Some(first) = recorded.first().copied().or(unanswered.first()) else {
        return;
    };
    let others = match unanswered.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let instead = match recorded.len() {
        0 => "",
        _ => "; recorded sizes are shown instead, with their dates",
    };
    terminal.warn(&format!(
        "what {}{others} weighs today is not known: {}{instead}",
        crate::registry::harmless(&first.reference),
        first.why
    ));
}
