//! The outer archive: `ar(5)` as `deb(5)` uses it.

use std::io::{self, BufRead, BufReader, Read};

use super::DebFault;
use super::compression::{Compression, Decompressed};
use super::tar::Tar;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;
/// Uncompressed bytes for each compressed one that are believed, beyond [`UNQUESTIONED`]: an
/// archive of zeros reaches some thousands.
const MAX_RATIO: u64 = 250;
/// Uncompressed bytes that are believed whatever the ratio.
const UNQUESTIONED: u64 = 64 << 20;

/// An archive that is read from front to back.
pub(super) struct Ar<R> {
    inner: BufReader<R>,
    position: u64,
}

impl<R: Read> Ar<R> {
    /// Reads the magic number.
    pub(super) fn open(file: R) -> Result<Self, DebFault> {
        let mut ar = Self {
            inner: BufReader::with_capacity(128 << 10, file),
            position: 0,
        };
        let mut magic = [0; MAGIC.len()];
        if ar.fill(&mut magic)? != magic.len() || magic != MAGIC {
            return Err(DebFault::Archive {
                at: 0,
                what: "it does not start as a package: `!<arch>` is missing".to_owned(),
            });
        }
        Ok(ar)
    }

    /// Reads the first part, which tells the version of the format.
    pub(super) fn check_version(&mut self) -> Result<(), DebFault> {
        const NAME: &[u8] = b"debian-binary";
        let (name, size) = self
            .next_header()?
            .ok_or(DebFault::Missing("debian-binary"))?;
        if name != NAME {
            return Err(self.misplaced(&name, "debian-binary"));
        }
        let mut text = [0; 64];
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(text) = text.get_mut(..length) else {
            return Err(self.invalid(format!("debian-binary has {size} bytes")));
        };
        if self.fill(text)? != text.len() {
            return Err(self.invalid("it ends within debian-binary".to_owned()));
        }
        let major = text.split(|byte| *byte == b'.').next().unwrap_or_default();
        if major != b"2" || !text.contains(&b'\n') {
            let version = String::from_utf8_lossy(text).trim_end().to_owned();
            return Err(self.invalid(format!("its format is {version:?}, where 2.0 is known")));
        }
        self.skip_padding(size)
    }

    /// The name and size of the next part; those that readers are to ignore, which start with
    /// an underscore, are passed over.
    pub(super) fn next_part(&mut self) -> Result<Option<(Vec<u8>, u64)>, DebFault> {
        while let Some((name, size)) = self.next_header()? {
            if name.first() != Some(&b'_') {
                return Ok(Some((name, size)));
            }
            let skipped = io::copy(&mut (&mut self.inner).take(size), &mut io::sink());
            let skipped = skipped.map_err(DebFault::Read)?;
            self.position += skipped;
            if skipped != size {
                return Err(self.cut(&name));
            }
            self.skip_padding(size)?;
        }
        Ok(None)
    }

    /// Reads the part that starts here as a compressed tar archive, to its very end.
    pub(super) fn part<T>(
        &mut self,
        name: &[u8],
        size: u64,
        compression: Compression,
        limit: u64,
        read: impl FnOnce(&mut Tar<'_>) -> Result<T, DebFault>,
    ) -> Result<T, DebFault> {
        let shown = String::from_utf8_lossy(name).into_owned();
        let limit = limit.min(UNQUESTIONED.saturating_add(size.saturating_mul(MAX_RATIO)));
        let mut stored = (&mut self.inner).take(size);
        let mut decompressed = Decompressed::new(&mut stored, compression).map_err(|source| {
            DebFault::Compression {
                part: shown.clone(),
                compression: compression.name(),
                source,
            }
        })?;
        let result = {
            let reader: &mut dyn Read = &mut decompressed;
            let mut tar = Tar::new(reader, &shown, compression, size, limit);
            read(&mut tar).and_then(|result| tar.finish().map(|()| result))
        };
        drop(decompressed);
        // The decompressor's error is often only that its input ended: then say so.
        let exhausted = stored.limit() > 0 && stored.fill_buf().is_ok_and(<[u8]>::is_empty);
        let left = stored.limit();
        self.position += size - left;
        if exhausted {
            return Err(self.cut(name));
        }
        let result = result?;
        if left > 0 {
            return Err(self.invalid(format!(
                "{left} bytes follow in {shown} after what was compressed"
            )));
        }
        self.skip_padding(size)?;
        Ok(result)
    }

    /// A part stands where another one is expected.
    pub(super) fn misplaced(&self, name: &[u8], expected: &str) -> DebFault {
        let name = String::from_utf8_lossy(name);
        self.invalid(format!(
            "the part {name:?} stands where {expected} is expected"
        ))
    }

    fn next_header(&mut self) -> Result<Option<(Vec<u8>, u64)>, DebFault> {
        let mut header = [0; HEADER];
        match self.fill(&mut header)? {
            0 => return Ok(None),
            HEADER => {}
            _ => return Err(self.invalid("it ends within the header of a part".to_owned())),
        }
        let (name, rest) = header.split_at(16);
        if !rest.ends_with(b"`\n") {
            return Err(self.invalid("the header of a part is damaged".to_owned()));
        }
        let digits = rest.get(32..42).unwrap_or_default().trim_ascii_end();
        // Nothing but digits: `parse` alone would take a sign.
        let size = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.invalid("the size of a part is no number".to_owned()))?;
        // GNU ar ends names with a slash.
        let name = name.trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        Ok(Some((name.to_vec(), size)))
    }

    /// Parts start at even offsets.
    fn skip_padding(&mut self, size: u64) -> Result<(), DebFault> {
        if size.is_multiple_of(2) {
            return Ok(());
        }
        let mut padding = [0];
        // dpkg-deb pads the last part, too; ar(5) leaves that open.
        self.fill(&mut padding)?;
        if padding != *b"\n" && padding != [0] {
            return Err(self.invalid("a part is longer than its header says".to_owned()));
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, DebFault> {
        let count = fill(&mut self.inner, buffer).map_err(DebFault::Read)?;
        self.position += count as u64;
        Ok(count)
    }

    fn cut(&self, name: &[u8]) -> DebFault {
        let name = String::from_utf8_lossy(name);
        self.invalid(format!("the file ends within the part {name:?}"))
    }

    fn invalid(&self, what: String) -> DebFault {
        DebFault::Archive {
            at: self.position,
            what,
        }
    }
}

/// Reads until `buffer` is full or the input ends; the number of bytes read.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
