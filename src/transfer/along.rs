//! What is attached to an image and goes along with it: signatures, attestations, SBOMs.
//!
//! An image is never to be seen without them under its name where the source had them: an
//! admission controller would refuse it, or take it for unsigned. So a target gets them before
//! the name.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use oci_spec::image::{Descriptor, Digest};

use super::TransferError;
use super::union::{Union, instead, union};
use super::walk::{Room, TOO_MANY, Walk, walk_in};
use super::work::each;
use crate::sign::MOST_SIGNATURES;
use crate::store::{
    Attached, DEEPEST, Link, MOST_MANIFESTS, SUFFIXES, Said, Source, StoreError, attached_tag,
    attested, is_index, read_index,
};

/// The most manifests that may be attached to what is copied, all together.
pub(super) const MOST_ATTACHED: usize = 1000;

/// A manifest that goes along.
#[derive(Debug)]
pub(super) struct Along {
    /// What it is attached to.
    pub(super) subject: Digest,
    pub(super) link: Link,
    pub(super) walk: Walk,
}

impl Along {
    /// What it is put under: its tag, or its digest.
    pub(super) fn name(&self) -> &str {
        match &self.link {
            Link::Tag(tag) => tag,
            Link::Subject => self.walk.entry.root.digest().as_ref(),
        }
    }

    /// Its own bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        let entry = &self.walk.entry;
        entry.document(entry.root.digest()).unwrap_or_default()
    }

    /// Why it is not joined with what has its tag.
    pub(super) fn too_long(&self) -> TransferError {
        TransferError::ListTooLong {
            tag: self.name().to_owned(),
            most: MOST_SIGNATURES,
        }
    }

    /// An error of it, with what can be done.
    pub(super) fn failed(&self, error: impl Into<TransferError>) -> TransferError {
        not_copied(self.walk.entry.root.digest(), &self.subject, error)
    }
}

/// What becomes of one that goes along.
#[derive(Debug)]
pub(super) enum Fate {
    /// The target has it.
    There,
    /// The target has one under its tag with all that is in it, and more.
    Within,
    /// It is written.
    Written,
    /// This is written: what the target has under its tag, and what is in it.
    Joined(Box<Walk>),
}

/// What becomes of one whose tag leads to the manifest `theirs` at the target; `None` when there
/// would be too many of both.
pub(super) fn joined(along: &Along, theirs: &[u8]) -> Option<Fate> {
    Some(match union(along.name(), theirs, along.bytes()) {
        Union::Theirs => Fate::Within,
        Union::Ours => Fate::Written,
        Union::Both { manifest, config } => {
            Fate::Joined(Box::new(instead(&along.walk, manifest, config)))
        }
        Union::TooMany => return None,
    })
}

/// All that is attached to the image or index at `root`, and to the images in it, `parallel`
/// questions at once. What is attached to that in turn, and to attestations in an index, is not.
///
/// # Errors
/// When it cannot be told or read, or is more than anybody attaches.
pub(super) fn gather(
    source: &dyn Source,
    root: &Descriptor,
    parallel: NonZeroUsize,
) -> Result<Vec<Along>, TransferError> {
    let subjects = subjects(source, root)?;
    let numbered: Vec<(usize, &Digest)> = subjects.iter().enumerate().collect();
    let found: Mutex<Vec<(usize, Attached)>> = Mutex::default();
    each(&numbered, parallel, &|(number, subject), _| {
        let attached = source
            .attached(subject)
            .map_err(|error| TransferError::NotTold {
                subject: subject.to_string(),
                store: source.name(),
                source: Box::new(error),
            })?;
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = attached.into_iter().filter(|one| fits(one, subject));
        found.extend(fitting.map(|one| (*number, one)));
        match found.len() > MOST_ATTACHED {
            true => Err(TransferError::TooManyAttached {
                store: source.name(),
                root: root.digest().to_string(),
                most: MOST_ATTACHED,
            }),
            false => Ok(()),
        }
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_cached_key(|(number, one)| {
        let tag = match &one.link {
            Link::Tag(tag) => Some(tag.clone()),
            Link::Subject => None,
        };
        (*number, tag, one.manifest.digest().to_string())
    });
    found.dedup_by(|a, b| {
        a.0 == b.0 && a.1.link == b.1.link && a.1.manifest.digest() == b.1.manifest.digest()
    });
    read(source, &subjects, found, parallel)
}

/// Reads what was found, all in one room.
fn read(
    source: &dyn Source,
    subjects: &[Digest],
    found: Vec<(usize, Attached)>,
    parallel: NonZeroUsize,
) -> Result<Vec<Along>, TransferError> {
    let room = Room::default();
    let numbered: Vec<(usize, (usize, Attached))> = found.into_iter().enumerate().collect();
    let all: Mutex<Vec<(usize, Along)>> = Mutex::default();
    each(&numbered, parallel, &|(place, (number, one)), _| {
        let Some(subject) = subjects.get(*number) else {
            return Ok(());
        };
        let walk = match walk_in(&room, source, &one.manifest) {
            Ok(walk) => walk,
            Err(error) if is_stale(source, one, &error) => return Ok(()),
            Err(error) => return Err(not_copied(one.manifest.digest(), subject, error)),
        };
        let along = Along {
            subject: subject.clone(),
            link: one.link.clone(),
            walk,
        };
        // A list that names what refers to something else is of no use to anybody.
        if along.link != Link::Subject || refers_to(along.bytes(), subject) {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.push((*place, along));
        }
        Ok(())
    })?;
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, along)| along).collect())
}

/// The digests of the root, and of the indexes and images that it leads to.
fn subjects(source: &dyn Source, root: &Descriptor) -> Result<Vec<Digest>, TransferError> {
    let (mut subjects, mut seen) = (Vec::new(), BTreeSet::new());
    let mut open = vec![(root.clone(), 0)];
    while let Some((described, depth)) = open.pop() {
        let platform = described.platform().as_ref();
        let is_of_none = platform.is_some_and(|platform| platform.os().to_string() == "unknown");
        let is_one = depth == 0 || (attested(&described).is_none() && !is_of_none);
        if !is_one || !seen.insert(described.digest().to_string()) {
            continue;
        }
        if is_index(described.media_type()) {
            let children = read_index(source, &described)?.manifests().clone();
            if depth >= DEEPEST || open.len() + children.len() > 2 * MOST_MANIFESTS {
                return Err(TransferError::TooMuch {
                    store: source.name(),
                    root: root.digest().to_string(),
                    problem: TOO_MANY,
                });
            }
            open.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
        }
        subjects.push(described.digest().clone());
    }
    Ok(subjects)
}

/// Whether a link can be one to `subject`: a store may say anything, and no tag but cosign's own
/// is to be written in its name.
fn fits(attached: &Attached, subject: &Digest) -> bool {
    let is_other = attached.manifest.digest() != subject;
    is_other
        && match &attached.link {
            Link::Tag(tag) => SUFFIXES
                .iter()
                .any(|suffix| attached_tag(subject, suffix) == *tag),
            Link::Subject => true,
        }
}

/// Whether a registry lists what it has no more: the list that a client keeps where the registry
/// has none still names what somebody removed.
fn is_stale(source: &dyn Source, attached: &Attached, error: &TransferError) -> bool {
    let missing = match error {
        TransferError::Store(StoreError::MissingBlob { digest, .. }) => digest,
        _ => return false,
    };
    source.repository().is_some()
        && attached.link == Link::Subject
        && missing.as_str() == attached.manifest.digest().as_ref()
}

/// Whether the manifest says that it is attached to `subject`.
fn refers_to(manifest: &[u8], subject: &Digest) -> bool {
    Said::in_manifest(manifest).is_ok_and(|said| said.subject.as_ref() == Some(subject))
}

fn not_copied(
    manifest: &Digest,
    subject: &Digest,
    error: impl Into<TransferError>,
) -> TransferError {
    TransferError::NotAlong {
        manifest: manifest.to_string(),
        subject: subject.to_string(),
        source: Box::new(error.into()),
    }
}

/// What is to be written of them, with each its fate: [`joined`] is what has the tag from then on.
pub(super) fn written(along: &[(Along, Fate)]) -> impl Iterator<Item = (&Along, &Walk)> {
    along.iter().filter_map(|(along, fate)| match fate {
        Fate::There | Fate::Within => None,
        Fate::Written => Some((along, &along.walk)),
        Fate::Joined(walk) => Some((along, &**walk)),
    })
}
