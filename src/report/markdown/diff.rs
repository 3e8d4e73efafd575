//! Two images beside each other.

use std::fmt::{self, Write};

use super::{ROWS, begin_details, more, text};
use crate::report::diff::packages_with_versions;
use crate::report::{
    Diff, Item, PathChange, PathState, SettingChange, SettingValue, human_change, human_size,
};

/// The longest value of a setting that is shown, in characters.
const LONGEST: usize = 200;

pub(super) fn difference(out: &mut String, diff: &Diff) -> fmt::Result {
    writeln!(out, "### {} → {}\n", text(&diff.before), text(&diff.after))?;
    if diff.platform_before != diff.platform_after {
        let (before, after) = (text(&diff.platform_before), text(&diff.platform_after));
        writeln!(out, "The platforms differ: {before} and {after}.\n")?;
    }
    if let Some(details) = &diff.details {
        let summary = details.summary(diff.shared_layers).join(", ");
        writeln!(out, "{}: {}\n", text(&details.digests()), text(&summary))?;
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
    let Some(details) = &diff.details else {
        items(out, "Origins", &diff.origins)?;
        let packages = diff.packages.as_deref().unwrap_or_default();
        items(out, "Packages", packages)?;
        return items(out, "Files", &diff.files);
    };
    settings(out, &details.settings)?;
    items(out, "Packages", &packages_with_versions(diff, details))?;
    paths(out, &details.paths)
}

fn settings(out: &mut String, settings: &[SettingChange]) -> fmt::Result {
    if settings.is_empty() {
        return Ok(());
    }
    let head = "| setting | before | after |\n|---|---|---|";
    begin_details(out, "Settings", settings.len(), head)?;
    for setting in settings.iter().take(ROWS) {
        let name = match &setting.key {
            Some(key) => format!("{} {key}", setting.setting),
            None => setting.setting.clone(),
        };
        let (before, after) = (value(&setting.before), value(&setting.after));
        writeln!(out, "| {} | {before} | {after} |", cut(&name))?;
    }
    more(out, settings.len(), 2)?;
    writeln!(out, "\n</details>")
}

fn value(value: &Option<SettingValue>) -> String {
    match value {
        Some(value) => cut(&value.to_string()),
        None => "-".to_owned(),
    }
}

/// The first characters of `long`, as text.
fn cut(long: &str) -> String {
    let mut short: String = long.chars().take(LONGEST).collect();
    if short.len() < long.len() {
        short.push('…');
    }
    text(&short)
}

fn paths(out: &mut String, paths: &[PathChange]) -> fmt::Result {
    if paths.is_empty() {
        return Ok(());
    }
    let head = "| | before | after | what |\n|---|--:|--:|---|";
    begin_details(out, "Paths", paths.len(), head)?;
    for path in paths.iter().take(ROWS) {
        let size = |state: &Option<PathState>| match state {
            Some(state) => state.size.map(human_size).unwrap_or_default(),
            None => "-".to_owned(),
        };
        let (before, after) = (size(&path.before), size(&path.after));
        let (name, what) = (cut(&path.path), cut(&path.words()));
        writeln!(out, "| {name} | {before} | {after} | {what} |")?;
    }
    more(out, paths.len(), 3)?;
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
