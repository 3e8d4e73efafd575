//! A table without lines: a name that takes what room there is, numbers to the right, bars.

use std::borrow::Cow;

use anstyle::Style;

use super::{Charset, QUIET};

/// Between columns.
const GAP: usize = 2;
/// A name is not cut shorter than this for the sake of a bar.
const SHORTEST_NAME: usize = 16;
const SHORTEST_BAR: usize = 6;
const LONGEST_BAR: usize = 24;

pub(super) struct Column {
    title: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Text,
    Number,
    Bar,
}

impl Column {
    /// The one column that is shortened when the room ends.
    pub(super) fn name(title: &str) -> Self {
        Self::new(title, Kind::Name)
    }

    pub(super) fn text(title: &str) -> Self {
        Self::new(title, Kind::Text)
    }

    pub(super) fn number(title: &str) -> Self {
        Self::new(title, Kind::Number)
    }

    /// A bar that shares the room which is left.
    pub(super) fn bar() -> Self {
        Self::new("", Kind::Bar)
    }

    fn new(title: &str, kind: Kind) -> Self {
        Self {
            title: title.to_owned(),
            kind,
        }
    }
}

pub(super) struct Cell {
    text: String,
    style: Style,
    /// Of a bar: the part of the whole, 0 to 1.
    share: f64,
}

impl Cell {
    pub(super) fn new(text: Cow<'_, str>, style: Style) -> Self {
        Self {
            text: text.into_owned(),
            style,
            share: 0.0,
        }
    }

    /// `part` of `whole`.
    pub(super) fn bar(part: u64, whole: u64, style: Style) -> Self {
        Self {
            text: String::new(),
            style,
            share: if whole == 0 {
                0.0
            } else {
                (part as f64 / whole as f64).min(1.0)
            },
        }
    }
}

pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    left_out: usize,
}

impl Table {
    pub(super) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            left_out: 0,
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Notes that of `all` rows only `shown` were wanted.
    pub(super) fn more(&mut self, all: usize, shown: usize) {
        self.left_out = all.saturating_sub(shown);
    }

    /// With the titles above the rows.
    pub(super) fn render(&self, width: usize, charset: Charset) -> String {
        let mut out = String::new();
        let widths = self.widths(width);
        let titles = self
            .columns
            .iter()
            .map(|column| (column.title.as_str(), QUIET));
        let titles = titles.map(|(text, style)| (Cow::Borrowed(text), style));
        self.write_line(&mut out, &widths, titles, charset);
        out + &self.render_rows(width, charset)
    }

    /// Without the titles.
    pub(super) fn render_rows(&self, width: usize, charset: Charset) -> String {
        let widths = self.widths(width);
        let mut out = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns).zip(&widths);
            let cells = cells.map(|((cell, column), width)| match column.kind {
                Kind::Bar => (Cow::Owned(bar(cell.share, *width, charset)), cell.style),
                _ => (Cow::Borrowed(cell.text.as_str()), cell.style),
            });
            self.write_line(&mut out, &widths, cells, charset);
        }
        if self.left_out > 0 {
            out.push_str(&format!("{QUIET}and {} more{QUIET:#}\n", self.left_out));
        }
        out
    }

    fn write_line<'t>(
        &self,
        out: &mut String,
        widths: &[usize],
        cells: impl Iterator<Item = (Cow<'t, str>, Style)>,
        charset: Charset,
    ) {
        // Spaces are kept back until something follows: no line ends in them.
        let mut spaces = 0;
        for (index, ((text, style), (column, width))) in
            cells.zip(self.columns.iter().zip(widths)).enumerate()
        {
            if *width == 0 {
                continue;
            }
            let text = shorten(&text, *width, charset);
            let length = text.chars().count();
            let pad = width.saturating_sub(length);
            let (before, after) = match column.kind {
                Kind::Number => (pad, 0),
                _ => (0, pad),
            };
            spaces += before + if index > 0 { GAP } else { 0 };
            if text.is_empty() {
                spaces += after;
                continue;
            }
            out.extend(std::iter::repeat_n(' ', spaces));
            // Plain text needs no escape sequences.
            if style == Style::new() {
                out.push_str(&text);
            } else {
                out.push_str(&format!("{style}{text}{style:#}"));
            }
            spaces = after;
        }
        out.push('\n');
    }

    /// The width of each column; 0 for a bar for which there is no room.
    fn widths(&self, width: usize) -> Vec<usize> {
        let natural: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                let longest = cells.map(|cell| cell.text.chars().count()).max();
                longest.unwrap_or(0).max(column.title.chars().count())
            })
            .collect();
        let of_kind = |wanted: fn(Kind) -> bool| -> usize {
            let own = self.columns.iter().zip(&natural);
            own.filter(|(column, width)| wanted(column.kind) && **width > 0)
                .map(|(_, width)| width + GAP)
                .sum()
        };
        let fixed = of_kind(|kind| matches!(kind, Kind::Text | Kind::Number));
        let room = width.saturating_sub(fixed);
        let wanted_name = of_kind(|kind| kind == Kind::Name).saturating_sub(GAP);
        let has_bar = self.columns.iter().any(|column| column.kind == Kind::Bar);
        let bar_room = room.saturating_sub(GAP + wanted_name.max(SHORTEST_NAME));
        let bar = match has_bar {
            true if bar_room >= SHORTEST_BAR => bar_room.min(LONGEST_BAR),
            true if room >= SHORTEST_NAME + GAP + SHORTEST_BAR => SHORTEST_BAR,
            _ => 0,
        };
        let name_room = room.saturating_sub(if bar > 0 { bar + GAP } else { 0 });
        let columns = self.columns.iter().zip(natural);
        columns
            .map(|(column, natural)| match column.kind {
                Kind::Name => natural.min(name_room.max(1)),
                Kind::Bar => bar,
                Kind::Text | Kind::Number => natural,
            })
            .collect()
    }
}

/// A bar of at most `width`; what is there at all has at least the thinnest one.
fn bar(share: f64, width: usize, charset: Charset) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if share <= 0.0 || width == 0 {
        return String::new();
    }
    let eighths = ((share * width as f64 * 8.0).round() as usize).clamp(1, width * 8);
    match charset {
        Charset::Unicode => {
            let rest = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
            "█".repeat(eighths / 8) + rest
        }
        Charset::Ascii => "#".repeat(((eighths + 4) / 8).max(1)),
    }
}

/// `text` in `width` columns: its middle is left out, more of the end is kept, where
/// the name of a file is. A registry goes first.
pub(super) fn shorten(text: &str, width: usize, charset: Charset) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    // A registry's host is what tells least: the image itself stays readable.
    if let Some((host, path)) = text.split_once('/')
        && host.contains('.')
        && path.chars().count() <= width
    {
        return path.to_owned();
    }
    let dots = match charset {
        Charset::Unicode => "…",
        Charset::Ascii => "..",
    };
    let kept = width.saturating_sub(dots.chars().count());
    let head = kept / 3;
    let tail = kept - head;
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().skip(length - tail).collect();
    head + dots + &tail
}
