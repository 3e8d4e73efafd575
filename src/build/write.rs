//! Packing, describing and writing a plan.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Error, Plan};
use crate::ImagePath;
use crate::image::{Image, describe, describe_on};
use crate::layer::{Cache, Compression, Digest, Layer, Packer};
use crate::parent::{Parent, ParentLayer};
use crate::report::{Budget, Report};
use crate::rootfs::Entry;
use crate::store::{Destination, StagedBlob, StoreError, Writer};

/// Where and in which form to write an image.
pub struct Output<'a> {
    /// The store.
    pub destination: Destination,
    /// The tag under which the image stands in it.
    pub tag: String,
    /// What the image is called in its report, where that is not [`reference`](Self::reference): an
    /// image that is only staged here, on its way to a registry.
    pub name: Option<String>,
    /// How layers are compressed.
    pub compression: Compression,
    /// Threads that compress; they never change a byte.
    pub threads: NonZeroUsize,
    /// Where compressed members are kept between builds; `None` for nowhere.
    pub cache: Option<&'a Cache>,
    /// The largest compressed size allowed.
    pub budget: Option<Budget>,
    /// Told how it goes.
    pub observer: &'a dyn Observer,
}

impl Output<'_> {
    /// What people call the image: its [name](Self::name), or its store's path and its name there, as skopeo takes it
    /// after `oci:`, `oci-archive:` or `docker-archive:`.
    pub fn reference(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let name = self.destination.name(&self.tag);
        let name = name.unwrap_or_else(|_| self.tag.clone());
        format!("{}:{name}", self.destination.path().display())
    }

    /// The layout directory `path`, tag `latest`, with the defaults of the command line but no cache.
    pub fn layout(path: impl Into<PathBuf>) -> Self {
        Self {
            destination: Destination::Layout(path.into()),
            tag: "latest".to_owned(),
            name: None,
            compression: Compression::default(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cache: None,
            budget: None,
            observer: &Silent,
        }
    }
}

/// A part of a build that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Copying the layers of the image that is built on.
    Copy,
    /// Packing the layer of this name.
    Pack(&'static str),
    /// Putting the image into its store.
    Commit,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Copy => f.write_str("copy base"),
            Self::Pack(name) => write!(f, "pack {name}"),
            Self::Commit => f.write_str("write"),
        }
    }
}

/// Is told how a build goes. Called from any thread.
pub trait Observer: Sync {
    /// `phase` begins, with so many bytes to go through (0 when that is not known).
    fn begin(&self, phase: Phase, bytes: u64) {
        let _ = (phase, bytes);
    }

    /// So many bytes more are done.
    fn advance(&self, bytes: u64) {
        let _ = bytes;
    }

    /// The phase that began last has ended.
    fn end(&self, phase: Phase, took: Duration) {
        let _ = (phase, took);
    }
}

/// An observer that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// An image that was written.
#[derive(Debug)]
pub struct Built {
    /// The image.
    pub image: Image,
    /// Its size report.
    pub report: Report,
    /// Which layers were not packed anew, because nothing in them has changed.
    pub reused: Vec<&'static str>,
}

impl Plan {
    /// Packs the layers, describes the image and puts it into its store. The store has
    /// all of it or nothing.
    ///
    /// # Errors
    /// When a file changed or cannot be read, the store cannot be written, or the image
    /// is over its budget: then nothing is written.
    pub fn write(&self, output: &Output<'_>) -> Result<Built, Error> {
        // Before the work of packing.
        output.destination.name(&output.tag)?;
        let writer = Writer::open(&output.destination)?;
        let mut layers = Vec::with_capacity(self.parts.len());
        let mut blobs = Vec::new();
        let mut reused = Vec::new();
        if let Some(parent) = &self.parent {
            let copied = self.copy_layers(parent, &writer, output)?;
            if copied.is_empty() && !parent.layers.is_empty() {
                reused.push("base");
            }
            blobs.extend(copied);
        }
        for part in &self.parts {
            let entries = part.entries(&self.rootfs);
            let total = entries.iter().map(|(_, entry)| entry.size()).sum();
            let layer = timed(output.observer, Phase::Pack(part.name), total, || {
                self.layer(output, &writer, &entries)
            })?;
            match layer.blob {
                Some(blob) => blobs.push((layer.layer.digest, blob)),
                None => reused.push(part.name),
            }
            layers.push((layer.layer, format!("distrobuild {}", part.name)));
        }
        let image = match &self.parent {
            None => describe(layers, &self.platform, &self.settings),
            Some(parent) => describe_on(parent, layers, &self.platform, &self.settings),
        };
        let report = Report::of_build(
            &output.reference(),
            &image,
            self.rootfs.iter(),
            &self.owners,
        )?;
        if let Some(excess) = output
            .budget
            .as_ref()
            .and_then(|budget| report.over(budget))
        {
            return Err(Error::OverBudget {
                excess: Box::new(excess),
                report: Box::new(report),
            });
        }
        timed(output.observer, Phase::Commit, 0, || {
            writer.commit(&image, blobs, Some(&output.tag))
        })?;
        Ok(Built {
            image,
            report,
            reused,
        })
    }

    /// The blobs of the layers of `parent` that the store does not have.
    fn copy_layers(
        &self,
        parent: &Parent,
        writer: &Writer,
        output: &Output<'_>,
    ) -> Result<Vec<(Digest, StagedBlob)>, Error> {
        let mut seen = BTreeSet::new();
        let wanted: Vec<&ParentLayer> = (parent.layers.iter())
            .filter(|layer| {
                seen.insert(layer.digest)
                    && !writer.contains(&layer.digest, layer.descriptor.size())
            })
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let total = wanted.iter().map(|layer| layer.descriptor.size());
        let total = total.fold(0, u64::saturating_add);
        timed(output.observer, Phase::Copy, total, || {
            let blobs = wanted.iter().map(|layer| {
                let mut blob = writer.stage()?;
                copy(parent, layer, &mut blob, output.observer)?;
                Ok((layer.digest, blob))
            });
            blobs.collect::<Result<_, Error>>()
        })
    }

    /// One layer: taken as it is when the store has it, restored from the cache when
    /// that has it, packed otherwise.
    fn layer(
        &self,
        output: &Output<'_>,
        writer: &Writer,
        entries: &[(&ImagePath, &Entry)],
    ) -> Result<Staged, Error> {
        let packer = Packer {
            compression: output.compression,
            epoch: self.epoch,
            threads: output.threads.get(),
            cache: output.cache,
            progress: &|bytes| output.observer.advance(bytes),
        };
        if let Some(layer) = packer.known(entries) {
            if writer.contains(&layer.digest, layer.size) {
                return Ok(Staged { layer, blob: None });
            }
            let mut blob = writer.stage()?;
            if packer.restore(&layer, &mut blob)? {
                return Ok(Staged {
                    layer,
                    blob: Some(blob),
                });
            }
        }
        let mut blob = writer.stage()?;
        let layer = packer.pack(entries, &mut blob)?;
        Ok(Staged {
            layer,
            blob: Some(blob),
        })
    }
}

/// Copies the blob of a layer, checked against its digest as it is read.
fn copy(
    parent: &Parent,
    layer: &ParentLayer,
    blob: &mut StagedBlob,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let mut reader = parent.source.blob(&layer.descriptor)?;
    let mut block = vec![0; 128 << 10];
    loop {
        let count = match reader.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                let damaged = StoreError::Damaged {
                    store: parent.source.name(),
                    part: format!("the layer {}", layer.digest),
                    problem: error.to_string(),
                };
                return Err(damaged.into());
            }
        };
        (blob.write_all(block.get(..count).unwrap_or_default()))
            .map_err(crate::layer::PackError::Write)?;
        observer.advance(count as u64);
    }
}

/// A layer and, unless the store has it already, its blob.
struct Staged {
    layer: Layer,
    blob: Option<StagedBlob>,
}

fn timed<T, E: Into<Error>>(
    observer: &dyn Observer,
    phase: Phase,
    bytes: u64,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, Error> {
    observer.begin(phase, bytes);
    let start = Instant::now();
    let result = work().map_err(Into::into);
    observer.end(phase, start.elapsed());
    result
}
