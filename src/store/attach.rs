//! Attaching manifests to an image that is there.

use std::collections::BTreeMap;
use std::path::Path;

use oci_spec::image::Digest;

use super::entry::{Change, Commit};
use super::{Attachment, Destination, OciArchive, Reference, StoreError, Writer, open};

/// Puts `attachments` beside the image with the digest `subject` in the layout or OCI archive at
/// `path`; what has the tag of one of them, and is what that was made
/// [instead](Attachment::instead) of, is replaced, and the manifests in `replaced` go that are
/// attached to the image. All in one edit of the index: readers see the old or the new one at
/// any moment. Where all of it is there already nothing is written.
///
/// The image may be an entry of the index or stand in an index within. Blobs that are not among
/// the documents of an attachment have to be there.
///
/// # Errors
/// When there is no such image, an attachment is not of it, the store is a docker archive, which
/// has no room for any, or it cannot be read or written; [`StoreError::AttachedMeanwhile`] when
/// something else has a tag by now.
pub fn attach(
    path: &Path,
    subject: &Digest,
    attachments: &[Attachment],
    replaced: &[Digest],
) -> Result<(), StoreError> {
    let destination = existing(path)?;
    let store = path.display().to_string();
    for one in attachments {
        one.entry.check(&store)?;
        let of = one.tie(&store)?.subject;
        if of != *subject {
            let part = format!("what is to be attached, {},", one.entry.root.digest());
            let problem = format!("it is of {of} and not of {subject}");
            return Err(StoreError::damaged(store, part, problem));
        }
    }
    let writer = Writer::open(&destination)?;
    for blob in attachments.iter().flat_map(|one| &one.entry.blobs) {
        // Held open, so that it stays until the commit.
        let _ = writer.holds(blob);
    }
    writer.write(&Commit {
        change: Change::Attach {
            subject,
            removed: replaced,
        },
        staged: &BTreeMap::new(),
        attached: attachments,
    })
}

/// Checks that the store at `path` is one in which something can be attached to an image.
///
/// # Errors
/// When it is a docker archive, which has no room for any, or no store of images.
pub fn has_room(path: &Path) -> Result<(), StoreError> {
    existing(path).map(drop)
}

/// The store at `path`, which can take attachments.
fn existing(path: &Path) -> Result<Destination, StoreError> {
    let reference = Reference {
        form: None,
        path: path.to_path_buf(),
        tag: None,
    };
    // Says what is there, when it is no image.
    open(&reference)?;
    if path.is_dir() {
        return Ok(Destination::Layout(path.to_path_buf()));
    }
    if OciArchive::open(path).is_err() {
        return Err(StoreError::NoRoomForAttached(path.to_path_buf()));
    }
    Ok(Destination::OciArchive(path.to_path_buf()))
}
