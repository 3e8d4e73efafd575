//! How an index lies in memory and on disk: tables that are searched in place.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | [`MAGIC`], with the version of the format |
//! | 4 | CRC-32 of all that follows |
//! | 4 | number of records |
//! | 4 | number of provided names |
//! | 8 each | records by name: where its text starts, line in the `Packages` file |
//! | 12 each | provided names, sorted: where the name starts, its length, record |
//! | rest | texts: the values of [`FIELDS`], each with a line feed behind it |
//!
//! Numbers are little-endian; places count from the start of the texts. Nothing of it is
//! trusted: a place that leads nowhere reads as an empty text.

use std::cmp::Ordering;
use std::ops::Range;

use libdeflater::crc32;

/// To be changed with the layout or with [`FIELDS`].
const MAGIC: &[u8; 8] = b"dbIndex\x01";
const CHECKED: usize = 12;
const TABLES: usize = 20;
pub(super) const RECORD: usize = 8;
pub(super) const PROVIDED: usize = 12;

/// The fields that are kept, in the order of a record's text.
pub(super) const FIELDS: [&str; 16] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Priority",
    "Source",
    "Installed-Size",
    "Filename",
    "Size",
    "SHA256",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Conflicts",
    "Breaks",
];

/// An index as bytes.
#[derive(Clone)]
pub(super) struct Layout {
    bytes: Vec<u8>,
    records: usize,
    provided: usize,
}

impl Layout {
    /// Of tables and texts that [`super::parse`] made. The checksum is left for later.
    pub(super) fn new(records: &[[u32; 2]], provided: &[[u32; 3]], texts: &[Vec<u8>]) -> Self {
        let length: usize = texts.iter().map(Vec::len).sum();
        let tables = TABLES + records.len() * RECORD + provided.len() * PROVIDED;
        let mut bytes = Vec::with_capacity(tables + length);
        bytes.extend(MAGIC);
        bytes.extend([0; 4]);
        // Each has a place of 32 bits, so there are no more of them.
        for count in [records.len(), provided.len()] {
            bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        let numbers = records.as_flattened().iter().chain(provided.as_flattened());
        bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
        for text in texts {
            bytes.extend_from_slice(text);
        }
        Self {
            bytes,
            records: records.len(),
            provided: provided.len(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let checksum = crc32(bytes.get(CHECKED..).unwrap_or_default());
        if let Some(place) = bytes.get_mut(MAGIC.len()..CHECKED) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let checksum = number(&bytes, MAGIC.len())?;
        let whole = bytes.starts_with(MAGIC) && crc32(bytes.get(CHECKED..)?) == checksum;
        if !whole {
            return None;
        }
        let layout = Self {
            records: usize::try_from(number(&bytes, 12)?).ok()?,
            provided: usize::try_from(number(&bytes, 16)?).ok()?,
            bytes,
        };
        (layout.texts()? <= layout.bytes.len()).then_some(layout)
    }

    pub(super) fn len(&self) -> usize {
        self.records
    }

    /// Where the texts start.
    fn texts(&self) -> Option<usize> {
        let provided = self.provided.checked_mul(PROVIDED)?;
        self.records
            .checked_mul(RECORD)?
            .checked_add(provided)?
            .checked_add(TABLES)
    }

    /// The text from a place on.
    fn text(&self, place: u32) -> &[u8] {
        let text = || {
            self.bytes
                .get(self.texts()?..)?
                .get(usize::try_from(place).ok()?..)
        };
        text().unwrap_or_default()
    }

    fn record(&self, record: usize, column: usize) -> u32 {
        number(&self.bytes, TABLES + record * RECORD + column * 4).unwrap_or(0)
    }

    fn provided(&self, row: usize, column: usize) -> u32 {
        let start = TABLES + self.records * RECORD + row * PROVIDED;
        number(&self.bytes, start + column * 4).unwrap_or(0)
    }

    /// The values of [`FIELDS`] of a record.
    pub(super) fn fields(&self, record: usize) -> impl Iterator<Item = &[u8]> {
        self.text(self.record(record, 0))
            .split(|byte| *byte == b'\n')
    }

    /// The line of the `Packages` file at which a record starts.
    pub(super) fn line(&self, record: usize) -> usize {
        usize::try_from(self.record(record, 1)).unwrap_or(usize::MAX)
    }

    fn name_bytes(&self, record: usize) -> &[u8] {
        self.fields(record).next().unwrap_or_default()
    }

    /// The name of a record; names are ASCII.
    pub(super) fn name(&self, record: usize) -> &str {
        std::str::from_utf8(self.name_bytes(record)).unwrap_or_default()
    }

    fn provided_name(&self, row: usize) -> &[u8] {
        let length = usize::try_from(self.provided(row, 1)).unwrap_or(0);
        self.text(self.provided(row, 0))
            .get(..length)
            .unwrap_or_default()
    }

    /// The records of this name.
    pub(super) fn named(&self, name: &str) -> Range<usize> {
        equal(self.records, |record| {
            self.name_bytes(record).cmp(name.as_bytes())
        })
    }

    /// The records that provide this name, sorted by their own.
    pub(super) fn providing(&self, name: &str) -> impl Iterator<Item = usize> {
        let rows = equal(self.provided, |row| {
            self.provided_name(row).cmp(name.as_bytes())
        });
        rows.map(|row| usize::try_from(self.provided(row, 2)).unwrap_or(usize::MAX))
            .filter(|record| *record < self.records)
    }
}

/// The number at a place of the bytes.
fn number(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

/// Where a sorted table of `length` rows is equal to what is looked for.
fn equal(length: usize, compare: impl Fn(usize) -> Ordering) -> Range<usize> {
    let first = |below: &dyn Fn(Ordering) -> bool| {
        let (mut low, mut high) = (0, length);
        while low < high {
            let middle = low + (high - low) / 2;
            if below(compare(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    };
    // Bytes that are in no order give no rows, or wrong ones, but end all the same.
    let start = first(&Ordering::is_lt);
    start..first(&Ordering::is_le).max(start)
}
