//! The compressions of `deb(5)`.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

/// Memory in KiB that an xz stream may ask for: its dictionary is 64 MiB at the most with the
/// presets of xz(1).
const XZ_MEMORY: u32 = 100 << 10;

/// How a part is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all.
    None,
    /// `.gz`: RFC 1952.
    Gzip,
    /// `.xz`: The .xz File Format.
    Xz,
    /// `.zst`: RFC 8878; packages of Ubuntu.
    Zstd,
}

impl Compression {
    /// The compression of the part `name`, if that is `stem` with the ending of one.
    pub(super) fn of(name: &[u8], stem: &str) -> Option<Self> {
        match name.strip_prefix(stem.as_bytes())? {
            b"" => Some(Self::None),
            b".gz" => Some(Self::Gzip),
            b".xz" => Some(Self::Xz),
            b".zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

/// What comes out of a compressed part; one stream, nothing behind it is read.
pub(super) enum Decompressed<'a, R: BufRead> {
    Plain(&'a mut R),
    Gzip(Box<GzDecoder<&'a mut R>>),
    Xz(Box<XzReader<&'a mut R>>),
    Zstd(zstd::stream::read::Decoder<'static, &'a mut R>),
}

impl<'a, R: BufRead> Decompressed<'a, R> {
    pub(super) fn new(input: &'a mut R, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(input),
            Compression::Gzip => Self::Gzip(Box::new(GzDecoder::new(input))),
            Compression::Xz => Self::Xz(Box::new(XzReader::new_mem_limit(input, false, XZ_MEMORY))),
            Compression::Zstd => {
                Self::Zstd(zstd::stream::read::Decoder::with_buffer(input)?.single_frame())
            }
        })
    }
}

impl<R: BufRead> Read for Decompressed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Xz(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
        }
    }
}
