//! The report as Markdown, for a comment on a pull request.

use std::fmt::{self, Write};

use super::compare::{notes, ratio};
use super::{Diff, Item, Measure, Renderer, Report, human_change, human_size};

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
        written(|out| {
            writeln!(out, "### {} → {}\n", text(&diff.before), text(&diff.after))?;
            if diff.platform_before != diff.platform_after {
                let (before, after) = (text(&diff.platform_before), text(&diff.platform_after));
                writeln!(out, "The platforms differ: {before} and {after}.\n")?;
            }
            writeln!(out, "| | before | after | change |\n|---|--:|--:|--:|")?;
            for (name, change) in [("compressed", diff.compressed), ("unpacked", diff.unpacked)] {
                let (before, after) = (change.before, change.after);
                let change = human_change(before, after);
                let (before, after) = (human_size(before), human_size(after));
                writeln!(out, "| **{name}** | {before} | {after} | **{change}** |")?;
            }
            let count = diff.files_count;
            writeln!(out, "| files | {} | {} | |", count.before, count.after)?;
            items(out, "Layers (compressed)", &diff.layers)?;
            items(out, "Origins", &diff.origins)?;
            items(
                out,
                "Packages",
                diff.packages.as_deref().unwrap_or_default(),
            )?;
            items(out, "Files", &diff.files)
        })
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
        let date = row.date.as_deref().unwrap_or("unknown");
        let has = text(&notes(row).join(", "));
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

fn items(out: &mut String, title: &str, items: &[Item]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    begin_details(
        out,
        title,
        items.len(),
        "| | before | after | change |\n|---|--:|--:|--:|",
    )?;
    for item in items.iter().take(ROWS) {
        let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), human_size);
        let change = human_change(item.before.unwrap_or(0), item.after.unwrap_or(0));
        let detail = match &item.detail {
            Some(detail) => format!(" ({})", text(detail)),
            None => String::new(),
        };
        let (before, after) = (size(item.before), size(item.after));
        writeln!(
            out,
            "| {}{detail} | {before} | {after} | {change} |",
            text(&item.name)
        )?;
    }
    more(out, items.len(), 3)?;
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
