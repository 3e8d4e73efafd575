#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod attached;
mod attached_disk;
mod beside;
mod disk;
mod gathered;
mod push;
mod signed;
mod walked;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use oci_spec::image::{Descriptor, ImageIndex};

use super::*;
use crate::store::tests::entries::{Whole, attested_index};
use crate::store::tests::{
    Codec, amd64, assert_no_litter, assert_valid, files, made, source, write,
};
use crate::store::{How, StoreError, images, tags};

fn at_once(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// The entry of the one tag of a store.
fn only(source: &dyn Source) -> Descriptor {
    let index = source.index().unwrap();
    assert_eq!(index.manifests().len(), 1);
    index.manifests()[0].clone()
}

/// Copies what has the tag in a store on disk to another.
fn copy_tag(
    from: &Path,
    tag: &str,
    to: &Destination,
    as_tag: &str,
) -> Result<Copied, TransferError> {
    let source = source(from);
    let root = tagged(source.as_ref(), tag);
    let target = Target::Disk {
        destination: to.clone(),
        tag: as_tag.to_owned(),
    };
    copy(
        source.as_ref(),
        &Chosen {
            root,
            attached: false,
        },
        &target,
        at_once(4),
        &Quiet,
    )
}

fn tagged(source: &dyn Source, tag: &str) -> Descriptor {
    let index = source.index().unwrap();
    let mut entries = index.manifests().iter();
    entries
        .rfind(|entry| {
            let annotations = entry.annotations().as_ref();
            annotations.is_some_and(|a| a.values().any(|value| value == tag))
        })
        .unwrap()
        .clone()
}

/// Every file below a directory with its bytes.
fn content(directory: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let read = |file: std::path::PathBuf| {
        let bytes = std::fs::read(directory.join(&file)).unwrap();
        (file, bytes)
    };
    files(directory).into_iter().map(read).collect()
}

/// What a store does wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// The bytes of one blob are other ones.
    Damaged,
    /// One blob ends in the middle.
    Interrupted,
    /// One blob is not there.
    Missing,
}

/// A store of which one blob is bad.
struct Faulty<'a> {
    inner: &'a dyn Source,
    blob: String,
    fault: Fault,
}

impl Source for Faulty<'_> {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        self.inner.index()
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let reader = self.inner.blob(descriptor)?;
        if descriptor.digest().as_ref() != self.blob {
            return Ok(reader);
        }
        match self.fault {
            Fault::Missing => Err(StoreError::MissingBlob {
                store: self.name(),
                digest: self.blob.clone(),
            }),
            Fault::Damaged => Ok(Box::new(reader.chain(Breaks("it is damaged")))),
            Fault::Interrupted => {
                let half = reader.take(descriptor.size() / 2);
                Ok(Box::new(half.chain(Breaks("the connection broke"))))
            }
        }
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}

struct Breaks(&'static str);

impl Read for Breaks {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::InvalidData, self.0))
    }
}

/// Counts what it is told.
#[derive(Default)]
struct Counted {
    totals: Mutex<Vec<u64>>,
    moved: AtomicU64,
}

impl Progress for Counted {
    fn total(&self, bytes: u64) {
        self.totals.lock().unwrap().push(bytes);
    }

    fn advance(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn message<T>(result: Result<T, TransferError>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

/// A layout with an index of two platforms, each with its attestation, tagged `1`.
fn attested_layout(path: &Path) -> Whole {
    let whole = attested_index(&[("linux/arm64", "arm"), ("linux/amd64", "intel")]);
    let to = Destination::Layout(path.to_path_buf());
    whole.commit(&to, "1", How::Replace).unwrap();
    whole
}
