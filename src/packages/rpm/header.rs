//! The header of an rpm package, as the database keeps it: the counts of index entries and
//! data bytes, the index, the data (rpm's `docs/manual/format_v4.md`, "Header"). All numbers
//! are big-endian.

use crate::packages::{Manager, Package, text};

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCH: u32 = 1022;
const DIR_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIR_NAMES: u32 = 1118;

const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;

/// The header of one package.
pub(super) struct Header<'a> {
    index: &'a [[u8; 16]],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// `None` when `blob` is shorter than its counts say.
    pub(super) fn parse(blob: &'a [u8]) -> Option<Self> {
        let (counts, rest) = blob.split_first_chunk::<8>()?;
        let (entries, _) = counts.split_first_chunk::<4>()?;
        let (_, size) = counts.split_last_chunk::<4>()?;
        let entries = usize::try_from(u32::from_be_bytes(*entries)).ok()?;
        let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        let (index, data) = rest.split_at_checked(entries.checked_mul(16)?)?;
        let (index, _) = index.as_chunks::<16>();
        Some(Self {
            index,
            data: data.get(..size)?,
        })
    }

    /// The data from where the entry `tag` of this `kind` begins, and the number of its values.
    fn find(&self, tag: u32, kind: u32) -> Option<(&'a [u8], usize)> {
        let field = |entry: &[u8; 16], at: usize| {
            let bytes = entry.get(at..at + 4)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*bytes))
        };
        let entry = self
            .index
            .iter()
            .find(|entry| field(entry, 0) == Some(tag) && field(entry, 4) == Some(kind))?;
        let offset = usize::try_from(field(entry, 8)?).ok()?;
        let count = usize::try_from(field(entry, 12)?).ok()?;
        Some((self.data.get(offset..)?, count))
    }

    fn string(&self, tag: u32) -> Option<String> {
        let (data, _) = self.find(tag, STRING)?;
        Some(text(data.split(|byte| *byte == 0).next()?))
    }

    fn strings(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (data, count) = self.find(tag, STRING_ARRAY).unwrap_or_default();
        data.split(|byte| *byte == 0).take(count)
    }

    fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> + use<'a> {
        let (data, count) = self.find(tag, INT32).unwrap_or_default();
        let (numbers, _) = data.as_chunks::<4>();
        numbers.iter().take(count).map(|n| u32::from_be_bytes(*n))
    }

    pub(super) fn package(&self) -> Package {
        let string = |tag| self.string(tag).unwrap_or_default();
        let epoch = self.numbers(EPOCH).next();
        let epoch = epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        Package {
            name: string(NAME),
            version: format!("{epoch}{}-{}", string(VERSION), string(RELEASE)),
            architecture: string(ARCH),
            manager: Manager::Rpm,
        }
    }

    /// Calls `visit` with the directory (with its slash at the end) and the name of each file.
    pub(super) fn for_each_file(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        let directories: Vec<&[u8]> = self.strings(DIR_NAMES).collect();
        for (name, directory) in self.strings(BASE_NAMES).zip(self.numbers(DIR_INDEXES)) {
            let directory = usize::try_from(directory).unwrap_or(usize::MAX);
            if let Some(directory) = directories.get(directory) {
                visit(directory, name);
            }
        }
    }
}
