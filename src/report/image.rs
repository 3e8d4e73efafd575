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
        let manifest_bytes = reader.json("manifest", manifest)?;
        let parsed = ImageManifest::from_reader(manifest_bytes.as_slice())
            .map_err(|source| reader.no_json("manifest", source))?;
        let config = reader.json("config", parsed.config())?;
        let described =
            Described::parse(&config).map_err(|source| reader.no_json("config", source))?;
        let mut contents = Contents::default();
        let mut databases = Databases::default();
        let mut layers = Vec::new();
        for (index, descriptor) in parsed.layers().iter().enumerate() {
            let unpacked = reader.layer(index, descriptor, &mut contents, &mut databases)?;
            layers.push(LayerShare {
                digest: descriptor.digest().to_string(),
                media_type: descriptor.media_type().to_string(),
                compressed: descriptor.size(),
                unpacked,
                what: described.layer(index),
            });
        }
        let kept = contents.files();
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
        let owners = packages::owners(&databases.of(&contents), &paths);
        let heading = Heading {
            reference: reference.to_owned(),
            digest: manifest.digest().to_string(),
            manifest_size: manifest.size(),
            config_size: parsed.config().size(),
            described,
            layers,
        };
        Ok(add_up(heading, &files, contents.names(), &owners))
    }
}

/// Reads the blobs of one image.
struct Reader<'a> {
    source: &'a dyn Source,
    reference: &'a str,
}

impl Reader<'_> {
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

    /// Reads a layer into `contents` and returns its unpacked size.
    fn layer(
        &self,
        index: usize,
        descriptor: &Descriptor,
        contents: &mut Contents,
        databases: &mut Databases,
    ) -> Result<u64, ReportError> {
        let blob = self.open("layer", descriptor)?;
        let read = read_layer(blob, descriptor.media_type(), &mut |entry, content| {
            contents.add(index, entry);
            databases.keep(entry, content)
        });
        contents.finish_layer();
        let summary = read.map_err(|source| ReportError::Layer {
            image: self.reference.to_owned(),
            digest: descriptor.digest().to_string(),
            source,
        })?;
        Ok(summary.tar_size)
    }
}

/// The package databases of an image, and the links of the usr-merge.
#[derive(Default)]
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
    fn of(self, contents: &Contents) -> Captured {
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
