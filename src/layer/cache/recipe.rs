//! Layers that are known by what they are made of.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::{Duration, SystemTime};

use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};

use super::{Cache, LARGEST_FILE, MemberKey};
use crate::layer::buffer::Buffer;
use crate::layer::compress::Compression;
use crate::layer::digest::{Digest, Hasher};
use crate::layer::pack::{Layer, PackError};
use crate::layer::pipeline::WrittenMember;
use crate::layer::tar::Placed;
use crate::rootfs::{Content, EntryKind};

/// Changes whenever the same entries would be packed into other bytes.
const FORMAT: &str = "distrobuild layer 1";

/// A file may have been written to again within its clock's granularity, and FAT's is two
/// seconds: only what has rested so long is known by its times.
const RACY: Duration = Duration::from_secs(2);

/// The digest of all that a layer's bytes depend on.
pub(in crate::layer) fn recipe_key(
    entries: &[Placed<'_>],
    compression: Compression,
    epoch: u64,
) -> Digest {
    let mut key = Key(Hasher::new());
    key.bytes(FORMAT.as_bytes());
    key.bytes(compression.name().as_bytes());
    key.bytes(compression.codec().as_bytes());
    key.number(epoch);
    for (path, entry) in entries {
        key.bytes(path.as_bytes());
        key.number(entry.mode.into());
        key.number(entry.uid.into());
        key.number(entry.gid.into());
        match &entry.kind {
            EntryKind::Directory => key.bytes(b"directory"),
            EntryKind::Symlink(target) => {
                key.bytes(b"symlink");
                key.bytes(target.as_os_str().as_encoded_bytes());
            }
            EntryKind::HardLink(target) => {
                key.bytes(b"hard link");
                key.bytes(target.as_bytes());
            }
            EntryKind::File(Content::Bytes(bytes)) => {
                key.bytes(b"bytes");
                key.bytes(bytes);
            }
            EntryKind::File(Content::Host { path, facts }) => {
                key.bytes(b"host");
                key.bytes(path.as_os_str().as_encoded_bytes());
                let identity = facts.identity;
                key.number(identity.device);
                key.number(identity.inode);
                key.number(facts.size);
                key.0.update(&identity.modified.to_le_bytes());
                key.0.update(&identity.changed.to_le_bytes());
            }
        }
    }
    key.0.finish()
}

/// Hashes values so that no two lists of them look the same.
struct Key(Hasher);

impl Key {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }
}

/// Whether a file of these entries was written or changed just now.
fn is_racy(entries: &[Placed<'_>], now: SystemTime) -> bool {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let rested = i128::try_from(now.saturating_sub(RACY.as_nanos())).unwrap_or(i128::MAX);
    entries.iter().any(|(_, entry)| match &entry.kind {
        EntryKind::File(Content::Host { facts, .. }) => {
            facts.identity.modified.max(facts.identity.changed) > rested
        }
        _ => false,
    })
}

/// A [`Layer`] as the cache writes it.
#[derive(Serialize, Deserialize)]
struct Facts {
    media_type: String,
    digest: String,
    size: u64,
    diff_id: String,
    tar_size: u64,
    annotations: BTreeMap<String, String>,
}

impl From<&Layer> for Facts {
    fn from(layer: &Layer) -> Self {
        Self {
            media_type: layer.media_type.to_string(),
            digest: layer.digest.to_string(),
            size: layer.size,
            diff_id: layer.diff_id.to_string(),
            tar_size: layer.tar_size,
            annotations: layer.annotations.clone(),
        }
    }
}

impl Facts {
    fn layer(self) -> Option<Layer> {
        Some(Layer {
            media_type: MediaType::from(self.media_type.as_str()),
            digest: self.digest.parse().ok()?,
            size: self.size,
            diff_id: self.diff_id.parse().ok()?,
            tar_size: self.tar_size,
            annotations: self.annotations,
        })
    }
}

/// A part of a blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Part {
    /// A member with a file of its own: its name and size.
    #[serde(rename = "m")]
    Member(String, u64),
    /// So many of the bytes that follow the list.
    #[serde(rename = "i")]
    Inline(u64),
}

impl Cache {
    /// The layer that was recorded under `key`.
    pub(in crate::layer) fn known(&self, key: &Digest) -> Option<Layer> {
        let mut payload = Buffer::default();
        self.load(&self.recipe_path(key), key, LARGEST_FILE, &mut payload)?;
        let facts: Facts = serde_json::from_slice(payload.filled()).ok()?;
        facts.layer()
    }

    /// Records a layer under `key`, unless one of its files was written to just now.
    pub(in crate::layer) fn record(
        &self,
        key: &Digest,
        entries: &[Placed<'_>],
        layer: &Layer,
        members: &[WrittenMember],
    ) {
        if is_racy(entries, SystemTime::now()) {
            return;
        }
        let Ok(facts) = serde_json::to_vec(&Facts::from(layer)) else {
            return;
        };
        if let Some((list, inline)) = parts(members) {
            self.store(
                &self.layer_path(&layer.digest),
                &layer.digest,
                &[&(list.len() as u64).to_le_bytes(), &list, &inline],
            );
        }
        self.store(&self.recipe_path(key), key, &[&facts]);
    }

    /// Writes a recorded layer's blob to `out`; `false` when the cache cannot give all of it.
    pub(in crate::layer) fn restore(
        &self,
        layer: &Layer,
        out: &mut (dyn Write + Send),
    ) -> Result<bool, PackError> {
        let mut payload = Buffer::default();
        let path = self.layer_path(&layer.digest);
        if self
            .load(&path, &layer.digest, LARGEST_FILE, &mut payload)
            .is_none()
        {
            return Ok(false);
        }
        let Some((parts, inline)) = read_parts(payload.filled(), layer.size) else {
            let _ = std::fs::remove_file(&path);
            return Ok(false);
        };
        let whole = std::thread::scope(|scope| {
            // One thread reads what the other hashes and writes.
            let (full, take) = sync_channel(2);
            let (give_back, empty) = channel();
            let read = move || self.read_parts_into(&parts, inline, &full, &empty);
            // Without a second thread nothing arrives, and the layer is packed anew.
            let _ = std::thread::Builder::new().spawn_scoped(scope, read);
            write_checked(layer, out, &take, &give_back)
        })?;
        if !whole {
            // Each member's own checksum held or its file is gone by now: what is wrong is the list.
            let _ = std::fs::remove_file(&path);
        }
        Ok(whole)
    }

    /// Sends the bytes of every part; ends early when one is missing or nobody listens.
    fn read_parts_into(
        &self,
        parts: &[Part],
        mut inline: &[u8],
        full: &SyncSender<Buffer>,
        empty: &Receiver<Buffer>,
    ) {
        for part in parts {
            let mut buffer = empty.try_recv().unwrap_or_default();
            match part {
                Part::Inline(size) => {
                    let size = usize::try_from(*size).unwrap_or(usize::MAX);
                    let Some((bytes, rest)) = inline.split_at_checked(size) else {
                        return;
                    };
                    inline = rest;
                    buffer.clear();
                    buffer.extend(bytes);
                }
                Part::Member(name, size) => {
                    let Ok(name) = name.parse() else {
                        return;
                    };
                    if !self.load_member(&MemberKey(name), &mut buffer)
                        || buffer.filled().len() as u64 != *size
                    {
                        return;
                    }
                }
            }
            if full.send(buffer).is_err() {
                return;
            }
        }
    }

    fn recipe_path(&self, key: &Digest) -> std::path::PathBuf {
        self.root().join("recipes").join(key.hex())
    }

    fn layer_path(&self, digest: &Digest) -> std::path::PathBuf {
        self.root().join("layers").join(digest.hex())
    }
}

/// Writes what arrives; whether it was the layer's blob.
fn write_checked(
    layer: &Layer,
    out: &mut (dyn Write + Send),
    take: &Receiver<Buffer>,
    give_back: &std::sync::mpsc::Sender<Buffer>,
) -> Result<bool, PackError> {
    let mut hasher = Hasher::new();
    let mut size = 0;
    for buffer in take {
        hasher.update(buffer.filled());
        size += buffer.filled().len() as u64;
        out.write_all(buffer.filled()).map_err(PackError::Write)?;
        // The reader may have ended already.
        let _ = give_back.send(buffer);
    }
    Ok(size == layer.size && hasher.finish() == layer.digest)
}

/// The list of a blob's parts, and the bytes of those without a file. `None` when the
/// cache does not hold them all.
fn parts(members: &[WrittenMember]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut list = Vec::with_capacity(members.len());
    let mut inline = Vec::new();
    for member in members {
        match &member.key {
            Some(key) => list.push(Part::Member(key.0.to_string(), member.size)),
            None if member.inline.len() as u64 == member.size => {
                inline.extend_from_slice(&member.inline);
                match list.last_mut() {
                    Some(Part::Inline(size)) => *size += member.size,
                    _ => list.push(Part::Inline(member.size)),
                }
            }
            None => return None,
        }
    }
    Some((serde_json::to_vec(&list).ok()?, inline))
}

/// The inverse of [`parts`], with the list's length in front; `None` unless it adds up to `size`.
fn read_parts(payload: &[u8], size: u64) -> Option<(Vec<Part>, &[u8])> {
    let (length, rest) = payload.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (list, inline) = rest.split_at_checked(length)?;
    let parts: Vec<Part> = serde_json::from_slice(list).ok()?;
    let total = parts.iter().try_fold(0_u64, |total, part| match part {
        Part::Member(_, size) | Part::Inline(size) => total.checked_add(*size),
    })?;
    (total == size).then_some((parts, inline))
}
