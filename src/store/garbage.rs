//! What is no longer used in a store.

use std::collections::BTreeMap;

use oci_spec::image::Descriptor;
use serde_json::Value;

use super::read::document;
use super::select::{is_index, is_manifest};
use super::{Source, StoreError, read_document};

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
