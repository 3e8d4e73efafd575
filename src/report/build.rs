//! The report of an image that was just built.

use std::collections::BTreeSet;

use super::config::Described;
use super::share::{File, Heading, add_up};
use super::{LayerShare, Report, ReportError};
use crate::ImagePath;
use crate::image::Image;
use crate::packages::Owners;
use crate::parent::ANNOTATION_BASE_LAYERS;
use crate::rootfs::{Entry, EntryKind};

impl Report {
    /// The report of `image`, which was packed from `entries` (a root file system's). No blob
    /// is read. `reference` is what people call it.
    ///
    /// # Errors
    /// When the image's config cannot be understood.
    pub fn of_build<'a>(
        reference: &str,
        image: &Image,
        entries: impl IntoIterator<Item = (&'a ImagePath, &'a Entry)>,
        owners: &Owners,
    ) -> Result<Self, ReportError> {
        let described = Described::parse(&image.config).map_err(|source| ReportError::Json {
            image: reference.to_owned(),
            what: "config",
            source,
        })?;
        let manifest: Option<serde_json::Value> = serde_json::from_slice(&image.manifest).ok();
        let below = manifest.as_ref().and_then(|manifest| {
            manifest
                .get("annotations")?
                .get(ANNOTATION_BASE_LAYERS)?
                .as_str()
        });
        let described = described.on_base(below);
        let layers = image.layers.iter().enumerate();
        let layers = layers
            .map(|(index, layer)| LayerShare {
                digest: layer.digest.to_string(),
                media_type: layer.media_type.to_string(),
                compressed: layer.size,
                unpacked: layer.tar_size,
                what: described.layer(index),
            })
            .collect();
        let mut files = Vec::new();
        let mut names = BTreeSet::new();
        for (path, entry) in entries {
            match &entry.kind {
                EntryKind::Directory => continue,
                EntryKind::File(content) => files.push(File {
                    path,
                    size: content.size(),
                    origin: Some(entry.origin.name()),
                }),
                EntryKind::Symlink(_) | EntryKind::HardLink(_) => {}
            }
            names.insert(path);
        }
        let heading = Heading {
            reference: reference.to_owned(),
            digest: image.descriptor.digest().to_string(),
            manifest_size: image.manifest.len() as u64,
            config_size: image.config.len() as u64,
            described,
            layers,
        };
        Ok(add_up(heading, &files, names.into_iter(), owners))
    }
}
