//! Parsed indices, kept for later builds: `indices/SHA256`, by the hash of the file they are of.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::debian::Index;
use crate::layer::Digest;

/// Where they are, below the cache's directory.
const INDICES: &str = "indices";

/// Those in a cache.
#[derive(Debug)]
pub(super) struct Indices {
    directory: Option<PathBuf>,
}

impl Indices {
    /// Those in the cache in this directory. What is kept is believed without a look at the
    /// signed file, so there are none where somebody else may have written it.
    pub(super) fn open(cache: Option<&Path>) -> Self {
        let directory = cache.and_then(|cache| {
            let directory = cache.join(INDICES);
            let is_private = [cache, &directory]
                .iter()
                .all(|path| crate::private::check(path).is_ok());
            is_private.then_some(directory)
        });
        Self { directory }
    }

    /// The index that was parsed before from the file of this hash.
    pub(super) fn get(&self, of: &Digest) -> Option<Index> {
        let path = self.directory.as_ref()?.join(of.hex());
        let file = fs::File::open(&path).ok()?;
        // Only the order of pruning depends on it.
        let _ = file.set_modified(SystemTime::now());
        Index::from_bytes(fs::read(path).ok()?)
    }

    /// Keeps a parsed index; where that fails, it is parsed again.
    pub(super) fn keep(&self, of: &Digest, index: &Index) {
        let kept = || -> io::Result<()> {
            let Some(directory) = &self.directory else {
                return Ok(());
            };
            fs::create_dir_all(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&index.to_bytes())?;
            file.persist(directory.join(of.hex()))?;
            Ok(())
        };
        let _ = kept();
    }
}

/// The size in bytes of those in the cache in this directory.
pub(super) fn size(cache: &Path) -> io::Result<u64> {
    Ok(files(cache)?.iter().map(|(_, _, size)| size).sum())
}

/// Removes those that were not used for longest until at most `keep` bytes are left; returns the
/// bytes freed.
pub(super) fn prune(cache: &Path, keep: u64) -> io::Result<u64> {
    let mut files = files(cache)?;
    files.sort_unstable();
    let mut left: u64 = files.iter().map(|(_, _, size)| size).sum();
    let mut freed = 0;
    for (_, path, size) in files {
        if left <= keep {
            break;
        }
        match fs::remove_file(path) {
            Ok(()) => freed += size,
            // Another prune was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        left -= size;
    }
    Ok(freed)
}

/// When each was used, where it is, its size.
fn files(cache: &Path) -> io::Result<Vec<(SystemTime, PathBuf, u64)>> {
    let entries = match fs::read_dir(cache.join(INDICES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        // What has gone meanwhile takes nothing.
        if let Ok(facts) = entry.metadata() {
            let used = facts.modified().unwrap_or(UNIX_EPOCH);
            files.push((used, entry.path(), facts.len()));
        }
    }
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn index(name: &str) -> Index {
        let sha256 = Digest::of(b"").hex();
        let text = format!(
            "Package: {name}\nVersion: 1\nArchitecture: amd64\nFilename: pool/{name}.deb\n\
             Size: 1\nSHA256: {sha256}\n"
        );
        Index::read(text.as_bytes()).unwrap()
    }

    fn allow(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_kept_is_found_again_by_the_hash_of_its_file() {
        let cache = tempfile::tempdir().unwrap();
        let indices = Indices::open(Some(cache.path()));
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        indices.keep(&one, &index("a"));
        let found = Indices::open(Some(cache.path())).get(&one).unwrap();
        assert_eq!(found.get("a").unwrap().len(), 1);
        assert!(indices.get(&other).is_none());
        Indices::open(None).keep(&one, &index("a"));
        assert!(Indices::open(None).get(&one).is_none());
    }

    #[test]
    fn an_index_that_somebody_else_may_have_written_is_not_believed() {
        let cache = tempfile::tempdir().unwrap();
        let of = Digest::of(b"1");
        Indices::open(Some(cache.path())).keep(&of, &index("forged"));
        let directory = cache.path().join(INDICES);
        let found = || Indices::open(Some(cache.path())).get(&of).is_some();
        assert!(found());
        allow(cache.path(), 0o777);
        assert!(!found());
        allow(cache.path(), 0o700);
        allow(&directory, 0o775);
        assert!(!found());
        allow(&directory, 0o755);
        assert!(found());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = tempfile::tempdir().unwrap();
        let indices = Indices::open(Some(cache.path()));
        let digests = ["1", "2", "3"].map(|text| Digest::of(text.as_bytes()));
        for (at, digest) in digests.iter().enumerate() {
            indices.keep(digest, &index("a"));
            let file = fs::File::open(cache.path().join(INDICES).join(digest.hex())).unwrap();
            let age = Duration::from_secs(60 * (10 - at as u64));
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        // Made first, and just used.
        assert!(indices.get(&digests[0]).is_some());
        let all = size(cache.path()).unwrap();
        assert_eq!(prune(cache.path(), all).unwrap(), 0);
        assert_eq!(prune(cache.path(), all - 1).unwrap(), all / 3);
        assert!(indices.get(&digests[1]).is_none());
        assert!(indices.get(&digests[0]).is_some());
        assert_eq!(prune(cache.path(), 0).unwrap(), all / 3 * 2);
        assert_eq!(size(cache.path()).unwrap(), 0);
        assert_eq!(size(&cache.path().join("absent")).unwrap(), 0);
    }
}
