//! Packing, describing and writing a plan.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Error, LayerSplit, Plan};
use crate::ImagePath;
use crate::image::{Image, describe};
use crate::layer::{Cache, Compression, Layer, Packer};
use crate::report::{Budget, Report};
use crate::rootfs::{Entry, Rootfs};
use crate::store::{Destination, Writer};

/// One layer to be: which entries of the tree it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPart {
    /// What is in it: `base`, `libraries`, `runtime`, `app` or `all`.
    pub name: &'static str,
    /// The paths, sorted.
    pub paths: Vec<ImagePath>,
}

impl LayerPart {
    fn entries<'a>(&'a self, rootfs: &'a Rootfs) -> Vec<(&'a ImagePath, &'a Entry)> {
        self.paths
            .iter()
            .filter_map(|path| rootfs.get(path).map(|entry| (path, entry)))
            .collect()
    }
}

/// Divides the tree. A directory stands in the layer of the lowest origin that has
/// something in it; layers with nothing in them are left out.
pub(super) fn parts(rootfs: &Rootfs, split: LayerSplit) -> Vec<LayerPart> {
    let names: &[&'static str] = match split {
        LayerSplit::Single => &["all"],
        LayerSplit::ByOrigin => &["base", "libraries", "runtime", "app"],
    };
    let mut parts: Vec<LayerPart> = names
        .iter()
        .map(|name| LayerPart {
            name,
            paths: Vec::new(),
        })
        .collect();
    for (path, entry) in rootfs.iter() {
        if let Some(part) = parts.get_mut(split.layer_of(entry.origin)) {
            part.paths.push(path.clone());
        }
    }
    parts.retain(|part| !part.paths.is_empty());
    parts
}

/// Where and in which form to write an image.
pub struct Output<'a> {
    /// The store.
    pub destination: Destination,
    /// The tag under which the image stands in it.
    pub tag: String,
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
    /// What people call the image: its store's path and its name there, as skopeo takes it
    /// after `oci:`, `oci-archive:` or `docker-archive:`.
    pub fn reference(&self) -> String {
        let name = self.destination.name(&self.tag);
        let name = name.unwrap_or_else(|_| self.tag.clone());
        format!("{}:{name}", self.destination.path().display())
    }

    /// The layout directory `path`, tag `latest`, with the defaults of the command line but no cache.
    pub fn layout(path: impl Into<PathBuf>) -> Self {
        Self {
            destination: Destination::Layout(path.into()),
            tag: "latest".to_owned(),
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
    /// Packing the layer of this name.
    Pack(&'static str),
    /// Putting the image into its store.
    Commit,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
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
        let image = describe(layers, &self.platform, &self.settings);
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

/// A layer and, unless the store has it already, its blob.
struct Staged {
    layer: Layer,
    blob: Option<crate::store::StagedBlob>,
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
