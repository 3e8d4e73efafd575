//! Reading small pieces at many offsets of a file with few system calls.

use std::io;

use crate::sysroot::OpenFile;

/// What is read at once from the start: the headers, and in small objects everything else.
const HEAD: usize = 4096;
/// What is read at once elsewhere. The fastest of 4, 8, 16 and 32 KiB over the libraries of a large
/// program: what is wanted is small and scattered.
const BLOCK: u64 = 4 * 1024;
/// Blocks kept, so that no file can make us hold more than 1 MiB of it.
const KEPT: usize = 256;

/// Why a piece of a file cannot be read.
#[derive(Debug)]
pub(super) enum PageError {
    /// The piece reaches past the end of the file.
    PastEnd,
    /// The system refused.
    Io(io::Error),
}

/// A file with the blocks of it that were read so far.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    file: &'a OpenFile,
    head: Vec<u8>,
    blocks: Vec<(u64, Vec<u8>)>,
}

impl<'a> Pages<'a> {
    /// Reads the head of `file`.
    pub(super) fn new(file: &'a OpenFile) -> io::Result<Self> {
        let mut head = vec![0; HEAD];
        let length = file.read_at(&mut head, 0)?;
        head.truncate(length);
        Ok(Self {
            file,
            head,
            blocks: Vec::new(),
        })
    }

    /// The first bytes of the file.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The size of the file in bytes.
    pub(super) fn size(&self) -> u64 {
        self.file.size
    }

    /// The `length` bytes at `offset`.
    pub(super) fn bytes(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, PageError> {
        let end = offset.checked_add(length).ok_or(PageError::PastEnd)?;
        if end > self.file.size {
            return Err(PageError::PastEnd);
        }
        let wanted = usize::try_from(length).map_err(|_| PageError::PastEnd)?;
        let mut bytes = Vec::with_capacity(wanted);
        while bytes.len() < wanted {
            let chunk = self.at(offset + bytes.len() as u64)?;
            let take = chunk.len().min(wanted - bytes.len());
            bytes.extend_from_slice(chunk.get(..take).unwrap_or_default());
        }
        Ok(bytes)
    }

    /// The `N` bytes at `offset`.
    pub(super) fn array<const N: usize>(&mut self, offset: u64) -> Result<[u8; N], PageError> {
        if let Some(array) = self.at(offset)?.first_chunk::<N>() {
            return Ok(*array);
        }
        let bytes = self.bytes(offset, N as u64)?;
        bytes.first_chunk::<N>().copied().ok_or(PageError::PastEnd)
    }

    /// The bytes from `offset` up to the next NUL; `None` when there is none within `limit` bytes.
    pub(super) fn string(&mut self, offset: u64, limit: u64) -> Result<Option<Vec<u8>>, PageError> {
        let mut bytes = Vec::new();
        loop {
            let left = limit.saturating_sub(bytes.len() as u64);
            if left == 0 {
                return Ok(None);
            }
            let at = offset
                .checked_add(bytes.len() as u64)
                .ok_or(PageError::PastEnd)?;
            let chunk = self.at(at)?;
            let chunk = usize::try_from(left)
                .ok()
                .and_then(|left| chunk.get(..left))
                .unwrap_or(chunk);
            if let Some(end) = chunk.iter().position(|byte| *byte == 0) {
                bytes.extend_from_slice(chunk.get(..end).unwrap_or_default());
                return Ok(Some(bytes));
            }
            bytes.extend_from_slice(chunk);
        }
    }

    /// What is at hand from `offset` on: one byte at least.
    fn at(&mut self, offset: u64) -> Result<&[u8], PageError> {
        if offset >= self.file.size {
            return Err(PageError::PastEnd);
        }
        if offset < self.head.len() as u64 {
            return rest(&self.head, offset);
        }
        let start = offset - offset % BLOCK;
        let known = self.blocks.iter().position(|(at, _)| *at == start);
        let index = match known {
            Some(index) => index,
            None => self.load(start)?,
        };
        match self.blocks.get(index) {
            Some((_, block)) => rest(block, offset - start),
            None => Err(PageError::PastEnd),
        }
    }

    fn load(&mut self, start: u64) -> Result<usize, PageError> {
        if self.blocks.len() == KEPT {
            self.blocks.clear();
        }
        let length = BLOCK.min(self.file.size - start);
        let mut block = vec![0; usize::try_from(length).map_err(|_| PageError::PastEnd)?];
        let read = self
            .file
            .read_at(&mut block, start)
            .map_err(PageError::Io)?;
        block.truncate(read);
        self.blocks.push((start, block));
        Ok(self.blocks.len() - 1)
    }
}

/// `bytes` from `offset` on; past the end when the file shrank meanwhile.
fn rest(bytes: &[u8], offset: u64) -> Result<&[u8], PageError> {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
        .filter(|rest| !rest.is_empty())
        .ok_or(PageError::PastEnd)
}
