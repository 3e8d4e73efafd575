//! One index of several images, wherever they are.
//!
//! The entries are edited as JSON, so that members that oci-spec's types do not know are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use oci_spec::image::{
    Descriptor, Digest as OciDigest, ImageConfiguration, ImageIndex, ImageManifest, MediaType,
    SCHEMA_VERSION,
};
use serde_json::{Map, Value, json};

use super::TransferError;
use super::walk::{TOO_MANY, Walk, is_config, walk};
use crate::image::{Platform, canonical, descriptor, parse};
use crate::layer::Digest;
use crate::registry::Repository;
use crate::store::{
    Attached, MOST_MANIFESTS, Source, StoreError, attested, is_index, is_manifest, platform_order,
    untagged, with_platform,
};

/// An image, or an index of some, of a store.
#[derive(Clone)]
pub struct Part<'a> {
    /// The store.
    pub source: &'a dyn Source,
    /// The manifest or index.
    pub root: Descriptor,
}

/// An index, and the stores that have what it lists; itself a store that has all of it.
pub struct Gathered<'a> {
    root: Descriptor,
    /// The index, and the documents that it leads to, by digest.
    documents: BTreeMap<String, Vec<u8>>,
    sources: Vec<&'a dyn Source>,
    /// Which of the sources has what, by digest.
    origins: BTreeMap<String, usize>,
}

/// Makes an index of the images of `parts`, each with its attestations, in the order of their
/// platforms. Images of `existing` for other platforms stay in it; so do its annotations, unless
/// `annotations` has others.
///
/// The same parts give the same bytes, in whatever order they are given.
///
/// # Errors
/// When two parts have different images for one platform, there is no part, or a document cannot
/// be read.
pub fn index<'a>(
    existing: Option<&Part<'a>>,
    parts: &[Part<'a>],
    annotations: &BTreeMap<String, String>,
) -> Result<Gathered<'a>, TransferError> {
    if parts.is_empty() {
        return Err(TransferError::Nothing);
    }
    let mut gathered = Gathered {
        root: descriptor(MediaType::ImageIndex, &Digest::of(b""), 0),
        documents: BTreeMap::new(),
        sources: Vec::new(),
        origins: BTreeMap::new(),
    };
    let mut listed = Listed::default();
    for part in parts {
        listed.add(gathered.take(part)?, &part.source.name())?;
    }
    let mut document = Map::new();
    if let Some(part) = existing {
        let leaves = gathered.take(part)?;
        listed.keep(leaves);
        let bytes = gathered.documents.get(part.root.digest().as_ref());
        if let (true, Some(bytes)) = (is_index(part.root.media_type()), bytes) {
            document = parse(bytes).unwrap_or_default();
        }
    }
    if !annotations.is_empty() {
        let there = document.entry("annotations").or_insert_with(|| json!({}));
        if !there.is_object() {
            *there = json!({});
        }
        if let Some(there) = there.as_object_mut() {
            there.extend(annotations.iter().map(|(k, v)| (k.clone(), json!(v))));
        }
    }
    document.insert("schemaVersion".into(), json!(SCHEMA_VERSION));
    document.insert("mediaType".into(), json!(MediaType::ImageIndex));
    document.insert("manifests".into(), Value::Array(listed.in_order()));
    let bytes = canonical(&document);
    let digest = Digest::of(&bytes);
    gathered.root = descriptor(MediaType::ImageIndex, &digest, bytes.len() as u64);
    gathered.documents.insert(digest.to_string(), bytes);
    Ok(gathered)
}

impl<'a> Gathered<'a> {
    /// The index.
    #[must_use]
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.documents
            .get(self.root.digest().as_ref())
            .map_or(&[], Vec::as_slice)
    }

    /// Which part has the blob or manifest, by its place among the parts; what existed comes
    /// after all of them.
    #[must_use]
    pub fn origin(&self, digest: &OciDigest) -> Option<usize> {
        self.origins.get(digest.as_ref()).copied()
    }

    fn source_of(&self, digest: &OciDigest) -> Option<&'a dyn Source> {
        self.sources.get(self.origin(digest)?).copied()
    }

    /// Notes all that a part has, and gives the manifests in it.
    fn take(&mut self, part: &Part<'a>) -> Result<Vec<Leaf>, TransferError> {
        let walk = walk(part.source, &part.root)?;
        let leaves = leaves(part, &walk)?;
        let place = self.sources.len();
        self.sources.push(part.source);
        let blobs = walk.entry.blobs.iter().map(|blob| blob.digest().as_ref());
        let documents = walk.entry.documents.keys().map(String::as_str);
        for digest in blobs.chain(documents) {
            self.origins.entry(digest.to_owned()).or_insert(place);
        }
        self.documents.extend(walk.entry.documents);
        Ok(leaves)
    }
}

impl fmt::Debug for Gathered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered")
            .field("root", &self.root)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Source for Gathered<'_> {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        let mut index = ImageIndex::default();
        index.set_media_type(Some(MediaType::ImageIndex));
        index.set_manifests(vec![self.root.clone()]);
        Ok(index)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest();
        if let Some(bytes) = self.documents.get(digest.as_ref()) {
            return Ok(Box::new(bytes.as_slice()));
        }
        if let Some(source) = self.source_of(digest) {
            return source.blob(descriptor);
        }
        // What is attached to a part is not one of them.
        let mut missing = None;
        for source in &self.sources {
            match source.blob(descriptor) {
                Ok(reader) => return Ok(reader),
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        Err(missing.unwrap_or_else(|| StoreError::MissingBlob {
            store: self.name(),
            digest: digest.to_string(),
        }))
    }

    fn attached(&self, subject: &OciDigest) -> Result<Vec<Attached>, StoreError> {
        // The index itself has nothing attached but where it was there before.
        self.source_of(subject)
            .map_or_else(|| Ok(Vec::new()), |source| source.attached(subject))
    }

    fn name(&self) -> String {
        let names: BTreeSet<String> = self.sources.iter().map(|source| source.name()).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }

    fn repository(&self) -> Option<&Repository> {
        self.sources.iter().find_map(|source| source.repository())
    }
}

/// What an index chooses by: windows images of one architecture differ by their `os.version`.
type Spot = (Platform, Option<String>, Vec<String>);

/// A manifest in an index.
struct Leaf {
    entry: Value,
    digest: String,
    kind: Kind,
}

enum Kind {
    Image(Spot),
    /// Of the manifest with that digest.
    Attestation(String),
    /// An artifact, or anything else.
    Other,
}

/// The manifests below a part's root, indexes opened.
fn leaves(part: &Part<'_>, walk: &Walk) -> Result<Vec<Leaf>, TransferError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![untagged(json!(part.root))];
    while let Some(entry) = open.pop() {
        let damaged = |problem: &dyn ToString| {
            let at = format!("the index {}", part.root.digest());
            StoreError::damaged(part.source.name(), at, problem.to_string())
        };
        let described: Descriptor =
            serde_json::from_value(entry.clone()).map_err(|error| damaged(&error))?;
        let digest = described.digest().to_string();
        if is_index(described.media_type()) {
            if !seen.insert(digest) {
                continue;
            }
            let bytes = walk.entry.document(described.digest()).unwrap_or_default();
            let mut index: Map<String, Value> = parse(bytes).map_err(|error| damaged(&error))?;
            if let Some(Value::Array(children)) = index.remove("manifests") {
                open.extend(children.into_iter().rev());
            }
            continue;
        }
        if found.len() >= MOST_MANIFESTS {
            return Err(TransferError::TooMuch {
                store: part.source.name(),
                root: part.root.digest().to_string(),
                problem: TOO_MANY,
            });
        }
        let platform = platform(&described, walk);
        let kind = match (attested(&described), &platform) {
            (Some(of), _) => Kind::Attestation(of),
            (None, Some(platform)) if platform.os != "unknown" => {
                let own = described.platform().as_ref();
                let version = own.and_then(|own| own.os_version().clone());
                let mut features = own
                    .and_then(|own| own.os_features().clone())
                    .unwrap_or_default();
                features.sort_unstable();
                Kind::Image((platform.clone(), version, features))
            }
            _ => Kind::Other,
        };
        let entry = match (&kind, &platform) {
            (Kind::Image(_), Some(platform)) => with_platform(entry, platform),
            _ => untagged(entry),
        };
        found.push(Leaf {
            entry,
            digest,
            kind,
        });
    }
    Ok(found)
}

/// The platform that a descriptor says, or else the config of an image.
fn platform(described: &Descriptor, walk: &Walk) -> Option<Platform> {
    if let Some(platform) = described.platform() {
        return Some(Platform::from(platform));
    }
    if !is_manifest(described.media_type()) {
        return None;
    }
    let manifest: ImageManifest = parse(walk.entry.document(described.digest())?).ok()?;
    let config = manifest.config();
    if !is_config(config.media_type()) {
        return None;
    }
    let config: ImageConfiguration = parse(walk.entry.document(config.digest())?).ok()?;
    Some(Platform::from(&config))
}

/// An image of the new index.
struct Image {
    digest: String,
    entry: Value,
    /// The store that it is of.
    store: String,
}

#[derive(Default)]
struct Listed {
    images: BTreeMap<Spot, Image>,
    /// By what they are of, then by digest.
    attestations: BTreeMap<String, BTreeMap<String, Value>>,
    others: BTreeMap<String, Value>,
}

impl Listed {
    /// Adds new ones.
    fn add(&mut self, leaves: Vec<Leaf>, store: &str) -> Result<(), TransferError> {
        for leaf in leaves {
            match leaf.kind {
                Kind::Image(spot) => {
                    if let Some(there) = self.images.get(&spot) {
                        if there.digest != leaf.digest {
                            return Err(TransferError::SamePlatform {
                                platform: shown(&spot),
                                one: format!("{} ({})", there.store, there.digest),
                                other: format!("{store} ({})", leaf.digest),
                            });
                        }
                        continue;
                    }
                    let image = Image {
                        digest: leaf.digest,
                        entry: leaf.entry,
                        store: store.to_owned(),
                    };
                    self.images.insert(spot, image);
                }
                kind => self.beside(kind, leaf.digest, leaf.entry),
            }
        }
        Ok(())
    }

    /// Adds old ones where there is no new one.
    fn keep(&mut self, leaves: Vec<Leaf>) {
        for leaf in leaves {
            match leaf.kind {
                Kind::Image(spot) => {
                    self.images.entry(spot).or_insert(Image {
                        digest: leaf.digest,
                        entry: leaf.entry,
                        store: String::new(),
                    });
                }
                kind => self.beside(kind, leaf.digest, leaf.entry),
            }
        }
    }

    fn beside(&mut self, kind: Kind, digest: String, entry: Value) {
        match kind {
            Kind::Attestation(of) => self.attestations.entry(of).or_default(),
            _ => &mut self.others,
        }
        .entry(digest)
        .or_insert(entry);
    }

    /// Images by platform, their attestations in the same order, then all else. An attestation of
    /// an image that is not among them is of no use.
    fn in_order(mut self) -> Vec<Value> {
        // The map has an order already, which decides between entries of one platform.
        let mut images: Vec<Image> = std::mem::take(&mut self.images).into_values().collect();
        images.sort_by_cached_key(|image| platform_order(&image.entry));
        let mut attestations = Vec::new();
        for image in &images {
            let of = self.attestations.remove(&image.digest);
            attestations.extend(of.unwrap_or_default().into_values());
        }
        let images = images.into_iter().map(|image| image.entry);
        images
            .chain(attestations)
            .chain(self.others.into_values())
            .collect()
    }
}

fn shown((platform, version, _): &Spot) -> String {
    match version {
        Some(version) => format!("{platform} ({version})"),
        None => platform.to_string(),
    }
}
