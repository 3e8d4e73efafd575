//! Reading the tables of an object whose header is known, with errors that tell which table is bad.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::pages::{PageError, Pages};
use super::{ByteOrder, Machine, ObjectError};

/// One name: the kernel takes paths of 4 KiB at the most, a list of them may be longer.
const MAX_STRING: u64 = 64 * 1024;
/// All names of one object together: a bound on memory, since names may overlap.
const MAX_STRINGS: u64 = 8 * 1024 * 1024;

/// A range of the file that is mapped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// The file, where it is mapped, and its string table.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) pages: Pages<'a>,
    pub(super) machine: Machine,
    pub(super) loads: Vec<Load>,
    /// File offset of `DT_STRTAB` and the bytes mapped from there on.
    pub(super) strings: Option<(u64, u64)>,
    strings_read: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(pages: Pages<'a>, machine: Machine) -> Self {
        Self {
            pages,
            machine,
            loads: Vec::new(),
            strings: None,
            strings_read: 0,
        }
    }

    /// Where the byte at `address` lies in the file, and how many are mapped from there on.
    pub(super) fn locate(&self, address: u64) -> Option<(u64, u64)> {
        self.loads.iter().find_map(|load| {
            let within = address.checked_sub(load.address)?;
            let left = load.size.checked_sub(within)?;
            let offset = load.offset.checked_add(within)?;
            (left > 0).then_some((offset, left))
        })
    }

    /// The offset of the table `what`, which the dynamic section says lies at `address`.
    pub(super) fn table(&self, address: u64, what: &str) -> Result<(u64, u64), ObjectError> {
        self.locate(address).ok_or_else(|| {
            self.malformed(format!(
                "its {what} is at address {address:#x}, which no segment of the file holds"
            ))
        })
    }

    pub(super) fn bytes(
        &mut self,
        offset: u64,
        size: u64,
        what: &'static str,
    ) -> Result<Vec<u8>, ObjectError> {
        self.pages
            .bytes(offset, size)
            .map_err(|error| self.failed(error, offset, size, what))
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        offset: u64,
        what: &'static str,
    ) -> Result<[u8; N], ObjectError> {
        self.pages
            .array(offset)
            .map_err(|error| self.failed(error, offset, N as u64, what))
    }

    /// The name at `index` of the string table.
    pub(super) fn string(&mut self, index: u64) -> Result<OsString, ObjectError> {
        const WHAT: &str = "string table (DT_STRTAB)";
        let Some((start, size)) = self.strings else {
            return Err(self.malformed("it has names, but no string table (DT_STRTAB)".to_string()));
        };
        if index >= size {
            return Err(self.malformed(format!(
                "a name lies at {index} of its string table (DT_STRTAB), which has {size} bytes"
            )));
        }
        let at = start.saturating_add(index);
        let limit = MAX_STRING.min(size - index);
        let Some(bytes) = self
            .pages
            .string(at, limit)
            .map_err(|error| self.failed(error, start, size, WHAT))?
        else {
            return Err(self.malformed(format!(
                "a name in its string table (DT_STRTAB) does not end within {limit} bytes"
            )));
        };
        self.charge(bytes.len())?;
        Ok(OsString::from_vec(bytes))
    }

    /// Counts a name of so many bytes that is kept.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), ObjectError> {
        self.strings_read += bytes as u64;
        if self.strings_read > MAX_STRINGS {
            return Err(self.malformed(format!(
                "its names take more than {} MiB",
                MAX_STRINGS >> 20
            )));
        }
        Ok(())
    }

    pub(super) fn word(&self, bytes: [u8; 4]) -> u32 {
        match self.machine.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn words(&self, bytes: &[u8; 16]) -> [u32; 4] {
        let (chunks, _) = bytes.as_chunks::<4>();
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = self.word(*chunk);
        }
        words
    }

    /// The first four 16-bit numbers.
    pub(super) fn halves(&self, bytes: &[u8; 16]) -> [u16; 4] {
        let (chunks, _) = bytes.as_chunks::<2>();
        let mut halves = [0; 4];
        for (half, chunk) in halves.iter_mut().zip(chunks) {
            *half = match self.machine.order {
                ByteOrder::Little => u16::from_le_bytes(*chunk),
                ByteOrder::Big => u16::from_be_bytes(*chunk),
            };
        }
        halves
    }

    pub(super) fn malformed(&self, what: String) -> ObjectError {
        ObjectError::Malformed {
            what,
            machine: self.machine,
        }
    }

    pub(super) fn truncated(&self, what: &'static str, offset: u64, size: u64) -> ObjectError {
        ObjectError::Truncated {
            what,
            offset,
            size,
            file_size: self.pages.size(),
            machine: self.machine,
        }
    }

    fn failed(&self, error: PageError, offset: u64, size: u64, what: &'static str) -> ObjectError {
        match error {
            PageError::PastEnd => self.truncated(what, offset, size),
            PageError::Io(error) => ObjectError::Io(error),
        }
    }
}
