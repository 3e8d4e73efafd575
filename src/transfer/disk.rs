//! To a store on disk.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use oci_spec::image::{Descriptor, Digest, MediaType};
use rustix::process::{Resource, Rlimit};

use super::walk::Walk;
use super::work::{Stop, each};
use super::{Copied, Progress, TransferError};
use crate::store::{
    Destination, Form, How, Source, StagedBlob, StoreError, Writer, is_manifest, platform_of,
};

/// How much is read at once, in bytes.
const BLOCK: usize = 256 << 10;

/// Writes all that `walk` has found in `source` to `destination` under `tag`.
pub(super) fn write(
    source: &dyn Source,
    walk: &Walk,
    destination: &Destination,
    tag: &str,
    parallel: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Copied, TransferError> {
    check_form(source, walk, destination)?;
    let name = destination.name(tag)?;
    let writer = Writer::open(destination)?;
    let mut copied = Copied {
        images: walk.images,
        ..Copied::none(&walk.entry.root)
    };
    make_room(walk.entry.blobs.len() + walk.entry.documents.len() + parallel.get());

    let mut missing: Vec<&Descriptor> = Vec::new();
    for blob in &walk.entry.blobs {
        if writer.holds(blob) {
            copied.present += 1;
        } else {
            missing.push(blob);
        }
    }
    let mut configs = 0;
    for (digest, bytes) in walk.configs() {
        if holds(&writer, digest, bytes) {
            copied.present += 1;
        } else {
            copied.sent += 1;
            configs += bytes.len() as u64;
        }
    }
    copied.sent += missing.len();
    copied.sent_bytes = configs + missing.iter().map(|blob| blob.size()).sum::<u64>();
    let is_there = copied.sent == 0
        && walk
            .entry
            .documents
            .iter()
            .all(|(digest, bytes)| holds(&writer, digest, bytes))
        && writer.under(&name) == [walk.entry.root.digest().clone()];
    if is_there {
        copied.unchanged = true;
        return Ok(copied);
    }
    progress.total(copied.sent_bytes);
    progress.advance(configs);

    missing.sort_by_key(|blob| std::cmp::Reverse(blob.size()));
    let staged = Mutex::new(Vec::with_capacity(missing.len()));
    each(&missing, parallel, &|blob, stop| {
        let bytes = stage(source, &writer, blob, stop, progress)?;
        let mut staged = staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.push((blob.digest().clone(), bytes));
        Ok(())
    })?;
    let staged = staged.into_inner().unwrap_or_else(PoisonError::into_inner);
    writer.commit_entry(&walk.entry, staged, Some(tag), How::Replace)?;
    Ok(copied)
}

/// Refuses an index for a docker archive before anything of it is fetched.
fn check_form(
    source: &dyn Source,
    walk: &Walk,
    destination: &Destination,
) -> Result<(), TransferError> {
    if destination.form() != Form::DockerArchive || is_manifest(walk.entry.root.media_type()) {
        return Ok(());
    }
    let mut platforms: Vec<String> = walk
        .order
        .iter()
        .filter(|entry| is_manifest(entry.media_type()))
        .filter_map(|entry| platform_of(source, entry).ok())
        .filter(|platform| platform.os != "unknown")
        .map(|platform| platform.to_string())
        .collect();
    platforms.sort_unstable();
    platforms.dedup();
    Err(StoreError::OneImageOnly {
        path: destination.path().to_path_buf(),
        platforms,
    }
    .into())
}

/// Whether a document is there.
fn holds(writer: &Writer, digest: &str, bytes: &[u8]) -> bool {
    digest.parse().is_ok_and(|digest: Digest| {
        writer.holds(&Descriptor::new(
            MediaType::ImageConfig,
            bytes.len() as u64,
            digest,
        ))
    })
}

/// Reads a blob, which its source checks, into a place of its own.
fn stage(
    source: &dyn Source,
    writer: &Writer,
    blob: &Descriptor,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<StagedBlob, TransferError> {
    let failed = |error| TransferError::Blob {
        store: source.name(),
        digest: blob.digest().to_string(),
        source: error,
    };
    let mut reader = stop.watch(source.blob(blob)?);
    let mut staged = writer.stage()?;
    let mut block = vec![0; BLOCK];
    loop {
        let count = match reader.read(&mut block) {
            Ok(0) => return Ok(staged),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        staged
            .write_all(block.get(..count).unwrap_or_default())
            .map_err(|error| match error.downcast::<StoreError>() {
                Ok(of_store) => TransferError::Store(of_store),
                Err(error) => failed(error),
            })?;
        progress.advance(count as u64);
    }
}

/// Lets this process have as many files open as there are blobs, where it may: each is held open
/// until the commit, and the common limit is 1024.
fn make_room(blobs: usize) {
    let wanted = u64::try_from(blobs).unwrap_or(u64::MAX).saturating_add(256);
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let is_enough = |most: Option<u64>| most.is_none_or(|most| most >= wanted);
    if !is_enough(limit.current) {
        let current = limit.maximum.map_or(wanted, |most| most.min(wanted));
        let raised = Rlimit {
            current: Some(current),
            maximum: limit.maximum,
        };
        // Otherwise the file that is one too many says so.
        let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    }
}
