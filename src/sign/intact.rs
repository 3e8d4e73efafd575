//! Whether an image is what its digest says, down to its layers.

use std::collections::BTreeSet;
use std::io::{self, Read};

use oci_spec::image::Descriptor;
use serde::Deserialize;

use super::SignError;
use crate::image::parse;
use crate::store::{
    DEEPEST, MOST_MANIFESTS, Source, StoreError, is_index, is_manifest, read_document,
};
use crate::transfer::Progress;

/// How much is read at once, in bytes.
const BLOCK: usize = 256 << 10;

/// What a manifest or an index leads to.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a manifest or an index, which is a JSON object"
)]
struct Links {
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

/// How far down an image is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its manifests and configs.
    Documents,
    /// All of it.
    Layers,
}

/// Reads every manifest and config of `image`, a manifest or an index of `source`, and where
/// `reach` says so every layer, too: each has to have its digest and size.
///
/// A signature covers the digest of the image alone; by this, all that it stands for is checked.
/// Layers that may not be given away and have an address of their own may be missing
/// (image-spec `layer.md`, "Non-Distributable Layers").
///
/// # Errors
/// When something is missing or damaged, or is no manifest or index.
pub fn intact(
    source: &dyn Source,
    image: &Descriptor,
    reach: Reach,
    progress: &dyn Progress,
) -> Result<(), SignError> {
    let (mut seen, mut known) = (BTreeSet::new(), BTreeSet::new());
    let mut blobs: Vec<Descriptor> = Vec::new();
    let mut take = |blob: Descriptor| {
        if known.insert((blob.digest().to_string(), blob.size())) {
            blobs.push(blob);
        }
    };
    let mut open = vec![(image.clone(), 0)];
    while let Some((described, depth)) = open.pop() {
        // One digest with two sizes is read twice, and one of them is wrong.
        if !seen.insert((described.digest().to_string(), described.size())) {
            continue;
        }
        let media_type = described.media_type();
        if !is_index(media_type) && !is_manifest(media_type) {
            if depth == 0 {
                let problem = format!(
                    "it is no manifest and no index, but {:?}",
                    media_type.as_ref()
                );
                return Err(damaged(source, &described, problem));
            }
            // Entries of an index may be of any type (image-spec `image-index.md`).
            if reach == Reach::Layers {
                take(described);
            }
            continue;
        }
        if seen.len() > MOST_MANIFESTS || depth > DEEPEST {
            let problem = "it has too many manifests, or indexes within indexes";
            return Err(damaged(source, image, problem));
        }
        let bytes = read_document(source, &described)?;
        let links: Links =
            parse(&bytes).map_err(|error| damaged(source, &described, error.to_string()))?;
        if let Some(own) = links.media_type.filter(|own| own != media_type.as_ref()) {
            let problem = format!(
                "what leads to it calls it {:?}, and it calls itself {own:?}: it is not clear what it is",
                media_type.as_ref()
            );
            return Err(damaged(source, &described, problem));
        }
        // A document that is both would be another one for another reader (CVE-2021-41190).
        let is_both = match is_index(media_type) {
            true => links.config.is_some() || links.layers.is_some(),
            false => links.manifests.is_some(),
        };
        if is_both {
            return Err(damaged(
                source,
                &described,
                "it is an index and a manifest in one",
            ));
        }
        if is_manifest(media_type) && links.config.is_none() {
            return Err(damaged(
                source,
                &described,
                "it is a manifest without a config",
            ));
        }
        let layers = links.layers.filter(|_| reach == Reach::Layers);
        let below = layers.into_iter().flatten();
        links.config.into_iter().chain(below).for_each(&mut take);
        let children = links.manifests.unwrap_or_default();
        if open.len() + children.len() > MOST_MANIFESTS {
            return Err(damaged(source, image, "it has too many manifests"));
        }
        open.extend(children.into_iter().map(|child| (child, depth + 1)));
    }
    let sizes = blobs.iter().map(Descriptor::size);
    progress.total(sizes.fold(0, u64::saturating_add));
    for blob in &blobs {
        whole(source, blob, progress)?;
    }
    Ok(())
}

/// Reads a blob to its end, which is where it is known to be what its digest says.
fn whole(
    source: &dyn Source,
    described: &Descriptor,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    let mut reader = match source.blob(described) {
        Err(StoreError::MissingBlob { .. }) if may_be_elsewhere(described) => return Ok(()),
        other => other?,
    };
    let mut block = vec![0; BLOCK];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => progress.advance(count as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let part = format!("the blob {}", described.digest());
                return Err(StoreError::damaged(source.name(), part, error));
            }
        }
    }
}

/// Whether a blob is one that may not be given away and is to be had at its URLs.
fn may_be_elsewhere(described: &Descriptor) -> bool {
    let media_type = described.media_type().as_ref();
    (media_type.contains("nondistributable") || media_type.contains(".foreign."))
        && described
            .urls()
            .as_ref()
            .is_some_and(|urls| !urls.is_empty())
}

fn damaged(source: &dyn Source, described: &Descriptor, problem: impl ToString) -> SignError {
    let part = format!("the blob {}", described.digest());
    StoreError::damaged(source.name(), part, problem).into()
}
