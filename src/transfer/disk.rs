//! To a store on disk.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use oci_spec::image::{Descriptor, Digest, MediaType};
use rustix::process::{Resource, Rlimit};

use super::along::{Along, Fate, gather, joined, written};
use super::push::blobs;
use super::walk::{Walk, walk};
use super::work::{Stop, each};
use super::{Chosen, Copied, Progress, TransferError};
use crate::store::{
    Attached, Attachment, Destination, Form, How, Link, Source, StagedBlob, StoreError, Writer,
    is_manifest, platform_of, read_document,
};

/// How much is read at once, in bytes.
const BLOCK: usize = 256 << 10;

/// Writes what is chosen of `source` to `destination` under `tag`.
pub(super) fn write(
    source: &dyn Source,
    chosen: &Chosen,
    destination: &Destination,
    tag: &str,
    parallel: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Copied, TransferError> {
    let walk = walk(source, &chosen.root)?;
    check_form(source, &walk, destination)?;
    let name = destination.name(tag)?;
    let writer = Writer::open(destination)?;
    let has_room = destination.form() != Form::DockerArchive;
    let along = match chosen.attached && has_room {
        true => gather(source, &chosen.root, parallel)?,
        false => Vec::new(),
    };
    let (along, instead) = fates(along, &writer)?;
    let mut copied = Copied {
        images: walk.images,
        attached: along.len(),
        ..Copied::none(&walk.entry.root)
    };
    let walks = || std::iter::once(&walk).chain(along.iter().filter_map(kept));
    let blobs = blobs(source, walks())?;
    let documents = walks()
        .map(|walk| walk.entry.documents.len())
        .sum::<usize>();
    make_room(blobs.len() + documents + parallel.get());

    let mut missing: Vec<&Descriptor> = Vec::new();
    let mut configs = 0;
    for (blob, bytes) in &blobs {
        if writer.holds(blob) {
            copied.present += 1;
            continue;
        }
        copied.sent += 1;
        copied.sent_bytes += blob.size();
        match bytes {
            Some(_) => configs += blob.size(),
            None => missing.push(blob),
        }
    }
    let mut all_documents = walks().flat_map(|walk| &walk.entry.documents);
    let is_there = copied.sent == 0
        && written(&along).next().is_none()
        && all_documents.all(|(digest, bytes)| holds(&writer, digest, bytes))
        && writer.under(&name) == [walk.entry.root.digest().clone()];
    if is_there {
        copied.unchanged = true;
        return Ok(copied);
    }
    progress.total(copied.sent_bytes);
    progress.advance(configs);

    let staged = Mutex::new(Vec::with_capacity(missing.len()));
    each(&missing, parallel, &|blob, stop| {
        let bytes = stage(source, &writer, blob, stop, progress)?;
        let mut staged = staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.push((blob.digest().clone(), bytes));
        Ok(())
    })?;
    let staged = staged.into_inner().unwrap_or_else(PoisonError::into_inner);
    let attachments: Vec<Attachment> = along
        .iter()
        .zip(instead)
        .filter_map(|(one, instead)| {
            Some(Attachment {
                entry: kept(one)?.entry.clone(),
                link: one.0.link.clone(),
                instead,
            })
        })
        .collect();
    writer.commit_entry(&walk.entry, staged, Some(tag), How::Replace, &attachments)?;
    Ok(copied)
}

/// What becomes of each that goes along, by what was there at first; and for each what had its tag.
fn fates(along: Vec<Along>, writer: &Writer) -> Result<Fates, TransferError> {
    let mut known: Option<(Digest, Vec<Attached>)> = None;
    let (mut fates, mut instead) = (Vec::with_capacity(along.len()), Vec::new());
    for one in along {
        let Some(there) = writer.there() else {
            fates.push((one, Fate::Written));
            instead.push(Vec::new());
            continue;
        };
        // They come in the order of their subjects.
        let found = match known.take() {
            Some((subject, found)) if subject == one.subject => found,
            _ => there
                .attached(&one.subject)
                .map_err(|error| one.failed(error))?,
        };
        let fate = fate(&one, there, &found).map_err(|error| one.failed(error))?;
        let fate = fate.ok_or_else(|| one.too_long())?;
        let same = found.iter().filter(|found| found.link == one.link);
        instead.push(same.map(|found| found.manifest.digest().clone()).collect());
        known = Some((one.subject.clone(), found));
        fates.push((one, fate));
    }
    Ok((fates, instead))
}

type Fates = (Vec<(Along, Fate)>, Vec<Vec<Digest>>);

/// `None` when there would be too many.
fn fate(along: &Along, there: &dyn Source, found: &[Attached]) -> Result<Option<Fate>, StoreError> {
    let own = along.walk.entry.root.digest();
    let is_there = |one: &Attached| one.link == along.link && one.manifest.digest() == own;
    if found.iter().any(is_there) {
        return Ok(Some(Fate::There));
    }
    let has_tag = |one: &&Attached| along.link != Link::Subject && one.link == along.link;
    match found.iter().find(has_tag) {
        Some(one) => Ok(joined(along, &read_document(there, &one.manifest)?)),
        None => Ok(Some(Fate::Written)),
    }
}

/// What of one that goes along is to be there afterwards, and may be already.
fn kept((along, fate): &(Along, Fate)) -> Option<&Walk> {
    match fate {
        Fate::There | Fate::Written => Some(&along.walk),
        Fate::Joined(walk) => Some(walk),
        Fate::Within => None,
    }
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
