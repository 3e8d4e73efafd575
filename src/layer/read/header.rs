//! The headers before an entry: ustar, PAX (`pax(1)`) and GNU's.

use std::io::{self, Read};

use ::tar::{EntryType, Header};

use super::{LayerEntry, LayerEntryKind, ReadError, Tar};
use crate::ImagePath;
use crate::layer::tar::{BLOCK, padding};

/// Extended headers larger than this in bytes are refused: all that they may hold is
/// names, which the kernel limits to 4 KiB, and attributes, to 64 KiB each.
const MAX_EXTENDED: u64 = 1 << 20;

/// What the next headers describe.
pub(super) enum Described {
    /// An entry.
    Entry {
        /// Its name in the archive.
        name: Vec<u8>,
        /// What it links to.
        link: Vec<u8>,
        /// Bytes that follow the header.
        stored: u64,
        /// All that is known without looking at the name.
        entry: LayerEntry,
    },
    /// The end of the archive.
    End,
}

/// What extended headers say of the entry after them.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    /// The real name of a sparse file, of which `name` is a stand-in for old readers.
    sparse_name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    stored: Option<u64>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
}

/// Reads up to and with the header of the next entry.
pub(super) fn next_header<R: Read>(
    tar: &mut Tar<R>,
    failed: &dyn Fn(io::Error) -> ReadError,
) -> Result<Described, ReadError> {
    let mut extended = Extended::default();
    loop {
        let at = tar.position;
        let invalid = |what: String| ReadError::Tar { at, what };
        let mut header = Header::new_old();
        match read_block(tar, header.as_mut_bytes()).map_err(failed)? {
            0 => return Ok(Described::End),
            BLOCK => {}
            _ => return Err(invalid("it ends within a header".to_owned())),
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(Described::End);
        }
        check_sum(&header).map_err(invalid)?;
        let size = header
            .entry_size()
            .map_err(|error| invalid(error.to_string()))?;
        match header.entry_type() {
            EntryType::XHeader => {
                extended.read_pax(&bounded(tar, size, &invalid, failed)?);
            }
            EntryType::GNULongName => {
                extended.name = Some(c_string(bounded(tar, size, &invalid, failed)?));
            }
            EntryType::GNULongLink => {
                extended.link = Some(c_string(bounded(tar, size, &invalid, failed)?));
            }
            // Records for all entries: those in use are comments and times.
            EntryType::XGlobalHeader => {
                bounded(tar, size, &invalid, failed)?;
            }
            _ => {
                let described = describe(&header, size, extended).map_err(invalid)?;
                if header
                    .as_gnu()
                    .is_some_and(|_| header.entry_type().is_gnu_sparse())
                {
                    skip_sparse_map(tar, &header).map_err(failed)?;
                }
                return Ok(described);
            }
        }
    }
}

fn describe(header: &Header, size: u64, extended: Extended) -> Result<Described, String> {
    let name = extended
        .sparse_name
        .or(extended.name)
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let link = extended
        .link
        .or_else(|| header.link_name_bytes().map(|link| link.into_owned()))
        .unwrap_or_default();
    let number = |value: io::Result<u64>| value.map_err(|error| error.to_string());
    // Before ustar there was no type for directories, but a slash at the end of the name.
    let is_old_directory = header.as_old().linkflag == [0] && name.ends_with(b"/");
    let kind = match header.entry_type() {
        EntryType::Regular if is_old_directory => LayerEntryKind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => LayerEntryKind::File,
        EntryType::Directory => LayerEntryKind::Directory,
        EntryType::Symlink => LayerEntryKind::Symlink,
        EntryType::Link => LayerEntryKind::HardLink,
        _ => LayerEntryKind::Other,
    };
    // POSIX lets only files have content; a size in the header of a link is that of its target.
    let stored = match kind {
        LayerEntryKind::File | LayerEntryKind::Other => extended.stored.unwrap_or(size),
        _ => 0,
    };
    let gnu_size = header
        .as_gnu()
        .filter(|_| header.entry_type().is_gnu_sparse())
        .map(|gnu| number(gnu.real_size()))
        .transpose()?;
    let shown = match kind {
        LayerEntryKind::File => extended.size.or(gnu_size).unwrap_or(stored),
        _ => 0,
    };
    Ok(Described::Entry {
        name,
        link,
        stored,
        entry: LayerEntry {
            path: ImagePath::root(),
            kind,
            size: shown,
            mode: u32::try_from(
                field(&header.as_old().mode, || header.mode().map(u64::from))? & 0o7777,
            )
            .unwrap_or_default(),
            uid: extended
                .uid
                .map_or_else(|| field(&header.as_old().uid, || header.uid()), Ok)?,
            gid: extended
                .gid
                .map_or_else(|| field(&header.as_old().gid, || header.gid()), Ok)?,
            link: None,
        },
    })
}

/// A numeric field; one that was left empty is 0, as GNU tar and Go read it.
fn field(bytes: &[u8], value: impl Fn() -> io::Result<u64>) -> Result<u64, String> {
    if bytes.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(0);
    }
    value().map_err(|error| error.to_string())
}

impl Extended {
    /// Takes `LENGTH KEY=VALUE\n` records; the last of a key counts. What is malformed is
    /// left out, as GNU tar does after a warning.
    fn read_pax(&mut self, mut records: &[u8]) {
        while let Some((key, value, rest)) = pax_record(records) {
            records = rest;
            let number = || std::str::from_utf8(value).ok()?.parse().ok();
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"GNU.sparse.name" => self.sparse_name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.stored = number(),
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.size = number(),
                b"uid" => self.uid = number(),
                b"gid" => self.gid = number(),
                _ => {}
            }
        }
    }
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

/// The sum that the header's checksum field holds, with that field read as spaces.
fn check_sum(header: &Header) -> Result<(), String> {
    let field = 148..156;
    let bytes = header.as_bytes().iter().enumerate();
    let sum: u32 = bytes
        .map(|(at, byte)| {
            if field.contains(&at) {
                32
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    match header.cksum() {
        Ok(expected) if expected == sum => Ok(()),
        _ => Err("a header's checksum is wrong".to_owned()),
    }
}

/// Fills `block`; less than a block at the end of the archive.
fn read_block(reader: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The content of an extended header.
fn bounded<R: Read>(
    tar: &mut Tar<R>,
    size: u64,
    invalid: &dyn Fn(String) -> ReadError,
    failed: &dyn Fn(io::Error) -> ReadError,
) -> Result<Vec<u8>, ReadError> {
    if size > MAX_EXTENDED {
        return Err(invalid(format!(
            "an extended header of {size} bytes, where at most {MAX_EXTENDED} are read"
        )));
    }
    let mut bytes = Vec::new();
    (&mut *tar)
        .take(size)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 != size {
        return Err(invalid("it ends within an extended header".to_owned()));
    }
    tar.skip(padding(size)).map_err(failed)?;
    Ok(bytes)
}

/// Up to the first NUL.
fn c_string(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Old GNU sparse files go on describing their holes in blocks after the header.
fn skip_sparse_map<R: Read>(tar: &mut Tar<R>, header: &Header) -> io::Result<()> {
    let mut more = header.as_gnu().is_some_and(|gnu| gnu.is_extended());
    while more {
        let mut block = [0; BLOCK];
        tar.read_exact(&mut block)?;
        // `isextended` of the extension block comes after its 21 pairs of 24 bytes.
        more = block.get(21 * 24).is_some_and(|flag| *flag != 0);
    }
    Ok(())
}
