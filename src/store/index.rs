//! Editing an index: an image gets its tag, everything else stays as it is.
//!
//! The index is edited as JSON and not by way of oci-spec's types, so that members which
//! those do not know (`os.version` among them) are kept.
//!
//! A tag with images for several platforms leads to an index blob with one entry for
//! each: most tools take the first entry of a tag, whatever its platform, and choose
//! by platform in such an inner index alone.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, Digest as OciDigest, ImageIndex, MediaType,
};
use serde_json::{Map, Value, json};

use super::attached::KIND;
use super::docker::ANNOTATION_IMAGE_NAME;
use super::entry::How;
use super::items::{Item, Items, annotate, take_kind};
use super::read::document;
use super::select::{is_index, named, platform_of, tag, tags_of};
use super::with::With;
use super::{Attachment, Source, StoreError, read_document};
use crate::image::{Platform, canonical, descriptor, parse};
use crate::layer::Digest;

/// The annotation by which an attestation names the manifest it is of (BuildKit).
pub(crate) const ATTESTATION_OF: &str = "vnd.docker.reference.digest";

/// What an edit gives.
#[derive(Debug)]
pub(super) struct Edit {
    /// The bytes of the new index.
    pub(super) index: Vec<u8>,
    /// Index blobs that it needs.
    pub(super) made: BTreeMap<String, Vec<u8>>,
    /// The entries of the new index.
    pub(super) entries: Vec<Descriptor>,
    /// The entries that are no longer there.
    pub(super) replaced: Vec<Descriptor>,
}

/// Puts `root` under `reference` into the index `old` of `source`, in place of what has
/// that tag; of that, images for other platforms stay when it is merged. Without a tag it is
/// added once, beside all others.
///
/// What was attached to what goes by that goes, too; what is in `attached` comes.
pub(super) fn edit(
    source: &dyn Source,
    old: Option<&[u8]>,
    root: &Descriptor,
    reference: Option<&str>,
    how: How,
    attached: &[Attachment],
) -> Result<Edit, StoreError> {
    let store = source.name();
    let (mut index, mut items) = opened(&store, old)?;
    let is_same = |described: &Descriptor| match reference {
        Some(reference) => tag(described) == Some(reference),
        None => tag(described).is_none() && described.digest() == root.digest(),
    };
    let mut going = items.0.iter().filter_map(|item| item.described.as_ref());
    let may_be_attached =
        !attached.is_empty() || going.any(|d| is_same(d) && d.digest() != root.digest());
    if may_be_attached {
        items.tie(source)?;
    }
    let (mut entries, mut replaced) = (Vec::new(), Vec::new());
    let mut place = None;
    let all = items.0.clone();
    for item in all {
        match &item.described {
            Some(described) if is_same(described) => {
                place.get_or_insert(entries.len());
                replaced.push((described.clone(), item.entry));
            }
            _ => entries.push(item),
        }
    }

    let mut made = BTreeMap::new();
    let fresh = fresh(source, root)?;
    let kept = match (reference, how) {
        (Some(_), How::Merge) => other_platforms(source, &replaced, &fresh)?,
        _ => Vec::new(),
    };
    let mut new = if kept.is_empty() {
        Item::of(tagged(untagged(json!(root)), reference))
    } else {
        let bytes = inner_index(source, &replaced, root, kept, fresh);
        let digest = Digest::of(&bytes);
        let described = descriptor(MediaType::ImageIndex, &digest, bytes.len() as u64);
        made.insert(digest.to_string(), bytes);
        Item::of(tagged(json!(described), reference))
    };
    // The same image is found by what it was found by.
    let described = new.described.as_ref();
    if let Some(kind) = described.and_then(|described| items.kind_of(described.digest())) {
        new.annotate(KIND, &kind);
    }
    entries.insert(place.unwrap_or(entries.len()), new);
    items.0 = entries;
    let mut replaced: Vec<Descriptor> = replaced
        .into_iter()
        .map(|(described, _)| described)
        .collect();
    if may_be_attached {
        let with_made = With::over(source, &made);
        replaced.extend(items.attach(&with_made, attached)?);
        replaced.extend(items.take_orphans(&with_made, &replaced));
        items.arrange(&with_made);
    }
    index.insert("manifests".into(), Value::Array(items.into_entries()));
    closed(&store, &index, made, replaced)
}

/// Puts `attached` beside the image with the digest `subject` in the index `old` of `source`, and
/// takes out what is attached to it and has one of the digests `removed`.
pub(super) fn beside(
    source: &dyn Source,
    old: &[u8],
    subject: &OciDigest,
    attached: &[Attachment],
    removed: &[OciDigest],
) -> Result<Edit, StoreError> {
    let store = source.name();
    let (mut index, mut items) = opened(&store, Some(old))?;
    items.tie(source)?;
    items.check_there(source, [subject])?;
    let comes = |digest: &OciDigest| attached.iter().any(|one| one.entry.root.digest() == digest);
    let removed: Vec<OciDigest> = removed.iter().filter(|d| !comes(d)).cloned().collect();
    let mut replaced = items.detach(subject, &removed);
    replaced.extend(items.attach(source, attached)?);
    replaced.extend(items.take_orphans(source, &replaced));
    items.arrange(source);
    index.insert("manifests".into(), Value::Array(items.into_entries()));
    closed(&store, &index, BTreeMap::new(), replaced)
}

/// Takes the entries of `tags` out of the index `old` of `source`, and what is attached to what
/// goes by that.
pub(super) fn without(
    source: &dyn Source,
    old: &[u8],
    tags: &[String],
) -> Result<Edit, StoreError> {
    let store = source.name();
    let (mut index, mut items) = opened(&store, Some(old))?;
    let described = || items.0.iter().filter_map(|item| item.described.as_ref());
    for tag in tags {
        if !described().any(|entry| named(entry, tag)) {
            let there: Vec<Descriptor> = described().cloned().collect();
            return Err(StoreError::NoSuchTag {
                store,
                tag: tag.clone(),
                tags: tags_of(&there),
            });
        }
    }
    items.tie(source)?;
    let mut removed = Vec::new();
    items.0.retain(|item| match &item.described {
        Some(described) if tags.iter().any(|tag| named(described, tag)) => {
            removed.push(described.clone());
            false
        }
        _ => true,
    });
    removed.extend(items.take_orphans(source, &removed));
    items.arrange(source);
    index.insert("manifests".into(), Value::Array(items.into_entries()));
    closed(&store, &index, BTreeMap::new(), removed)
}

/// An index and, apart, its entries.
fn opened(store: &str, old: Option<&[u8]>) -> Result<(Map<String, Value>, Items), StoreError> {
    let mut index: Map<String, Value> = match old {
        Some(bytes) => document(store, "index.json", bytes)?,
        None => Map::new(),
    };
    index.insert(
        "schemaVersion".into(),
        json!(oci_spec::image::SCHEMA_VERSION),
    );
    index
        .entry("mediaType")
        .or_insert_with(|| json!(MediaType::ImageIndex));
    match index.remove("manifests") {
        Some(Value::Array(entries)) => Ok((index, Items::of(entries))),
        None => Ok((index, Items::of(Vec::new()))),
        Some(_) => Err(StoreError::damaged(
            store,
            "index.json",
            "manifests is no list",
        )),
    }
}

fn closed(
    store: &str,
    index: &Map<String, Value>,
    made: BTreeMap<String, Vec<u8>>,
    replaced: Vec<Descriptor>,
) -> Result<Edit, StoreError> {
    let bytes = canonical(index);
    let entries = document::<ImageIndex>(store, "index.json", &bytes)?
        .manifests()
        .clone();
    Ok(Edit {
        index: bytes,
        made,
        entries,
        replaced,
    })
}

fn tagged(mut entry: Value, reference: Option<&str>) -> Value {
    if let Some(reference) = reference {
        annotate(&mut entry, ANNOTATION_REF_NAME, reference);
    }
    entry
}

/// The entry without the names that it has in its store.
pub(crate) fn untagged(mut entry: Value) -> Value {
    if let Some(members) = entry.as_object_mut() {
        let annotations = members
            .get_mut("annotations")
            .and_then(Value::as_object_mut);
        let none_left = annotations.is_some_and(|annotations| {
            annotations.remove(ANNOTATION_REF_NAME);
            annotations.remove(ANNOTATION_IMAGE_NAME);
            take_kind(annotations);
            annotations.is_empty()
        });
        if none_left {
            members.remove("annotations");
        }
    }
    entry
}

/// What a root brings: itself, or of an index its entries.
fn fresh(source: &dyn Source, root: &Descriptor) -> Result<Vec<Value>, StoreError> {
    if !is_index(root.media_type()) {
        return Ok(vec![untagged(json!(root))]);
    }
    let part = format!("the index {}", root.digest());
    let bytes = read_document(source, root)?;
    let mut index: Map<String, Value> = document(&source.name(), &part, &bytes)?;
    match index.remove("manifests") {
        Some(Value::Array(entries)) => Ok(entries),
        _ => Ok(Vec::new()),
    }
}

/// The manifests among `replaced`, and in the indexes there, that are for other
/// platforms than the fresh ones. What cannot be read serves nobody and is not kept.
fn other_platforms(
    source: &dyn Source,
    replaced: &[(Descriptor, Value)],
    fresh: &[Value],
) -> Result<Vec<(String, Value)>, StoreError> {
    if replaced.is_empty() {
        return Ok(Vec::new());
    }
    let (mut ours, mut digests) = (Vec::new(), BTreeSet::new());
    for entry in fresh {
        let described: Descriptor = serde_json::from_value(entry.clone()).map_err(|error| {
            StoreError::damaged(source.name(), "an entry of the new index", error)
        })?;
        digests.insert(described.digest().to_string());
        if attested(&described).is_none() {
            ours.push(platform_of(source, &described)?);
        }
    }
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
        } else if !digests.contains(described.digest().as_ref())
            && !ours.iter().any(|ours| platform.matches(ours))
        {
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

pub(crate) fn attested(descriptor: &Descriptor) -> Option<String> {
    descriptor
        .annotations()
        .as_ref()?
        .get(ATTESTATION_OF)
        .cloned()
}

/// The entry with its platform, by which it is chosen in an inner index.
pub(crate) fn with_platform(entry: Value, platform: &Platform) -> Value {
    let mut entry = untagged(entry);
    if let Some(members) = entry.as_object_mut() {
        members
            .entry("platform")
            .or_insert_with(|| json!(platform.to_oci()));
    }
    entry
}

/// The index of one tag: the kept entries and the fresh ones, in the order of their
/// platforms, so that it does not matter which was built first.
fn inner_index(
    source: &dyn Source,
    replaced: &[(Descriptor, Value)],
    root: &Descriptor,
    kept: Vec<(String, Value)>,
    fresh: Vec<Value>,
) -> Vec<u8> {
    let mut entries: Vec<Value> = kept.into_iter().map(|(_, entry)| entry).collect();
    entries.extend(fresh.into_iter().map(|entry| {
        let described = serde_json::from_value::<Descriptor>(entry.clone()).ok();
        match described.and_then(|described| platform_of(source, &described).ok()) {
            Some(platform) => with_platform(entry, &platform),
            None => entry,
        }
    }));
    entries.sort_by_cached_key(platform_order);
    // Annotations of an index stay on it: of the new one, or of that which was there before.
    let mut index = [root]
        .into_iter()
        .chain(replaced.iter().map(|(described, _)| described))
        .find(|described| is_index(described.media_type()))
        .and_then(|described| read_document(source, described).ok())
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

/// Where an entry stands in an index: by its platform, attestations last.
pub(crate) fn platform_order(entry: &Value) -> (bool, String, String, String) {
    let part = |name| {
        entry
            .get("platform")
            .and_then(|platform| platform.get(name))
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let os = part("os");
    (os == "unknown", os, part("architecture"), part("variant"))
}
