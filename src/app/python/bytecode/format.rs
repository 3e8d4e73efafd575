//! What differs in `.pyc` files from one version of CPython to the next, and their header (PEP 552).

use super::siphash::{Rounds, siphash};

/// Length of the header in bytes: the magic, the flags, and 8 bytes that tell the source.
pub(super) const HEADER: usize = 16;

/// The flag of a file that tells its source by a hash.
const HASHED: u32 = 0b01;
/// The flag of a file whose hash is compared at every import.
const CHECKED: u32 = 0b10;

/// The `.pyc` format of a version of CPython.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// The magic number of the version's final releases, without the `\r\n` behind it.
    magic: u16,
    /// The version as the names of files spell it.
    tag: (u32, u32),
    rounds: Rounds,
    layout: Layout,
}

/// How a code object is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Numbers at its beginning, of 4 bytes each.
    pub(super) numbers: usize,
    /// Objects that follow, up to the number of the first line.
    pub(super) objects: usize,
    /// Which of these is the file name.
    pub(super) filename: usize,
    /// Objects behind the number of the first line.
    pub(super) tables: usize,
}

/// 3.7: no count of positional-only arguments yet.
const OLD: Layout = Layout {
    numbers: 5,
    objects: 8,
    filename: 6,
    tables: 1,
};

/// 3.8 to 3.10: names by kind, a table of lines.
const NAMES: Layout = Layout {
    numbers: 6,
    objects: 8,
    filename: 6,
    tables: 1,
};

/// Since 3.11: one list of local names and their kinds, the qualified name, tables of lines and
/// of exceptions.
const LOCALS: Layout = Layout {
    numbers: 5,
    objects: 8,
    filename: 5,
    tables: 2,
};

/// How a file tells which source it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// By the time of its last change, in seconds since the epoch, and its size in bytes, both
    /// modulo 2³².
    Time {
        /// The time.
        modified: u32,
        /// The size.
        size: u32,
    },
    /// By a hash.
    Hash([u8; 8]),
}

impl Format {
    /// The format of this version; `None` when it is not known.
    pub(super) fn of(version: (u32, u32)) -> Option<Self> {
        let (magic, layout) = match version {
            (3, 7) => (3394, OLD),
            (3, 8) => (3413, NAMES),
            (3, 9) => (3425, NAMES),
            (3, 10) => (3439, NAMES),
            (3, 11) => (3495, LOCALS),
            (3, 12) => (3531, LOCALS),
            (3, 13) => (3571, LOCALS),
            (3, 14) => (3627, LOCALS),
            _ => return None,
        };
        let rounds = match version {
            (3, ..=10) => Rounds::TwoFour,
            _ => Rounds::OneThree,
        };
        Some(Self {
            magic,
            tag: version,
            rounds,
            layout,
        })
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// The first four bytes of each file.
    pub(super) fn magic(&self) -> [u8; 4] {
        let [low, high] = self.magic.to_le_bytes();
        [low, high, b'\r', b'\n']
    }

    /// What stands between a module's name and `.pyc`.
    pub(super) fn tag(&self) -> String {
        let (major, minor) = self.tag;
        format!("cpython-{major}{minor}")
    }

    /// The hash of a source.
    pub(super) fn source_hash(&self, source: &[u8]) -> [u8; 8] {
        let key = u64::from(u32::from_le_bytes(self.magic()));
        siphash(self.rounds, key, source).to_le_bytes()
    }

    /// The header of a file whose hash no import compares, so that it is good whatever the times
    /// of files are.
    pub(super) fn unchecked(&self, hash: [u8; 8]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let bytes = self.magic().into_iter().chain(HASHED.to_le_bytes());
        for (to, from) in header.iter_mut().zip(bytes.chain(hash)) {
            *to = from;
        }
        header
    }

    /// Splits a file of this format into what it tells of its source and its marshalled code.
    pub(super) fn split<'a>(&self, file: &'a [u8]) -> Option<(Stamp, &'a [u8])> {
        let (magic, rest) = file.split_first_chunk::<4>()?;
        let (flags, rest) = rest.split_first_chunk::<4>()?;
        let (stamp, code) = rest.split_first_chunk::<8>()?;
        if *magic != self.magic() {
            return None;
        }
        let stamp = match u32::from_le_bytes(*flags) {
            0 => {
                let [a, b, c, d, size @ ..] = *stamp;
                Stamp::Time {
                    modified: u32::from_le_bytes([a, b, c, d]),
                    size: u32::from_le_bytes(size),
                }
            }
            flags if flags & HASHED != 0 && flags & !(HASHED | CHECKED) == 0 => Stamp::Hash(*stamp),
            _ => return None,
        };
        Some((stamp, code))
    }
}
