//! Program headers and the raw dynamic section, for the few questions that the facts of an
//! [`Object`](super::Object) do not answer: symbols, read-only strings, the order of tags.

use std::io;

use super::{ByteOrder, Class};
use crate::sysroot::OpenFile;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;

/// More program headers than any linker writes; the kernel refuses above 64 KiB of them.
const MAX_PROGRAM_HEADERS: usize = 1170;
/// More dynamic entries than any linker writes (an entry per dependency).
const MAX_DYNAMIC_BYTES: u64 = 1 << 20;

/// One `PT_LOAD` segment or the dynamic section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    flags: u32,
    pub(super) offset: u64,
    address: u64,
    pub(super) size: u64,
}

impl Segment {
    /// Mapped readable and not writable.
    pub(super) fn is_read_only(&self) -> bool {
        self.flags & (PF_R | PF_W) == PF_R
    }

    /// Mapped executable.
    pub(super) fn is_executable(&self) -> bool {
        self.flags & PF_X != 0
    }
}

/// What is mapped from where.
#[derive(Debug)]
pub(super) struct Segments {
    class: Class,
    order: ByteOrder,
    loads: Vec<Segment>,
    dynamic: Option<Segment>,
}

impl Segments {
    /// Reads the program headers of `file`.
    pub(super) fn read(file: &OpenFile) -> io::Result<Self> {
        let mut head = [0; 64];
        let length = file.read_at(&mut head, 0)?;
        let class = match head.get(4) {
            Some(1) => Class::Elf32,
            Some(2) => Class::Elf64,
            _ => return Err(malformed()),
        };
        let order = match head.get(5) {
            Some(1) => ByteOrder::Little,
            Some(2) => ByteOrder::Big,
            _ => return Err(malformed()),
        };
        if !head.starts_with(b"\x7fELF") || length < 52 {
            return Err(malformed());
        }
        let mut segments = Self {
            class,
            order,
            loads: Vec::new(),
            dynamic: None,
        };
        let (table, entry, count) = match class {
            Class::Elf32 => (segments.word(&head, 28), 32, segments.half(&head, 44)),
            Class::Elf64 => (segments.long(&head, 32), 56, segments.half(&head, 56)),
        };
        let count = usize::from(count).min(MAX_PROGRAM_HEADERS);
        let mut headers = vec![0; count * entry];
        file.read_exact_at(&mut headers, table)?;
        for header in headers.chunks_exact(entry) {
            segments.add(header);
        }
        Ok(segments)
    }

    fn add(&mut self, header: &[u8]) {
        let segment = match self.class {
            Class::Elf32 => Segment {
                offset: self.word(header, 4),
                address: self.word(header, 8),
                size: self.word(header, 16),
                flags: self.flags(header, 24),
            },
            Class::Elf64 => Segment {
                flags: self.flags(header, 4),
                offset: self.long(header, 8),
                address: self.long(header, 16),
                size: self.long(header, 32),
            },
        };
        match self.flags(header, 0) {
            PT_LOAD => self.loads.push(segment),
            PT_DYNAMIC => self.dynamic = Some(segment),
            _ => {}
        }
    }

    /// The `PT_LOAD` segments in file order.
    pub(super) fn loads(&self) -> &[Segment] {
        &self.loads
    }

    /// Width of addresses.
    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// The entries of the dynamic section up to `DT_NULL`: tag and value.
    pub(super) fn dynamic(&self, file: &OpenFile) -> io::Result<Vec<(u64, u64)>> {
        let Some(section) = self.dynamic else {
            return Ok(Vec::new());
        };
        let bytes = read_up_to(file, section.offset, section.size.min(MAX_DYNAMIC_BYTES))?;
        let entry = match self.class {
            Class::Elf32 => 8,
            Class::Elf64 => 16,
        };
        Ok(bytes
            .chunks_exact(entry)
            .map(|entry| match self.class {
                Class::Elf32 => (self.word(entry, 0), self.word(entry, 4)),
                Class::Elf64 => (self.long(entry, 0), self.long(entry, 8)),
            })
            .take_while(|(tag, _)| *tag != 0)
            .collect())
    }

    /// Where in the file the byte at `address` lies, and how many bytes are mapped from there on.
    pub(super) fn locate(&self, address: u64) -> Option<(u64, u64)> {
        self.loads.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            let left = segment.size.checked_sub(within)?;
            (left > 0).then_some((segment.offset.checked_add(within)?, left))
        })
    }

    /// The 16-bit number at `at`; 0 past the end.
    pub(super) fn half(&self, bytes: &[u8], at: usize) -> u16 {
        let bytes = array(bytes, at);
        match self.order {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        }
    }

    fn flags(&self, bytes: &[u8], at: usize) -> u32 {
        let bytes = array(bytes, at);
        match self.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The 32-bit number at `at`; 0 past the end.
    pub(super) fn word(&self, bytes: &[u8], at: usize) -> u64 {
        u64::from(self.flags(bytes, at))
    }

    fn long(&self, bytes: &[u8], at: usize) -> u64 {
        let bytes = array(bytes, at);
        match self.order {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// Reads `size` bytes from `offset`, fewer where the file ends before. What is allocated is
/// bounded by the file.
pub(super) fn read_up_to(file: &OpenFile, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    let size = size.min(file.size.saturating_sub(offset));
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .unwrap_or([0; N])
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no ELF header")
}
