//! Two images beside each other.

use super::table::{Cell, shorten};
use super::table::{Column, Table};
use super::{BAD, GOOD, PLAIN, QUIET, TITLE, Terminal, joined};
use crate::report::diff::packages_with_versions;
use crate::report::{Aspect, Details, Diff, Item, PathChange, human_change, human_size};

/// Rows of a part of a comparison.
const CHANGED: usize = 8;
/// Rows of a part when all that differs was looked for.
const DIFFERENT: usize = 20;
/// The longest words beside a path, in columns.
const WORDS: usize = 24;

impl Terminal {
    pub(super) fn difference(&self, diff: &Diff) -> String {
        let parts = match &diff.details {
            None => vec![
                self.diff_heading(diff),
                self.items("layer (compressed)", &diff.layers),
                self.items("origin", &diff.origins),
                self.items("package", diff.packages.as_deref().unwrap_or_default()),
                self.items("file", &diff.files),
            ],
            Some(details) => vec![
                self.diff_heading(diff),
                self.items("layer (compressed)", &diff.layers),
                self.settings(details),
                self.items("package", &packages_with_versions(diff, details)),
                self.paths(&details.paths),
            ],
        };
        joined(&parts)
    }

    fn diff_heading(&self, diff: &Diff) -> String {
        let title = [format!("{} → {}", diff.before, diff.after)];
        let mut heading = self.line(&title, TITLE);
        if diff.platform_before != diff.platform_after {
            let platforms = format!("{} → {}", diff.platform_before, diff.platform_after);
            heading.push_str(&self.line(&[platforms], BAD));
        }
        if let Some(details) = &diff.details {
            heading.push_str(&self.line(&[details.digests()], QUIET));
        }
        let mut table = Table::new([
            Column::name(""),
            Column::number("before"),
            Column::number("after"),
            Column::number("change"),
        ]);
        for (name, change) in [("compressed", diff.compressed), ("unpacked", diff.unpacked)] {
            table.row([
                self.cell(name, PLAIN),
                self.cell(human_size(change.before), PLAIN),
                self.cell(human_size(change.after), PLAIN),
                self.change(change.before, change.after),
            ]);
        }
        let files = diff.files_count;
        table.row([
            self.cell("files", PLAIN),
            self.cell(files.before.to_string(), PLAIN),
            self.cell(files.after.to_string(), PLAIN),
            self.cell("", PLAIN),
        ]);
        heading.push_str(&table.render(self.width, self.charset));
        if let Some(details) = &diff.details {
            heading.push_str(&self.line(&details.summary(diff.shared_layers), PLAIN));
        }
        heading
    }

    fn settings(&self, details: &Details) -> String {
        if details.settings.is_empty() {
            return String::new();
        }
        let mut table = Table::new([Column::text("setting"), Column::name("")]);
        for setting in details.settings.iter().take(DIFFERENT) {
            let name = match &setting.key {
                Some(key) => format!("{} {key}", setting.setting),
                None => setting.setting.clone(),
            };
            let mut name = shorten(&self.shown(&name), self.width * 11 / 20, self.charset);
            let values = [("-", &setting.before, BAD), ("+", &setting.after, GOOD)];
            for (sign, value, style) in values {
                if let Some(value) = value {
                    table.row([
                        self.cell(std::mem::take(&mut name), PLAIN),
                        self.cell(format!("{sign} {value}"), style),
                    ]);
                }
            }
        }
        table.more(details.settings.len(), DIFFERENT);
        table.render(self.width, self.charset)
    }

    fn paths(&self, paths: &[PathChange]) -> String {
        if paths.is_empty() {
            return String::new();
        }
        let mut columns = vec![
            Column::name("path"),
            Column::number("before"),
            Column::number("after"),
        ];
        if self.is_wide() {
            columns.push(Column::number("change"));
        }
        columns.push(Column::text("what"));
        let mut table = Table::new(columns);
        for path in paths.iter().take(DIFFERENT) {
            let size = |state: &Option<crate::report::PathState>| {
                let size = state.as_ref().and_then(|state| state.size);
                self.cell(size.map(human_size).unwrap_or_default(), PLAIN)
            };
            let bytes = |state: &Option<crate::report::PathState>| {
                state.as_ref().and_then(|state| state.size).unwrap_or(0)
            };
            let (before, after) = (bytes(&path.before), bytes(&path.after));
            let mut cells = vec![
                self.cell(&path.path, PLAIN),
                size(&path.before),
                size(&path.after),
            ];
            if self.is_wide() {
                cells.push(match before == after {
                    true => self.cell("", PLAIN),
                    false => self.change(before, after),
                });
            }
            cells.push(self.cell(self.what(path), QUIET));
            table.row(cells);
        }
        table.more(paths.len(), DIFFERENT);
        table.render(self.width, self.charset)
    }

    /// What changed, with the values where there is room for them.
    fn what(&self, path: &PathChange) -> String {
        let words = path.words();
        if path.changed.is_empty() || (self.is_wide() && words.chars().count() <= WORDS) {
            return words;
        }
        // The kind says that all else is another as well.
        let aspects = path.changed.iter();
        let names: Vec<String> = match path.changed.contains(&Aspect::Kind) {
            true => vec![Aspect::Kind.to_string()],
            false => aspects.map(Aspect::to_string).collect(),
        };
        names.join(", ")
    }

    fn items(&self, title: &str, items: &[Item]) -> String {
        if items.is_empty() {
            return String::new();
        }
        let mut table = Table::new([
            Column::name(title),
            Column::number("before"),
            Column::number("after"),
            Column::number("change"),
        ]);
        for item in items.iter().take(CHANGED) {
            let name = match &item.detail {
                Some(detail) => format!("{} ({detail})", item.name),
                None => item.name.clone(),
            };
            let size = |size: Option<u64>, absent: &str| match size {
                Some(size) => self.cell(human_size(size), PLAIN),
                None => self.cell(absent, QUIET),
            };
            table.row([
                self.cell(name, PLAIN),
                size(item.before, "new"),
                size(item.after, "gone"),
                self.change(item.before.unwrap_or(0), item.after.unwrap_or(0)),
            ]);
        }
        table.more(items.len(), CHANGED);
        table.render(self.width, self.charset)
    }

    fn change(&self, before: u64, after: u64) -> Cell {
        let style = match after.cmp(&before) {
            std::cmp::Ordering::Less => GOOD,
            std::cmp::Ordering::Equal => QUIET,
            std::cmp::Ordering::Greater => BAD,
        };
        self.cell(human_change(before, after), style)
    }
}
