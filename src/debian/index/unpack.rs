//! Decompression of an index.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use libdeflater::Decompressor;
use lzma_rust2::XzReader;

use super::IndexError;

/// The most that is held in memory. The largest index of Debian has 60 MB.
const LIMIT: usize = 1 << 30;
/// What xz may take for its window, in KiB; Debian's indices are made with 64 MiB.
const XZ_MEMORY: u32 = 256 << 10;
/// deflate makes at most 1,032 bytes of one.
const RATIO: usize = 1_032;

/// The text of a file that may be compressed.
pub(super) fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, IndexError> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        // At once, where the trailer tells the size; by steps when there are several members.
        match at_once(bytes) {
            Some(text) => Ok(text.into()),
            None => all(MultiGzDecoder::new(bytes)),
        }
    } else if bytes.starts_with(b"\xfd7zXZ\0") {
        all(XzReader::new_mem_limit(bytes, true, XZ_MEMORY))
    } else {
        Ok(bytes.into())
    }
}

fn at_once(bytes: &[u8]) -> Option<Vec<u8>> {
    let size = usize::try_from(u32::from_le_bytes(*bytes.last_chunk()?)).ok()?;
    if size > LIMIT || size / RATIO > bytes.len() {
        return None;
    }
    let mut text = vec![0; size];
    let length = Decompressor::new().gzip_decompress(bytes, &mut text).ok()?;
    (length == size).then_some(text)
}

fn all(reader: impl Read) -> Result<Cow<'static, [u8]>, IndexError> {
    let mut text = Vec::new();
    let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut text)
        .map_err(|error| IndexError::Compressed {
            why: error.to_string(),
        })?;
    if text.len() > LIMIT {
        return Err(IndexError::TooLarge { limit: LIMIT });
    }
    Ok(text.into())
}
