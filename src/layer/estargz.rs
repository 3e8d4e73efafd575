//! eStargz: gzip layers that a runtime can pull lazily, file by file.
//!
//! Follows `docs/estargz.md` of the stargz-snapshotter. Every file that is not empty
//! begins a gzip member of its own and is cut as in a plain gzip layer, so large files
//! share their members with those in the cache. Files never share a member: readers older
//! than `innerOffset` are served as well. No file is prioritised, which the landmark
//! `.no.prefetch.landmark` says.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::buffer::Buffer;
use super::compress::{Compression, Encoder};
use super::digest::Digest;
use super::pack::{Layer, PackError};
use super::pipeline::{Written, WrittenMember};
use super::tar::{self, BLOCK, Piece, Placed, Plan};
use crate::ImagePath;
use crate::rootfs::{Bytes, Content, Entry, EntryKind, Origin};

/// Name of the table of contents in the tar.
const TOC: &str = "/stargz.index.json";
/// Names of the entries that tell what to fetch ahead.
const LANDMARK: &str = "/.no.prefetch.landmark";
const PREFETCH_LANDMARK: &str = "/.prefetch.landmark";

/// Annotation with the digest of the table of contents.
pub(super) const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// Annotation with the size of the uncompressed tar, which containers/storage wants.
pub(super) const UNCOMPRESSED_SIZE: &str = "io.containers.estargz.uncompressed-size";

/// The table of contents.
#[derive(Serialize)]
struct Toc {
    version: u32,
    entries: Vec<TocEntry>,
}

/// An entry or a further chunk of a file. What is zero or empty is left out, as the
/// format's other writers do.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct TocEntry {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    link_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<String>,
}

// serde hands the field over by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The entry that says that no file is to be fetched ahead.
pub(super) fn landmark() -> (ImagePath, Entry) {
    (own_path(LANDMARK), own_file((&[0x0f]).into()))
}

/// A path from the constants above.
fn own_path(path: &str) -> ImagePath {
    // They are absolute and plain, so the root never stands in.
    ImagePath::new(path).unwrap_or_else(|_| ImagePath::root())
}

fn own_file(bytes: Bytes) -> Entry {
    Entry {
        kind: EntryKind::File(Content::Bytes(bytes)),
        mode: 0o644,
        uid: 0,
        gid: 0,
        origin: Origin::Base,
    }
}

/// An eStargz in the making, of which all entries can be listed.
pub(super) struct Estargz {
    epoch: u64,
}

impl Estargz {
    /// # Errors
    /// When a name is not UTF-8 or is one of eStargz's own.
    pub(super) fn new(entries: &[Placed<'_>], epoch: u64) -> Result<Self, PackError> {
        for (path, entry) in entries {
            if [TOC, LANDMARK, PREFETCH_LANDMARK]
                .map(str::as_bytes)
                .contains(&path.as_bytes())
            {
                return Err(PackError::Reserved {
                    path: (*path).clone(),
                });
            }
            let target = match &entry.kind {
                EntryKind::Symlink(target) => target.to_str(),
                EntryKind::HardLink(target) => target.as_path().to_str(),
                _ => Some(""),
            };
            if target.is_none() || path.as_path().to_str().is_none() {
                return Err(PackError::NotUtf8 {
                    path: (*path).clone(),
                });
            }
        }
        Ok(Self { epoch })
    }

    /// Appends the table of contents and the footer to what was written.
    pub(super) fn finish(
        self,
        entries: &[Placed<'_>],
        plan: &Plan,
        written: Written,
        compression: Compression,
        out: &mut (dyn Write + Send),
    ) -> Result<(Layer, Vec<WrittenMember>), PackError> {
        let toc = Toc {
            version: 1,
            entries: self.list(entries, plan, &written),
        };
        let json = serde_json::to_vec(&toc).map_err(|error| PackError::Compress(error.into()))?;
        let toc_digest = Digest::of(&json);
        let raw = self.toc_member(json);
        let mut member = Buffer::default();
        Encoder::new(compression)
            .and_then(|mut encoder| encoder.encode(&raw, &mut member))
            .map_err(PackError::Compress)?;
        let footer = footer(written.size);

        let (mut tar, mut blob) = (written.tar, written.blob.unwrap_or_default());
        let mut members = written.members;
        tar.update(&raw);
        let mut size = written.size;
        for bytes in [member.filled(), &footer] {
            blob.update(bytes);
            out.write_all(bytes).map_err(PackError::Write)?;
            size += bytes.len() as u64;
            members.push(WrittenMember {
                size: bytes.len() as u64,
                content: None,
                key: None,
                inline: bytes.to_vec(),
            });
        }
        let tar_size = written.tar_size + raw.len() as u64;
        let layer = Layer {
            media_type: compression.media_type(),
            digest: blob.finish(),
            size,
            diff_id: tar.finish(),
            tar_size,
            annotations: BTreeMap::from([
                (TOC_DIGEST.to_owned(), toc_digest.to_string()),
                (UNCOMPRESSED_SIZE.to_owned(), tar_size.to_string()),
            ]),
        };
        Ok((layer, members))
    }

    /// All entries and chunks in the order of the tar.
    fn list(&self, entries: &[Placed<'_>], plan: &Plan, written: &Written) -> Vec<TocEntry> {
        let mut list: Vec<TocEntry> = Vec::with_capacity(entries.len());
        let mut at = 0;
        for (member, done) in plan.members.iter().zip(&written.members) {
            for piece in plan.pieces_of(member) {
                match *piece {
                    Piece::Header(number) => {
                        if let Some((path, entry)) = entries.get(number) {
                            list.push(self.entry(path, entry));
                        }
                    }
                    Piece::Content {
                        entry,
                        offset,
                        length,
                    } if length > 0 => {
                        let chunk = Chunk {
                            entry,
                            size: entries
                                .get(entry)
                                .map_or(0, |(_, entry)| tar::content_size(entry)),
                            offset,
                            length: length as u64,
                            at,
                        };
                        chunk.add_to(&mut list, done.content, written);
                    }
                    _ => {}
                }
            }
            at += done.size;
        }
        list
    }

    fn entry(&self, path: &ImagePath, entry: &Entry) -> TocEntry {
        let lossless = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (kind, link_name) = match &entry.kind {
            EntryKind::Directory => ("dir", String::new()),
            EntryKind::File(_) => ("reg", String::new()),
            EntryKind::Symlink(target) => {
                ("symlink", lossless(target.as_os_str().as_encoded_bytes()))
            }
            EntryKind::HardLink(target) => ("hardlink", lossless(target.relative())),
        };
        TocEntry {
            name: lossless(&tar::entry_name(path, entry)),
            kind,
            size: tar::content_size(entry),
            modified: rfc3339(self.epoch),
            link_name,
            mode: (entry.mode & 0o7777).into(),
            uid: entry.uid.into(),
            gid: entry.gid.into(),
            ..TocEntry::default()
        }
    }

    /// The table's tar entry and the end of the tar.
    fn toc_member(&self, json: Vec<u8>) -> Vec<u8> {
        let padding = tar::padding(json.len() as u64) as usize;
        let entry = own_file(json.into());
        let mut raw = tar::header(&own_path(TOC), &entry, self.epoch);
        if let EntryKind::File(Content::Bytes(json)) = &entry.kind {
            raw.extend_from_slice(json);
        }
        raw.resize(raw.len() + padding + 2 * BLOCK, 0);
        raw
    }
}

/// A chunk of a file, and where its member begins in the blob.
struct Chunk {
    entry: usize,
    /// Size of the whole file.
    size: u64,
    offset: u64,
    length: u64,
    at: u64,
}

impl Chunk {
    /// Adds what is to be said of the chunk: to its file's entry the first, as one of their own the others.
    fn add_to(&self, list: &mut Vec<TocEntry>, content: Option<Digest>, written: &Written) {
        let digest = content.map(|digest| digest.to_string());
        // The last chunk goes to the end of the file, which is said by saying nothing.
        let is_last = self.offset + self.length == self.size;
        let chunk_size = if is_last { 0 } else { self.length };
        if self.offset > 0 {
            let name = list.last().map(|last| last.name.clone());
            list.push(TocEntry {
                name: name.unwrap_or_default(),
                kind: "chunk",
                offset: self.at,
                chunk_offset: self.offset,
                chunk_size,
                chunk_digest: digest,
                ..TocEntry::default()
            });
        } else if let Some(file) = list.last_mut() {
            file.offset = self.at;
            file.chunk_size = chunk_size;
            let whole = written.files.get(&self.entry).map(Digest::to_string);
            file.digest = whole.or_else(|| digest.clone());
            file.chunk_digest = digest;
        }
    }
}

/// The last 51 bytes: an empty gzip member of which the extra field (RFC 1952, 2.3.1.1)
/// tells where the table of contents begins.
fn footer(toc_offset: u64) -> Vec<u8> {
    let subfield = format!("{toc_offset:016x}STARGZ");
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    footer.extend_from_slice(&[26, 0, b'S', b'G', 22, 0]);
    footer.extend_from_slice(subfield.as_bytes());
    // One stored block of no bytes, the last; then CRC-32 and size, both zero.
    footer.extend_from_slice(&[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    footer
}

/// A time in UTC as RFC 3339 has it; `None` for the epoch itself, which the format spells
/// by leaving it out, and for years of more than four digits.
fn rfc3339(epoch: u64) -> Option<String> {
    if epoch == 0 {
        return None;
    }
    let (day, second) = (epoch / 86_400, epoch % 86_400);
    let (mut year, mut left) = (1970, day);
    let length = |year: u64| {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        (365 + u64::from(leap), leap)
    };
    while left >= length(year).0 {
        left -= length(year).0;
        year += 1;
        if year > 9999 {
            return None;
        }
    }
    let february = if length(year).1 { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    Some(format!(
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z",
        left + 1,
        second / 3600,
        second / 60 % 60,
        second % 60
    ))
}

#[cfg(test)]
mod tests;
