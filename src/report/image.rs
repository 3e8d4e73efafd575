//! The report of any image.

use std::io::{self, Read};

use oci_spec::image::{Descriptor, ImageManifest};

use super::config::{Described, origin_of_layer};
use super::contents::Contents;
use super::share::{File, Heading, add_up};
use super::{LayerShare, Report};
use crate::ImagePath;
use crate::layer::{LayerEntry, LayerEntryKind, ReadError, read_layer};
use crate::packages::{self, Captured};
use crate::store::{Source, StoreError};

/// No manifest or config is larger: registries refuse manifests of more than 4 MiB.
const JSON_LIMIT: u64 = 16 << 20;
/// What is kept of package databases, all together. Without the rest, owners are unknown.
const DATABASE_LIMIT: u64 = 512 << 20;

/// Why there is no report of an image.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A blob is not there.
    #[error("{image}: the {what} cannot be opened: {source}")]
    Store {
        /// The image.
        image: String,
        /// Manifest, config or layer.
        what: &'static str,
        /// What the store said.
        source: StoreError,
    },
    /// A blob cannot be read.
    #[error("{image}: the {what} cannot be read: {source}")]
    Io {
        /// The image.
        image: String,
        /// Manifest or config.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The manifest or the config is not what it should be.
    #[error("{image}: the {what} is not as the OCI image specification has it: {source}")]
    Json {
        /// The image.
        image: String,
        /// Manifest or config.
        what: &'static str,
        /// What is wrong.
        source: oci_spec::OciSpecError,
    },
    /// A layer cannot be read.
    #[error("{image}: layer {digest}: {source}")]
    Layer {
        /// The image.
        image: String,
        /// Its digest.
        digest: String,
        /// What is wrong.
        source: ReadError,
    },
}

impl Report {
    /// The report of the image in `source` that has the manifest `manifest`, by reading all of
    /// it. `reference` is what people call it.
    ///
    /// # Errors
    /// When a blob is missing, damaged or not what the specification wants.
    pub fn of_image(
        source: &dyn Source,
        reference: &str,
        manifest: &Descriptor,
    ) -> Result<Self, ReportError> {
        let reader = Reader { source, reference };
        let documents = reader.documents(manifest)?;
        let mut merged = Merged::<()>::default();
        for descriptor in documents.manifest.layers() {
            merged.layer(&reader, descriptor)?;
        }
        Ok(merged.report(reference, manifest, documents))
    }
}

/// The two documents of an image.
pub(super) struct Documents {
    pub(super) manifest: ImageManifest,
    /// The bytes of the config.
    pub(super) config: Vec<u8>,
    pub(super) described: Described,
}

/// What is wanted of each entry, beside its place and size.
pub(super) trait Look: Clone {
    /// Looks at an entry; `keep` must be given its content from the start.
    fn look(
        entry: &LayerEntry,
        content: &mut dyn Read,
        keep: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<Self>;
}

impl Look for () {
    fn look(
        _: &LayerEntry,
        content: &mut dyn Read,
        keep: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<Self> {
        keep(content)
    }
}

/// The layers that were read so far, applied.
#[derive(Clone)]
pub(super) struct Merged<N> {
    pub(super) contents: Contents<N>,
    databases: Databases,
    /// The sizes of their tars.
    unpacked: Vec<u64>,
}

impl<N> Default for Merged<N> {
    fn default() -> Self {
        Self {
            contents: Contents::default(),
            databases: Databases::default(),
            unpacked: Vec::new(),
        }
    }
}

impl<N: Look> Merged<N> {
    /// Reads the next layer.
    pub(super) fn layer(
        &mut self,
        reader: &Reader<'_>,
        descriptor: &Descriptor,
    ) -> Result<(), ReportError> {
        let blob = reader.open("layer", descriptor)?;
        let index = self.unpacked.len();
        let (contents, databases) = (&mut self.contents, &mut self.databases);
        let read = read_layer(blob, descriptor.media_type(), &mut |entry, content| {
            let node = N::look(entry, content, &mut |content| {
                databases.keep(entry, content)
            })?;
            contents.add(index, entry, node);
            Ok(())
        });
        self.contents.finish_layer();
        let summary = read.map_err(|source| ReportError::Layer {
            image: reader.reference.to_owned(),
            digest: descriptor.digest().to_string(),
            source,
        })?;
        self.unpacked.push(summary.tar_size);
        Ok(())
    }

    /// The report, when all layers were read. The package databases are used up by it.
    pub(super) fn report(
        &mut self,
        reference: &str,
        manifest: &Descriptor,
        documents: Documents,
    ) -> Report {
        let described = documents.described;
        let layers = documents.manifest.layers().iter().enumerate();
        let layers = layers
            .zip(&self.unpacked)
            .map(|((index, descriptor), unpacked)| LayerShare {
                digest: descriptor.digest().to_string(),
                media_type: descriptor.media_type().to_string(),
                compressed: descriptor.size(),
                unpacked: *unpacked,
                what: described.layer(index),
            })
            .collect();
        let kept = self.contents.files();
        let files: Vec<File<'_>> = kept
            .iter()
            .map(|file| File {
                path: file.path,
                size: file.size,
                origin: described
                    .layers
                    .get(file.layer)
                    .and_then(|w| origin_of_layer(w)),
            })
            .collect();
        let paths: Vec<ImagePath> = files.iter().map(|file| file.path.clone()).collect();
        let databases = std::mem::take(&mut self.databases);
        let owners = packages::owners(&databases.of(&self.contents), &paths);
        let heading = Heading {
            reference: reference.to_owned(),
            digest: manifest.digest().to_string(),
            manifest_size: manifest.size(),
            config_size: documents.manifest.config().size(),
            described,
            layers,
        };
        add_up(heading, &files, self.contents.names(), &owners)
    }
}

/// Reads the blobs of one image.
pub(super) struct Reader<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) reference: &'a str,
}

impl Reader<'_> {
    /// The manifest and the config.
    pub(super) fn documents(&self, manifest: &Descriptor) -> Result<Documents, ReportError> {
        let bytes = self.json("manifest", manifest)?;
        let manifest = ImageManifest::from_reader(bytes.as_slice())
            .map_err(|source| self.no_json("manifest", source))?;
        let config = self.json("config", manifest.config())?;
        let described =
            Described::parse(&config).map_err(|source| self.no_json("config", source))?;
        let annotations = manifest.annotations().as_ref();
        let below = annotations.and_then(|known| known.get(crate::parent::ANNOTATION_BASE_LAYERS));
        let described = described.on_base(below.map(String::as_str));
        Ok(Documents {
            manifest,
            config,
            described,
        })
    }

    fn open(
        &self,
        what: &'static str,
        blob: &Descriptor,
    ) -> Result<Box<dyn Read + '_>, ReportError> {
        self.source.blob(blob).map_err(|source| ReportError::Store {
            image: self.reference.to_owned(),
            what,
            source,
        })
    }

    fn json(&self, what: &'static str, blob: &Descriptor) -> Result<Vec<u8>, ReportError> {
        let mut bytes = Vec::new();
        let mut limited = self.open(what, blob)?.take(JSON_LIMIT + 1);
        let read = limited.read_to_end(&mut bytes);
        let checked = read.and_then(|_| {
            if bytes.len() as u64 > JSON_LIMIT {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(())
        });
        checked.map_err(|source| ReportError::Io {
            image: self.reference.to_owned(),
            what,
            source,
        })?;
        Ok(bytes)
    }

    fn no_json(&self, what: &'static str, source: oci_spec::OciSpecError) -> ReportError {
        ReportError::Json {
            image: self.reference.to_owned(),
            what,
            source,
        }
    }
}

/// The package databases of an image, and the links of the usr-merge.
#[derive(Default, Clone)]
struct Databases {
    files: std::collections::BTreeMap<ImagePath, Vec<u8>>,
    links: std::collections::BTreeMap<ImagePath, std::path::PathBuf>,
    kept: u64,
    is_incomplete: bool,
}

impl Databases {
    fn keep(&mut self, entry: &LayerEntry, content: &mut dyn Read) -> io::Result<()> {
        match (entry.kind, &entry.link) {
            (LayerEntryKind::File, _) if packages::is_database(&entry.path) => {
                let mut bytes = Vec::new();
                content
                    .take(DATABASE_LIMIT - self.kept)
                    .read_to_end(&mut bytes)?;
                if (bytes.len() as u64) < entry.size {
                    self.is_incomplete = true;
                } else {
                    self.kept += bytes.len() as u64;
                    self.files.insert(entry.path.clone(), bytes);
                }
            }
            (LayerEntryKind::Symlink, Some(target)) if entry.path.ancestors().next().is_none() => {
                self.links.insert(entry.path.clone(), target.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// Those that no upper layer removed.
    fn of<N: Clone>(self, contents: &Contents<N>) -> Captured {
        let mut captured = Captured::default();
        if self.is_incomplete {
            // Half a database would say that the other half's files have no owner.
            return captured;
        }
        for (path, bytes) in self.files {
            if contents.has(&path) {
                captured.file(path, bytes);
            }
        }
        for (path, target) in self.links {
            if contents.has(&path) {
                captured.link(path, target);
            }
        }
        captured
    }
}
