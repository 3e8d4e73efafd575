//! A reader of the rows of one table, for SQLite's file format 3
//! (<https://www.sqlite.org/fileformat2.html>; the sections are named below).

use crate::sysroot::OpenFile;

/// The largest value that is read. rpm's own limit on a header is 256 MiB.
const VALUE_LIMIT: u64 = 256 << 20;
/// The largest number of pages of which the numbers are held at once.
const PENDING_LIMIT: usize = 1 << 20;

/// Why a database could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqliteError {
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

use SqliteError::Damaged;

/// An open database.
pub(super) struct Database<'f> {
    file: &'f OpenFile,
    page_size: usize,
    /// The bytes of a page that are used.
    usable: usize,
    pages: u32,
}

impl<'f> Database<'f> {
    /// Reads the database header (section 1.3).
    pub(super) fn open(file: &'f OpenFile) -> Result<Self, SqliteError> {
        let mut header = [0; 100];
        file.read_exact_at(&mut header, 0)
            .map_err(|_| Damaged("it is shorter than its header"))?;
        if !header.starts_with(b"SQLite format 3\0") {
            return Err(Damaged("it does not begin as SQLite's files do"));
        }
        let page_size = match be16(&header, 16)? {
            1 => 65536,
            size => usize::from(size),
        };
        let reserved = usize::from(byte(&header, 20)?);
        if !page_size.is_power_of_two() || page_size < 512 || page_size - reserved < 480 {
            return Err(Damaged("its page size is none that SQLite knows"));
        }
        if !matches!(be32(&header, 56)?, 0 | 1) {
            return Err(Damaged("its text is not in UTF-8"));
        }
        let pages = file.size / page_size as u64;
        Ok(Self {
            file,
            page_size,
            usable: page_size - reserved,
            pages: u32::try_from(pages).map_err(|_| Damaged("it has too many pages"))?,
        })
    }

    /// Calls `visit` with the second column of each row of `table`, which holds blobs.
    pub(super) fn for_each_blob(
        &self,
        table: &str,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), &'static str>,
    ) -> Result<(), SqliteError> {
        let mut root = None;
        // The table of tables (section 2.6): type, name, tbl_name, rootpage, sql.
        self.for_each_row(1, &mut |payload| {
            let record = Record::parse(payload)?;
            if record.column(0)? == b"table" && record.column(1)? == table.as_bytes() {
                let number = record.column(3)?;
                root = number.iter().try_fold(0u32, |sum, b| {
                    sum.checked_mul(256)?.checked_add((*b).into())
                });
            }
            Ok(())
        })?;
        let root = root.ok_or(Damaged("it has no table of packages"))?;
        self.for_each_row(root, &mut |payload| {
            let record = Record::parse(payload)?;
            visit(record.column(1)?).map_err(Damaged)
        })
    }

    /// Walks a table b-tree in order of its keys (section 1.6) without recursion.
    fn for_each_row(
        &self,
        root: u32,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), SqliteError>,
    ) -> Result<(), SqliteError> {
        let mut pending = vec![root];
        let mut visited = 0;
        let mut total = 0;
        let mut page = vec![0; self.page_size];
        let mut payload = Vec::new();
        while let Some(number) = pending.pop() {
            // In a tree no page is met twice.
            visited += 1;
            if visited > self.pages || pending.len() > PENDING_LIMIT {
                return Err(Damaged("its pages go in a circle"));
            }
            self.read_page(number, &mut page)?;
            let start = if number == 1 { 100 } else { 0 };
            let cells = usize::from(be16(&page, start + 3)?);
            match byte(&page, start)? {
                0x05 => {
                    pending.push(be32(&page, start + 8)?);
                    for cell in (0..cells).rev() {
                        let at = usize::from(be16(&page, start + 12 + cell * 2)?);
                        pending.push(be32(&page, at)?);
                    }
                }
                0x0d => {
                    for cell in 0..cells {
                        let at = usize::from(be16(&page, start + 8 + cell * 2)?);
                        let cell = page.get(at..self.usable).ok_or(Damaged(CELL))?;
                        self.read_payload(cell, &mut payload)?;
                        // No two rows share a page of what overflows.
                        total += payload.len() as u64;
                        if total > self.file.size {
                            return Err(Damaged("its rows share their content"));
                        }
                        visit(&payload)?;
                    }
                }
                _ => return Err(Damaged("a page of a table is of another kind")),
            }
        }
        Ok(())
    }

    fn read_page(&self, number: u32, page: &mut [u8]) -> Result<(), SqliteError> {
        if number == 0 || number > self.pages {
            return Err(Damaged("it names a page beyond its end"));
        }
        let offset = u64::from(number - 1) * self.page_size as u64;
        Ok(self.file.read_exact_at(page, offset)?)
    }

    /// Collects the payload of a cell of a table's leaf, with what overflows the page
    /// ("B-tree Cell Format", "Cell Payload Overflow Pages").
    fn read_payload(&self, cell: &[u8], payload: &mut Vec<u8>) -> Result<(), SqliteError> {
        let (size, rest) = varint(cell).ok_or(Damaged(CELL))?;
        let (_row, rest) = varint(rest).ok_or(Damaged(CELL))?;
        if size > VALUE_LIMIT || size > self.file.size {
            return Err(Damaged("a row is larger than can be"));
        }
        let size = usize::try_from(size).map_err(|_| Damaged(CELL))?;
        let local = self.local_part(size);
        let (here, rest) = rest.split_at_checked(local).ok_or(Damaged(CELL))?;
        payload.clear();
        payload.extend_from_slice(here);
        if local == size {
            return Ok(());
        }
        let mut next = be32(rest, 0)?;
        let mut page = vec![0; self.page_size];
        // Every round adds to the payload: a circle ends at its size.
        while payload.len() < size {
            self.read_page(next, &mut page)?;
            next = be32(&page, 0)?;
            let content = page.get(4..self.usable).ok_or(Damaged(CELL))?;
            let count = content.len().min(size - payload.len());
            payload.extend_from_slice(content.get(..count).unwrap_or_default());
        }
        Ok(())
    }

    /// How many bytes of a payload are in the cell itself.
    fn local_part(&self, size: usize) -> usize {
        let most = self.usable - 35;
        if size <= most {
            return size;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fitting = least + (size - least) % (self.usable - 4);
        if fitting <= most { fitting } else { least }
    }
}

const CELL: &str = "a row leads outside its page";
const RECORD: &str = "a row is shorter than it says";

/// A row: the sizes of its columns, then their values (section 2.1).
struct Record<'a> {
    types: &'a [u8],
    values: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(payload: &'a [u8]) -> Result<Self, SqliteError> {
        let (header, rest) = varint(payload).ok_or(Damaged(RECORD))?;
        let before = payload.len() - rest.len();
        let header = usize::try_from(header).map_err(|_| Damaged(RECORD))?;
        Ok(Self {
            types: payload.get(before..header).ok_or(Damaged(RECORD))?,
            values: payload.get(header..).ok_or(Damaged(RECORD))?,
        })
    }

    /// The bytes of a column; those of an integer are big-endian.
    fn column(&self, column: usize) -> Result<&'a [u8], SqliteError> {
        let (mut types, mut values) = (self.types, self.values);
        for index in 0.. {
            let (kind, rest) = varint(types).ok_or(Damaged(RECORD))?;
            types = rest;
            let size = match kind {
                0 | 8 | 9 => 0,
                1..=4 => kind,
                5 => 6,
                6 | 7 => 8,
                10 | 11 => return Err(Damaged("a row has a column of no known kind")),
                _ => (kind - 12) / 2,
            };
            let size = usize::try_from(size).map_err(|_| Damaged(RECORD))?;
            let (value, rest) = values.split_at_checked(size).ok_or(Damaged(RECORD))?;
            if index == column {
                return Ok(value);
            }
            values = rest;
        }
        Err(Damaged(RECORD))
    }
}

/// A big-endian number of seven bits a byte, at most nine bytes, the ninth with eight bits.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return Some((value << 8 | u64::from(*byte), bytes.get(9..)?));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, SqliteError> {
    bytes.get(at).copied().ok_or(Damaged(CELL))
}

fn be16(bytes: &[u8], at: usize) -> Result<u16, SqliteError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>());
    found.map(|b| u16::from_be_bytes(*b)).ok_or(Damaged(CELL))
}

fn be32(bytes: &[u8], at: usize) -> Result<u32, SqliteError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    found.map(|b| u32::from_be_bytes(*b)).ok_or(Damaged(CELL))
}
