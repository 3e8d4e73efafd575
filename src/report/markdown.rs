//! The report as Markdown, for a comment on a pull request.

mod diff;

use std::fmt::{self, Write};

use super::compare::{notes, ratio, when};
use super::{Diff, Measure, Renderer, Report, human_size};
use diff::difference;

/// GitHub's Markdown: sizes and comparison at once, packages and files behind a click.
#[derive(Debug, Clone, Copy, Default)]
pub struct Markdown;

/// How many packages and files are listed: a comment holds 65,536 characters.
const ROWS: usize = 25;

impl Renderer for Markdown {
    fn report(&self, report: &Report) -> String {
        written(|out| {
            heading(out, report)?;
            comparisons(out, report)?;
            layers(out, report)?;
            packages(out, report)?;
            files(out, report)
        })
    }

    fn diff(&self, diff: &Diff) -> String {
        written(|out| difference(out, diff))
    }
}

fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out);
    out
}

/// A name from an image, so that it cannot be markup.
fn text(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // Mentions and links are made from these; an entity keeps the look alone.
            '@' => escaped.push_str("&#64;"),
            ':' => escaped.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn heading(out: &mut String, report: &Report) -> fmt::Result {
    let name = text(&report.reference);
    let (compressed, unpacked) = (human_size(report.compressed), human_size(report.unpacked));
    let platform = text(&report.platform);
    let files = report.file_count;
    writeln!(
        out,
        "### {name}: {compressed}\n\n{compressed} compressed, {unpacked} unpacked, {files} files, {platform}"
    )
}

fn comparisons(out: &mut String, report: &Report) -> fmt::Result {
    if report.comparisons.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n| compared with | compressed | unpacked | recorded | has |"
    )?;
    writeln!(out, "|---|--:|--:|---|---|")?;
    for row in &report.comparisons {
        let name = text(&row.reference);
        let (compressed, unpacked) = (measure(&row.compressed), measure(&row.unpacked));
        let date = when(row);
        let mut notes = notes(row);
        if let (true, Some(layers)) = (row.live, row.layer_count) {
            notes.push(format!("{layers} layers"));
        }
        let has = text(&notes.join(", "));
        writeln!(
            out,
            "| {name} | {compressed} | {unpacked} | {date} | {has} |"
        )?;
    }
    Ok(())
}

fn measure(measure: &Measure) -> String {
    match (measure.bytes, measure.times) {
        (Some(bytes), Some(times)) => format!("{} ({})", human_size(bytes), ratio(times, "×")),
        (Some(bytes), None) => human_size(bytes),
        (None, _) => "unknown".to_owned(),
    }
}

fn layers(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "\n| layer | compressed | as a tar |\n|---|--:|--:|")?;
    for (index, layer) in report.layers.iter().enumerate().take(ROWS) {
        let name = match layer.what.as_str() {
            "" => format!("layer {}", index + 1),
            what => text(&what.chars().take(80).collect::<String>()),
        };
        let (compressed, unpacked) = (human_size(layer.compressed), human_size(layer.unpacked));
        writeln!(out, "| {name} | {compressed} | {unpacked} |")?;
    }
    more(out, report.layers.len(), 2)
}

fn packages(out: &mut String, report: &Report) -> fmt::Result {
    let Some(packages) = &report.packages else {
        return Ok(());
    };
    begin_details(
        out,
        "Packages",
        packages.len(),
        "| package | version | unpacked |\n|---|---|--:|",
    )?;
    for share in packages.iter().take(ROWS) {
        let (name, version) = match &share.package {
            Some(package) => (text(&package.name), text(&package.version)),
            None => ("*no package*".to_owned(), String::new()),
        };
        writeln!(
            out,
            "| {name} | {version} | {} |",
            human_size(share.unpacked)
        )?;
    }
    more(out, packages.len(), 2)?;
    writeln!(out, "\n</details>")
}

fn files(out: &mut String, report: &Report) -> fmt::Result {
    begin_details(
        out,
        "Files",
        report.files.len(),
        "| file | package | size |\n|---|---|--:|",
    )?;
    for file in report.files.iter().take(ROWS) {
        let package = text(file.package.as_deref().unwrap_or_default());
        writeln!(
            out,
            "| {} | {package} | {} |",
            text(&file.path),
            human_size(file.size)
        )?;
    }
    more(out, report.files.len(), 2)?;
    writeln!(out, "\n</details>")
}

fn begin_details(out: &mut String, title: &str, count: usize, head: &str) -> fmt::Result {
    writeln!(
        out,
        "\n<details><summary>{title} ({count})</summary>\n\n{head}"
    )
}

fn more(out: &mut String, count: usize, columns: usize) -> fmt::Result {
    match count.checked_sub(ROWS) {
        Some(left @ 1..) => writeln!(out, "| and {left} more |{}", " |".repeat(columns)),
        _ => Ok(()),
    }
}
