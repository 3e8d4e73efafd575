//! What a name of a store leads to, as a whole.

use oci_spec::image::Descriptor;

use super::select::{flatten, tags_of, under};
use super::{Source, StoreError};
use crate::image::Platform;

/// The one manifest or index that has this tag; without a tag, that of the whole store, beside
/// what is attached to it.
///
/// # Errors
/// When there is none, or several: then the message lists what there is.
pub fn root(source: &dyn Source, tag: Option<&str>) -> Result<Descriptor, StoreError> {
    let store = source.name();
    let index = source.index()?;
    let all = index.manifests();
    let mut entries = under(all.clone(), tag);
    let mut seen = std::collections::BTreeSet::new();
    entries.retain(|entry| seen.insert(entry.digest().to_string()));
    match (entries.as_slice(), tag) {
        ([one], _) => Ok(one.clone()),
        ([], None) => Err(StoreError::Empty(store)),
        ([], Some(tag)) => Err(StoreError::NoSuchTag {
            store,
            tag: tag.to_owned(),
            tags: tags_of(all),
        }),
        // The entries of one tag beside each other: an old way to have several platforms.
        (_, Some(_)) => {
            let images = flatten(source, entries)?;
            let mut platforms: Vec<String> = images
                .iter()
                .map(|(_, platform)| platform.to_string())
                .collect();
            platforms.sort_unstable();
            platforms.dedup();
            Err(StoreError::PlatformNeeded { store, platforms })
        }
        (_, None) => Err(StoreError::TagNeeded {
            store,
            tags: tags_of(all),
        }),
    }
}

/// The image manifests that `root` is or lists, each with its platform; attestations are left out.
///
/// # Errors
/// When an index or a config cannot be read.
pub fn manifests(
    source: &dyn Source,
    root: &Descriptor,
) -> Result<Vec<(Descriptor, Platform)>, StoreError> {
    flatten(source, vec![root.clone()])
}
