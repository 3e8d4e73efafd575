//! From the text of a `Packages` file to the tables of an index.

use std::thread;

use super::super::control::{ControlError, Line, Lines};
use super::super::relation::is_package_name;
use super::IndexError;
use super::layout::{FIELDS, Layout};

/// Places in the texts are numbers of 32 bits; the largest index of Debian has 60 MB.
const TEXT_LIMIT: usize = 1 << 30;
const NAME: usize = 0;
const VERSION: usize = 1;
const ARCHITECTURE: usize = 2;
const PROVIDES: usize = 13;

/// What was read of one part of the text. Places count from the start of its own texts, records
/// from its own first.
#[derive(Default)]
struct Part {
    texts: Vec<u8>,
    /// Place, length of the name, line.
    records: Vec<[u32; 3]>,
    /// Place, length, record.
    provided: Vec<[u32; 3]>,
    lines: usize,
}

/// Reads `text`, `parts` of it at once. What comes out does not depend on how many.
pub(super) fn parse(text: &[u8], parts: usize) -> Result<Layout, IndexError> {
    if text.len() > TEXT_LIMIT {
        return Err(IndexError::TooLarge { limit: TEXT_LIMIT });
    }
    let pieces = pieces(text, parts);
    let read = match pieces.as_slice() {
        [_] => vec![part(text)?],
        _ => match thread::scope(|scope| {
            let threads: Vec<_> = pieces
                .iter()
                .map(|piece| scope.spawn(move || part(piece).ok()))
                .collect();
            threads
                .into_iter()
                .map(|it| it.join().ok().flatten())
                .collect()
        }) {
            Some(read) => read,
            // Again from the start, for the first error and its line.
            None => vec![part(text)?],
        },
    };
    Ok(joined(read))
}

/// Cuts `text` where paragraphs end; each but the first starts with a field.
fn pieces(text: &[u8], parts: usize) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = text;
    for left in (2..=parts).rev() {
        let about = rest.len() / left;
        let gap = rest
            .get(about..)
            .and_then(|rest| rest.windows(2).position(|two| two == b"\n\n"));
        if let Some((piece, after)) = gap.and_then(|gap| rest.split_at_checked(about + gap + 2)) {
            pieces.push(piece);
            rest = after;
        }
    }
    pieces.push(rest);
    pieces
}

/// A paragraph that is being read.
struct Open<'a> {
    line: usize,
    values: [Option<&'a [u8]>; FIELDS.len()],
    /// Further lines of a field; few of those that matter have any.
    more: Vec<(usize, &'a [u8])>,
    /// The field that a continuation line would belong to, when it is one that matters.
    last: Option<usize>,
}

impl<'a> Open<'a> {
    fn at(line: usize) -> Self {
        Self {
            line,
            values: [None; FIELDS.len()],
            more: Vec::new(),
            last: None,
        }
    }

    fn field(&mut self, line: usize, name: &[u8], value: &'a [u8]) -> Result<(), ControlError> {
        self.last = FIELDS
            .iter()
            .position(|field| field.as_bytes().eq_ignore_ascii_case(name));
        let Some(slot) = self.last.and_then(|field| self.values.get_mut(field)) else {
            return Ok(());
        };
        if slot.replace(value).is_some() {
            return Err(ControlError::Repeated {
                line,
                field: String::from_utf8_lossy(name).into_owned(),
            });
        }
        Ok(())
    }

    fn close(self, part: &mut Part) -> Result<(), IndexError> {
        let line = self.line;
        for field in [NAME, VERSION, ARCHITECTURE] {
            if self
                .values
                .get(field)
                .copied()
                .flatten()
                .unwrap_or_default()
                .is_empty()
            {
                let field = FIELDS.get(field).copied().unwrap_or_default();
                return Err(IndexError::Missing { line, field });
            }
        }
        let name = self.values.first().copied().flatten().unwrap_or_default();
        if !is_package_name(name) {
            return Err(IndexError::Field {
                line,
                package: String::from_utf8_lossy(name).chars().take(100).collect(),
                field: "Package",
                why: "this is no package's name".to_owned(),
            });
        }
        let record = short(part.records.len());
        part.records
            .push([short(part.texts.len()), short(name.len()), short(line)]);
        for (field, value) in self.values.iter().enumerate() {
            let start = part.texts.len();
            part.texts.extend_from_slice(value.unwrap_or_default());
            for (_, more) in self.more.iter().filter(|(other, _)| *other == field) {
                part.texts.extend_from_slice(more);
            }
            if field == PROVIDES {
                part.provide(start, record);
            }
            part.texts.push(b'\n');
        }
        Ok(())
    }
}

impl Part {
    /// Adds the names that the text from `start` on provides.
    fn provide(&mut self, start: usize, record: u32) {
        let mut place = start;
        for item in self
            .texts
            .get(start..)
            .unwrap_or_default()
            .split(|byte| *byte == b',')
        {
            let name = item.trim_ascii_start();
            let blanks = item.len() - name.len();
            let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'(' | b':');
            let length = name.iter().position(ends).unwrap_or(name.len());
            if length > 0 {
                self.provided
                    .push([short(place + blanks), short(length), record]);
            }
            place += item.len() + 1;
        }
    }

    /// Records and provided names, each with its name.
    fn rows(&self) -> (Vec<Row<'_>>, Vec<Row<'_>>) {
        let name = |place, length| {
            let start = usize::try_from(place).ok()?;
            self.texts
                .get(start..)?
                .get(..usize::try_from(length).ok()?)
        };
        let row = |row: &[u32; 3]| (name(row[0], row[1]).unwrap_or_default(), *row);
        (
            self.records.iter().map(row).collect(),
            self.provided.iter().map(row).collect(),
        )
    }
}

/// Below [`TEXT_LIMIT`], so it always fits.
fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn part(text: &[u8]) -> Result<Part, IndexError> {
    let mut part = Part::default();
    part.texts.reserve(text.len() / 2);
    let mut open: Option<Open<'_>> = None;
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next() {
        let number = lines.number();
        match line? {
            Line::Comment => {}
            Line::Blank => {
                if let Some(open) = open.take() {
                    open.close(&mut part)?;
                }
            }
            Line::More(more) => {
                let open = open.as_mut().ok_or(ControlError::Orphan { line: number })?;
                open.more.extend(open.last.map(|field| (field, more)));
            }
            Line::Field { name, value } => {
                open.get_or_insert_with(|| Open::at(number))
                    .field(number, name, value)?;
            }
        }
    }
    if let Some(open) = open {
        open.close(&mut part)?;
    }
    part.lines = lines.number();
    // Half of the work, so each thread does its own; merging what is sorted is cheap.
    let (mut records, mut provided) = part.rows();
    sort(&mut records, &mut provided);
    let records = records.into_iter().map(|(_, row)| row).collect();
    let provided = provided.into_iter().map(|(_, row)| row).collect();
    Ok(Part {
        records,
        provided,
        ..part
    })
}

/// A row of a table, and the name that it is sorted by.
type Row<'a> = (&'a [u8], [u32; 3]);

/// Sorts records by name, in the order of the file where it is the same, and provided names
/// likewise, by name and record.
fn sort(records: &mut Vec<Row<'_>>, provided: &mut [Row<'_>]) {
    let mut numbered: Vec<(Row<'_>, u32)> = records.drain(..).zip(0..).collect();
    numbered.sort_by_key(|((name, _), _)| *name);
    let mut moved = vec![0; numbered.len()];
    for (new, (row, old)) in numbered.into_iter().enumerate() {
        records.push(row);
        if let Some(place) = moved.get_mut(usize::try_from(old).unwrap_or(usize::MAX)) {
            *place = short(new);
        }
    }
    for (_, [.., record]) in provided.iter_mut() {
        let old = usize::try_from(*record).unwrap_or(usize::MAX);
        *record = moved.get(old).copied().unwrap_or(0);
    }
    provided.sort_by(|(one, [.., record]), (other, [.., other_record])| {
        one.cmp(other).then(record.cmp(other_record))
    });
}

/// Puts the parts one behind the other.
fn joined(parts: Vec<Part>) -> Layout {
    let (mut records, mut provided) = (Vec::new(), Vec::new());
    let (mut texts, mut lines) = (0, 0);
    for part in &parts {
        let before = short(records.len());
        let (own_records, own_provided) = part.rows();
        records.extend(
            own_records
                .into_iter()
                .map(|(name, [place, length, line])| (name, [place + texts, length, line + lines])),
        );
        provided.extend(
            own_provided
                .into_iter()
                .map(|(name, [place, length, record])| {
                    (name, [place + texts, length, record + before])
                }),
        );
        texts += short(part.texts.len());
        lines += short(part.lines);
    }
    sort(&mut records, &mut provided);
    let records: Vec<[u32; 2]> = records
        .into_iter()
        .map(|(_, [place, _, line])| [place, line])
        .collect();
    let provided: Vec<[u32; 3]> = provided.into_iter().map(|(_, row)| row).collect();
    let texts: Vec<Vec<u8>> = parts.into_iter().map(|part| part.texts).collect();
    Layout::new(&records, &provided, &texts)
}
