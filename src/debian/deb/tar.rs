//! The inner archives: `tar(5)` in the forms that `deb(5)` allows, and PAX names.
//!
//! The reader of image layers forgives what layers are known to hold. This one forgives
//! nothing: a package is made by dpkg-deb, and what dpkg-deb never writes is not believed.

use std::io::{self, Read};

use super::DebFault;
use super::ar::fill;
use super::compression::Compression;

/// Headers and the ends of contents are padded to this many bytes.
const BLOCK: usize = 512;
/// Bytes that an extended header may have: it holds two paths, of 4 KiB at the most.
const MAX_EXTENDED: u64 = 64 << 10;
/// Extended headers that may stand before one member: two names and PAX.
const MAX_EXTENDED_HEADERS: usize = 4;
/// Bytes that are read at once.
const CHUNK: usize = 128 << 10;

/// A tar archive that is read from front to back.
pub(super) struct Tar<'a> {
    reader: &'a mut dyn Read,
    part: &'a str,
    compression: Compression,
    compressed: u64,
    limit: u64,
    position: u64,
    chunk: Vec<u8>,
}

/// What stands before a member.
pub(super) struct Header {
    /// Its name, as it stands there.
    pub(super) name: Vec<u8>,
    /// What it links to.
    pub(super) link: Vec<u8>,
    /// What it is.
    pub(super) kind: HeaderKind,
    /// Bytes of content that follow.
    pub(super) size: u64,
    /// The low 12 bits.
    pub(super) mode: u32,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
}

/// The kinds of members that a package may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderKind {
    File,
    Directory,
    Symlink,
    HardLink,
}

/// What extended headers say of the member after them.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
}

impl<'a> Tar<'a> {
    /// The archive in `reader`, which is the part `part` of `compressed` bytes and may have
    /// `limit` bytes.
    pub(super) fn new(
        reader: &'a mut dyn Read,
        part: &'a str,
        compression: Compression,
        compressed: u64,
        limit: u64,
    ) -> Self {
        Self {
            reader,
            part,
            compression,
            compressed,
            limit,
            position: 0,
            chunk: vec![0; CHUNK],
        }
    }

    /// The header of the next member; `None` at the mark of the end.
    pub(super) fn next_header(&mut self) -> Result<Option<Header>, DebFault> {
        let mut extended = Extended::default();
        for _ in 0..=MAX_EXTENDED_HEADERS {
            let mut block = [0; BLOCK];
            if self.fill(&mut block)? != BLOCK {
                return Err(self.invalid("it ends without the mark of its end"));
            }
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            self.check_sum(&block)?;
            let raw = Raw(&block);
            let size = self.number(raw.size(), "size")?;
            match raw.kind() {
                b'L' => extended.name = Some(until_nul(&self.bounded(size)?).to_vec()),
                b'K' => extended.link = Some(until_nul(&self.bounded(size)?).to_vec()),
                b'x' => {
                    let records = self.bounded(size)?;
                    self.read_pax(&records, &mut extended)?;
                }
                _ => return self.describe(&raw, size, extended).map(Some),
            }
        }
        Err(self.invalid("extended headers follow each other without end"))
    }

    /// Gives the content that follows to `take`, piece by piece.
    pub(super) fn content(
        &mut self,
        size: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), DebFault>,
    ) -> Result<(), DebFault> {
        let mut left = size;
        let mut chunk = std::mem::take(&mut self.chunk);
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let Some(piece) = chunk.get_mut(..length) else {
                break;
            };
            if self.fill(piece)? != length {
                return Err(self.invalid("it ends within the content of a member"));
            }
            take(piece)?;
            left -= length as u64;
        }
        self.chunk = chunk;
        self.skip_padding(size)
    }

    /// The content that follows, in memory; `None` when it has more than `limit` bytes.
    pub(super) fn content_within(
        &mut self,
        size: u64,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, DebFault> {
        if size > limit {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.content(size, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Some(bytes))
    }

    /// Reads what is left, which is nothing but the padding of the last record, so that the
    /// decompressor's own checksum is read and compared.
    pub(super) fn finish(&mut self) -> Result<(), DebFault> {
        let mut block = [0; BLOCK];
        loop {
            let count = self.fill(&mut block)?;
            if count == 0 {
                return Ok(());
            }
            if block.iter().take(count).any(|byte| *byte != 0) {
                return Err(self.invalid("more follows after the mark of its end"));
            }
        }
    }

    fn describe(&self, raw: &Raw<'_>, size: u64, extended: Extended) -> Result<Header, DebFault> {
        let name = extended.name.unwrap_or_else(|| raw.name());
        let refused = |reason: String| Err(DebFault::member(&name, reason));
        let kind = match raw.kind() {
            // Before ustar a directory was a file with a slash at the end of its name.
            0 | b'0' if name.ends_with(b"/") => HeaderKind::Directory,
            0 | b'0' | b'7' => HeaderKind::File,
            b'1' => HeaderKind::HardLink,
            b'2' => HeaderKind::Symlink,
            b'5' => HeaderKind::Directory,
            b'3' | b'4' => return refused("it is a device".to_owned()),
            b'6' => return refused("it is a named pipe".to_owned()),
            b'S' => return refused("it is a sparse file, which deb(5) does not know".to_owned()),
            other => {
                let letter = char::from(other).escape_default();
                return refused(format!("its type '{letter}' is none that deb(5) knows"));
            }
        };
        let size = extended.size.unwrap_or(size);
        if size > 0 && kind != HeaderKind::File {
            return refused(format!("it is no file, but has {size} bytes of content"));
        }
        let id = |value: Option<u64>, field: &[u8], what| {
            let value = value.map_or_else(|| self.number(field, what), Ok)?;
            u32::try_from(value)
                .map_err(|_| DebFault::member(&name, format!("its {what} is {value}")))
        };
        Ok(Header {
            link: extended.link.unwrap_or_else(|| raw.link()),
            kind,
            size,
            mode: id(None, raw.mode(), "mode")? & 0o7777,
            uid: id(extended.uid, raw.uid(), "owner")?,
            gid: id(extended.gid, raw.gid(), "group")?,
            name,
        })
    }

    /// `LENGTH KEY=VALUE\n` records: pax(1), "pax Extended Header".
    fn read_pax(&self, records: &[u8], extended: &mut Extended) -> Result<(), DebFault> {
        let mut rest = records;
        while !rest.is_empty() {
            let (key, value, after) =
                pax_record(rest).ok_or_else(|| self.invalid("a PAX record is damaged"))?;
            rest = after;
            let number = || {
                let text = std::str::from_utf8(value).ok()?;
                text.parse().ok()
            };
            let bad = || self.invalid("a number of a PAX record is none");
            match key {
                b"path" => extended.name = Some(value.to_vec()),
                b"linkpath" => extended.link = Some(value.to_vec()),
                b"size" => extended.size = Some(number().ok_or_else(bad)?),
                b"uid" => extended.uid = Some(number().ok_or_else(bad)?),
                b"gid" => extended.gid = Some(number().ok_or_else(bad)?),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(self.invalid("a sparse file, which deb(5) does not know"));
                }
                // Times, names of owners, extended attributes: none lands in an image.
                _ => {}
            }
        }
        Ok(())
    }

    fn bounded(&mut self, size: u64) -> Result<Vec<u8>, DebFault> {
        self.content_within(size, MAX_EXTENDED)?
            .ok_or_else(|| self.invalid("an extended header is larger than any path"))
    }

    fn skip_padding(&mut self, size: u64) -> Result<(), DebFault> {
        let mut block = [0; BLOCK];
        // Less than a block, so it fits.
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if over == 0 {
            return Ok(());
        }
        let padding = block.get_mut(over..).unwrap_or_default();
        let length = padding.len();
        if self.fill(padding)? != length {
            return Err(self.invalid("it ends within the content of a member"));
        }
        Ok(())
    }

    /// Octal digits, or GNU's form for what does not fit: the top bit set, then big-endian.
    fn number(&self, field: &[u8], what: &str) -> Result<u64, DebFault> {
        number(field).ok_or_else(|| self.invalid(format!("the {what} of a member is no number")))
    }

    fn check_sum(&self, block: &[u8; BLOCK]) -> Result<(), DebFault> {
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| match at {
                148..156 => u64::from(b' '),
                _ => u64::from(*byte),
            })
            .sum();
        match number(block.get(148..156).unwrap_or_default()) {
            Some(told) if told == sum => Ok(()),
            _ => Err(self.invalid("the checksum of a header is wrong")),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, DebFault> {
        let count = fill(&mut self.reader, buffer).map_err(|source| self.failed(source))?;
        self.position += count as u64;
        if self.position > self.limit {
            return Err(DebFault::Bomb {
                part: self.part.to_owned(),
                compressed: self.compressed,
                limit: self.limit,
            });
        }
        Ok(count)
    }

    fn failed(&self, source: io::Error) -> DebFault {
        match self.compression {
            Compression::None => DebFault::Read(source),
            compression => DebFault::Compression {
                part: self.part.to_owned(),
                compression: compression.name(),
                source,
            },
        }
    }

    fn invalid(&self, what: impl Into<String>) -> DebFault {
        DebFault::Tar {
            part: self.part.to_owned(),
            at: self.position,
            what: what.into(),
        }
    }
}

/// The fields of a header: those of V7 and, where it says so, of ustar.
struct Raw<'a>(&'a [u8; BLOCK]);

impl Raw<'_> {
    fn field(&self, from: usize, to: usize) -> &[u8] {
        self.0.get(from..to).unwrap_or_default()
    }

    fn name(&self) -> Vec<u8> {
        let name = until_nul(self.field(0, 100));
        // GNU's magic ends in a blank, and has other things in the place of the prefix.
        if self.field(257, 263) != b"ustar\0" {
            return name.to_vec();
        }
        match until_nul(self.field(345, 500)) {
            b"" => name.to_vec(),
            prefix => [prefix, b"/", name].concat(),
        }
    }

    fn link(&self) -> Vec<u8> {
        until_nul(self.field(157, 257)).to_vec()
    }

    fn kind(&self) -> u8 {
        self.0.get(156).copied().unwrap_or(0)
    }

    fn mode(&self) -> &[u8] {
        self.field(100, 108)
    }

    fn uid(&self) -> &[u8] {
        self.field(108, 116)
    }

    fn gid(&self) -> &[u8] {
        self.field(116, 124)
    }

    fn size(&self) -> &[u8] {
        self.field(124, 136)
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn number(field: &[u8]) -> Option<u64> {
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // 0x80 alone is positive; with further bits set it is huge or negative.
        return (*first == 0x80)
            .then_some(rest)?
            .iter()
            .try_fold(0_u64, |value, byte| {
                value.checked_mul(256)?.checked_add(u64::from(*byte))
            });
    }
    let digits = until_nul(field).trim_ascii();
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Splits the first record off: key, value and what follows.
fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(records.get(..space)?)
        .ok()?
        .parse()
        .ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let (b'\n', body) = record.get(space + 1..)?.split_last()? else {
        return None;
    };
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((body.get(..equals)?, body.get(equals + 1..)?, rest))
}
