//! The report for people at a terminal.

mod diff;
mod inspect;
mod table;

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};

use super::compare::{build, notes, ratio, when};
use super::{Diff, Measure, Renderer, Report, human_size};
use table::{Cell, Column, Table};

/// Text for a terminal of some width, with ANSI colours in it: the caller strips them where
/// they are not wanted. It fits a screen, whatever the size of the image.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    width: usize,
    charset: Charset,
}

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Bars of block characters, `×`, `·`, `…`.
    Unicode,
    /// ASCII alone.
    Ascii,
}

/// Narrower than this nothing is aligned any more.
const NARROWEST: usize = 40;
/// Wider than this the eye loses the line.
const WIDEST: usize = 100;
/// Rows of a part of the report.
const LAYERS: usize = 6;
const LARGEST: usize = 6;

const TITLE: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const BAR: Style = AnsiColor::Cyan.on_default();

impl Terminal {
    /// For a terminal of `width` columns; at least 40 and at most 100 of them are used.
    pub fn new(width: usize, charset: Charset) -> Self {
        Self {
            width: width.clamp(NARROWEST, WIDEST),
            charset,
        }
    }

    fn is_wide(&self) -> bool {
        self.width >= 76
    }

    fn times(&self) -> &'static str {
        match self.charset {
            Charset::Unicode => "×",
            Charset::Ascii => "x",
        }
    }

    /// `text` in what the terminal can show; anything else becomes `?`.
    fn shown<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.charset {
            Charset::Unicode => Cow::Borrowed(text),
            Charset::Ascii if text.is_ascii() => Cow::Borrowed(text),
            Charset::Ascii => Cow::Owned(
                text.replace('±', "+-")
                    .replace('→', "->")
                    .replace('×', "x")
                    .replace('·', "-")
                    .replace('…', "..")
                    .chars()
                    .map(|c| if c.is_ascii() { c } else { '?' })
                    .collect(),
            ),
        }
    }

    fn cell(&self, text: impl AsRef<str>, style: Style) -> Cell {
        Cell::new(self.shown(text.as_ref()), style)
    }

    /// A line of words between dots, broken where the width ends.
    fn line(&self, words: &[String], style: Style) -> String {
        let mut out = String::new();
        let mut length = 0;
        for word in words.iter().filter(|word| !word.is_empty()) {
            let word = table::shorten(&self.shown(word), self.width, self.charset);
            let wide = word.chars().count();
            if length > 0 && length + 3 + wide > self.width {
                out.push('\n');
                length = 0;
            } else if length > 0 {
                out.push_str(&self.shown(" · "));
                length += 3;
            }
            out.push_str(&word);
            length += wide;
        }
        let lines = out.lines().map(|line| format!("{style}{line}{style:#}\n"));
        lines.collect()
    }

    fn heading(&self, report: &Report) -> String {
        let digest: String = report.digest.chars().take("sha256:".len() + 12).collect();
        let title = [report.reference.clone()];
        let facts = &report.facts;
        let user = match facts.user.as_str() {
            "" | "0" | "0:0" => "root",
            user => user,
        };
        let command = facts.entrypoint.first().or_else(|| facts.cmd.first());
        let runs = match command {
            Some(command) => format!("runs {command} as {user}"),
            None => format!("runs as {user}"),
        };
        let has = match (&facts.shell, &facts.package_manager) {
            (None, None) => "no shell, no package manager".to_owned(),
            (Some(shell), None) => format!("shell {shell}"),
            (None, Some(manager)) => format!("package manager {manager}"),
            (Some(shell), Some(manager)) => format!("shell {shell}, package manager {manager}"),
        };
        let files = match report.file_count {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        let sizes = [
            format!("{} compressed", human_size(report.compressed)),
            format!("{} unpacked", human_size(report.unpacked)),
            files,
        ];
        let rest = [report.platform.clone(), runs, has, digest];
        [
            self.line(&title, TITLE),
            self.line(&sizes, PLAIN),
            self.line(&rest, QUIET),
        ]
        .concat()
    }

    fn layers(&self, report: &Report) -> String {
        let mut table = Table::new([
            Column::name("layer"),
            Column::number("compressed"),
            // With headers and padding: more than its files have, which is "unpacked".
            Column::number("as a tar"),
            Column::bar(),
        ]);
        for (index, layer) in report.layers.iter().enumerate().take(LAYERS) {
            let name = match layer.what.as_str() {
                "" => format!("layer {}", index + 1),
                what => what.to_owned(),
            };
            table.row([
                self.cell(name, PLAIN),
                self.cell(human_size(layer.compressed), PLAIN),
                self.cell(human_size(layer.unpacked), PLAIN),
                Cell::bar(layer.compressed, report.compressed, BAR),
            ]);
        }
        table.more(report.layers.len(), LAYERS);
        table.render(self.width, self.charset)
    }

    fn packages(&self, report: &Report) -> String {
        let Some(packages) = report.packages.as_ref().filter(|p| !p.is_empty()) else {
            return String::new();
        };
        let mut table = Table::new([
            Column::name("package"),
            Column::number("files"),
            Column::number("unpacked"),
            Column::bar(),
        ]);
        for share in packages.iter().take(LARGEST) {
            let name = match &share.package {
                Some(package) if package.version.is_empty() => self.cell(&package.name, PLAIN),
                Some(package) => self.cell(format!("{} {}", package.name, package.version), PLAIN),
                None => self.cell("no package", QUIET),
            };
            table.row([
                name,
                self.cell(share.files.to_string(), PLAIN),
                self.cell(human_size(share.unpacked), PLAIN),
                Cell::bar(share.unpacked, report.unpacked, BAR),
            ]);
        }
        table.more(packages.len(), LARGEST);
        table.render(self.width, self.charset)
    }

    fn files(&self, report: &Report) -> String {
        let mut table = Table::new([
            Column::name("largest files"),
            Column::number("unpacked"),
            Column::bar(),
        ]);
        for file in report.files.iter().take(LARGEST) {
            table.row([
                self.cell(&file.path, PLAIN),
                self.cell(human_size(file.size), PLAIN),
                Cell::bar(file.size, report.unpacked, BAR),
            ]);
        }
        table.more(report.files.len(), LARGEST);
        table.render(self.width, self.charset)
    }

    fn comparisons(&self, report: &Report) -> String {
        if report.comparisons.is_empty() {
            return String::new();
        }
        let mut columns = vec![
            Column::name("slim base"),
            Column::number("compressed"),
            Column::number(""),
            Column::number("unpacked"),
        ];
        if self.is_wide() {
            columns.push(Column::number(""));
        }
        columns.push(Column::text("recorded"));
        if self.is_wide() {
            columns.push(Column::text("has"));
        }
        let mut table = Table::new(columns);
        let mut remarks = Vec::new();
        for row in &report.comparisons {
            let notes = notes(row).join(", ");
            let mut cells = vec![self.cell(&row.reference, PLAIN)];
            cells.extend([self.known(&row.compressed), self.ratio(&row.compressed)]);
            cells.push(self.known(&row.unpacked));
            if self.is_wide() {
                cells.push(self.ratio(&row.unpacked));
            }
            let date = when(row);
            match row.live && !self.is_wide() {
                // The date is told below, where there is room.
                true => cells.push(self.cell("live", QUIET)),
                false => cells.push(self.cell(&date, QUIET)),
            }
            let is_short = !row.other_platform && row.published_size.is_none();
            if self.is_wide() {
                cells.push(self.cell(if is_short { notes.as_str() } else { "" }, QUIET));
            }
            if !is_short {
                remarks.push(vec![format!("{}: {notes}", row.reference)]);
            }
            if let Some(build) = build(row) {
                let date = if self.is_wide() { String::new() } else { date };
                remarks.push([&build[..], &[date]].concat());
            }
            table.row(cells);
        }
        let mut out = table.render(self.width, self.charset);
        for remark in remarks {
            out.push_str(&self.line(&remark, QUIET));
        }
        out
    }

    fn known(&self, measure: &Measure) -> Cell {
        match measure.bytes {
            Some(bytes) => self.cell(human_size(bytes), PLAIN),
            None => self.cell("unknown", QUIET),
        }
    }

    fn ratio(&self, measure: &Measure) -> Cell {
        match measure.times {
            Some(times) => {
                let style = if times >= 1.0 { GOOD } else { BAD };
                self.cell(ratio(times, self.times()), style)
            }
            None => self.cell("", PLAIN),
        }
    }
}

impl Renderer for Terminal {
    fn report(&self, report: &Report) -> String {
        let parts = [
            self.heading(report),
            self.layers(report),
            self.packages(report),
            self.files(report),
            self.comparisons(report),
            self.line(&report.unread_databases, QUIET),
        ];
        joined(&parts)
    }

    fn diff(&self, diff: &Diff) -> String {
        self.difference(diff)
    }
}

/// The parts that have something in them, an empty line between.
fn joined(parts: &[String]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("\n")
}
