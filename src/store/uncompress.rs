//! The tar in a layer's blob, by the blob's first bytes.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// The uncompressed content of `blob`, which may be gzip (of any number of members),
/// zstd (of any number of frames) or not compressed at all.
pub(crate) fn uncompressed<'a>(mut blob: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::with_capacity(4);
    blob.by_ref().take(4).read_to_end(&mut start)?;
    let magic = <[u8; 4]>::try_from(start.as_slice()).unwrap_or_default();
    let blob = io::Cursor::new(start).chain(blob);
    Ok(match magic {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(blob))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(blob)?),
        _ => Box::new(blob),
    })
}
