//! Editing an index: an image gets its tag, everything else stays as it is.
//!
//! The index is edited as JSON and not by way of oci-spec's types, so that members which
//! those do not know (`os.version` among them) are kept.
//!
//! A tag with images for several platforms leads to an index blob with one entry for
//! each: most tools take the first entry of a tag, whatever its platform, and choose
//! by platform in such an inner index alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndex, MediaType};
use serde_json::{Map, Value, json};

use super::read::{blob_path, document};
use super::select::{is_index, is_manifest, platform_of, tag};
use super::{Source, StoreError, read_document};
use crate::image::{Platform, canonical, descriptor, parse};
use crate::layer::Digest;

/// The annotation by which an attestation names the manifest it is of (BuildKit).
const ATTESTATION_OF: &str = "vnd.docker.reference.digest";

/// What an edit gives.
#[derive(Debug)]
pub(super) struct Edit {
    /// The bytes of the new index.
    pub(super) index: Vec<u8>,
    /// Index blobs that it needs.
    pub(super) made: BTreeMap<Digest, Vec<u8>>,
    /// The entries of the new index.
    pub(super) entries: Vec<Descriptor>,
    /// The entries that are no longer there.
    pub(super) replaced: Vec<Descriptor>,
}

/// Puts `image` under `reference` into the index `old` of `source`, in place of what has
/// that tag and that platform. Without a tag it is added once, beside all others.
pub(super) fn edit(
    source: &dyn Source,
    old: Option<&[u8]>,
    image: &Descriptor,
    reference: Option<&str>,
) -> Result<Edit, StoreError> {
    let store = source.name();
    let mut index: Map<String, Value> = match old {
        Some(bytes) => document(&store, "index.json", bytes)?,
        None => Map::new(),
    };
    index.insert(
        "schemaVersion".into(),
        json!(oci_spec::image::SCHEMA_VERSION),
    );
    index
        .entry("mediaType")
        .or_insert_with(|| json!(MediaType::ImageIndex));
    let old_entries = match index.remove("manifests") {
        Some(Value::Array(entries)) => entries,
        None => Vec::new(),
        Some(_) => {
            return Err(StoreError::damaged(
                store,
                "index.json",
                "manifests is no list",
            ));
        }
    };

    let (mut entries, mut replaced) = (Vec::new(), Vec::new());
    let mut place = None;
    for entry in old_entries {
        let Ok(described) = serde_json::from_value::<Descriptor>(entry.clone()) else {
            entries.push(entry);
            continue;
        };
        let same = match reference {
            Some(reference) => tag(&described) == Some(reference),
            None => tag(&described).is_none() && described.digest() == image.digest(),
        };
        if same {
            place.get_or_insert(entries.len());
            replaced.push((described, entry));
        } else {
            entries.push(entry);
        }
    }

    let mut made = BTreeMap::new();
    let kept = match reference {
        Some(_) => other_platforms(source, &replaced, image)?,
        None => Vec::new(),
    };
    let new = if kept.is_empty() {
        tagged(json!(image), reference)
    } else {
        let bytes = inner_index(source, &replaced, kept, image);
        let digest = Digest::of(&bytes);
        let described = descriptor(MediaType::ImageIndex, &digest, bytes.len() as u64);
        made.insert(digest, bytes);
        tagged(json!(described), reference)
    };
    entries.insert(place.unwrap_or(entries.len()), new);

    index.insert("manifests".into(), Value::Array(entries));
    let bytes = canonical(&index);
    let entries = document::<ImageIndex>(&store, "index.json", &bytes)?
        .manifests()
        .clone();
    Ok(Edit {
        index: bytes,
        made,
        entries,
        replaced: replaced
            .into_iter()
            .map(|(described, _)| described)
            .collect(),
    })
}

fn tagged(mut entry: Value, reference: Option<&str>) -> Value {
    if let (Some(reference), Some(members)) = (reference, entry.as_object_mut()) {
        let annotations = members.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(ANNOTATION_REF_NAME.into(), json!(reference));
        }
    }
    entry
}

fn untagged(mut entry: Value) -> Value {
    if let Some(members) = entry.as_object_mut() {
        let annotations = members
            .get_mut("annotations")
            .and_then(Value::as_object_mut);
        let none_left = annotations.is_some_and(|annotations| {
            annotations.remove(ANNOTATION_REF_NAME);
            annotations.is_empty()
        });
        if none_left {
            members.remove("annotations");
        }
    }
    entry
}

/// The manifests among `replaced`, and in the indexes there, that are for other
/// platforms than the image's. What cannot be read serves nobody and is not kept.
fn other_platforms(
    source: &dyn Source,
    replaced: &[(Descriptor, Value)],
    image: &Descriptor,
) -> Result<Vec<(String, Value)>, StoreError> {
    let ours = platform_of(source, image)?;
    let mut candidates = Vec::new();
    for (described, entry) in replaced {
        if is_index(described.media_type()) {
            let children = read_document(source, described)
                .ok()
                .and_then(|bytes| parse::<Map<String, Value>>(&bytes).ok())
                .and_then(|mut index| index.remove("manifests"));
            if let Some(Value::Array(children)) = children {
                candidates.extend(children);
            }
        } else {
            candidates.push(entry.clone());
        }
    }
    let (mut kept, mut attestations) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let Ok(described) = serde_json::from_value::<Descriptor>(candidate.clone()) else {
            continue;
        };
        let Ok(platform) = platform_of(source, &described) else {
            continue;
        };
        if let Some(of) = attested(&described) {
            attestations.push((of, candidate));
        } else if described.digest() != image.digest() && !platform.matches(&ours) {
            kept.push((
                described.digest().to_string(),
                with_platform(candidate, &platform),
            ));
        }
    }
    let is_kept = |of: &str| kept.iter().any(|(digest, _)| digest == of);
    attestations.retain(|(of, _)| is_kept(of));
    let mut seen = BTreeSet::new();
    kept.retain(|(digest, _)| seen.insert(digest.clone()));
    kept.extend(
        attestations
            .into_iter()
            .map(|(_, entry)| (String::new(), entry)),
    );
    Ok(kept)
}

fn attested(descriptor: &Descriptor) -> Option<String> {
    descriptor
        .annotations()
        .as_ref()?
        .get(ATTESTATION_OF)
        .cloned()
}

/// The entry with its platform, by which it is chosen in an inner index.
fn with_platform(entry: Value, platform: &Platform) -> Value {
    let mut entry = untagged(entry);
    if let Some(members) = entry.as_object_mut() {
        members
            .entry("platform")
            .or_insert_with(|| json!(platform.to_oci()));
    }
    entry
}

/// The index of one tag: the kept entries and the image, in the order of their
/// platforms, so that it does not matter which was built first.
fn inner_index(
    source: &dyn Source,
    replaced: &[(Descriptor, Value)],
    kept: Vec<(String, Value)>,
    image: &Descriptor,
) -> Vec<u8> {
    let mut entries: Vec<Value> = kept.into_iter().map(|(_, entry)| entry).collect();
    entries.push(untagged(json!(image)));
    entries.sort_by_cached_key(|entry| {
        let platform = entry.get("platform");
        let part = |name| {
            platform
                .and_then(|p| p.get(name))
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        let os = part("os").to_owned();
        // Attestations last.
        let unknown = os == "unknown";
        (
            unknown,
            os,
            part("architecture").to_owned(),
            part("variant").to_owned(),
        )
    });
    // Annotations of an index that was there before stay on it.
    let mut index = replaced
        .iter()
        .find(|(described, _)| is_index(described.media_type()))
        .and_then(|(described, _)| read_document(source, described).ok())
        .and_then(|bytes| parse::<Map<String, Value>>(&bytes).ok())
        .unwrap_or_default();
    index.insert(
        "schemaVersion".into(),
        json!(oci_spec::image::SCHEMA_VERSION),
    );
    index.insert("mediaType".into(), json!(MediaType::ImageIndex));
    index.insert("manifests".into(), Value::Array(entries));
    canonical(&index)
}

/// The blobs that only `replaced` used and no entry of the new index does.
///
/// When any document of a remaining image cannot be read, it is not known what it uses,
/// and nothing is garbage.
pub(super) fn garbage(
    source: &dyn Source,
    entries: &[Descriptor],
    replaced: &[Descriptor],
) -> Vec<Descriptor> {
    if replaced.is_empty() {
        return Vec::new();
    }
    let mut used = BTreeMap::new();
    for entry in entries {
        if reach(source, entry, &mut used).is_err() {
            return Vec::new();
        }
    }
    let mut gone = BTreeMap::new();
    for entry in replaced {
        // What of it cannot be read is not removed.
        let _ = reach(source, entry, &mut gone);
    }
    gone.retain(|digest, _| !used.contains_key(digest));
    gone.into_values().collect()
}

/// Adds to `found` all blobs that `entry` leads to. Every object with a digest in a
/// manifest or an index counts, whatever member it stands in (`config`, `layers`, `blobs`,
/// `subject`): better too many than one too few.
fn reach(
    source: &dyn Source,
    entry: &Descriptor,
    found: &mut BTreeMap<String, Descriptor>,
) -> Result<(), StoreError> {
    let mut open = vec![entry.clone()];
    while let Some(described) = open.pop() {
        let media_type = described.media_type();
        let known = found.insert(described.digest().to_string(), described.clone());
        let leads_on = is_index(media_type)
            || is_manifest(media_type)
            || media_type.as_ref().contains("manifest")
            || media_type.as_ref().contains("index");
        if known.is_some() || !leads_on {
            continue;
        }
        let part = format!("the blob {}", described.digest());
        let value: Value = document(&source.name(), &part, &read_document(source, &described)?)?;
        let mut values = vec![&value];
        while let Some(value) = values.pop() {
            match value {
                Value::Array(list) => values.extend(list),
                Value::Object(members) => {
                    if members.contains_key("digest") {
                        open.extend(serde_json::from_value::<Descriptor>(value.clone()));
                    }
                    values.extend(members.values());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A store with documents that are not in it yet.
pub(super) struct With<'a> {
    pub(super) name: String,
    pub(super) base: Option<&'a dyn Source>,
    pub(super) documents: BTreeMap<Digest, Vec<u8>>,
}

impl Source for With<'_> {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        self.base
            .map_or_else(|| Ok(ImageIndex::default()), Source::index)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest();
        // Refuses what no store takes.
        blob_path(&self.name, digest)?;
        let ours = digest
            .as_ref()
            .parse()
            .ok()
            .and_then(|d| self.documents.get(&d));
        match (ours, self.base) {
            (Some(bytes), _) => Ok(Box::new(bytes.as_slice())),
            (None, Some(base)) => base.blob(descriptor),
            (None, None) => Err(StoreError::MissingBlob {
                store: self.name.clone(),
                digest: digest.to_string(),
            }),
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
