//! Using a package of the pool.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::manifest::{Manifest, Place};
use super::{Hold, LOCK, MANIFEST, NEW, Pool, SMALL, Unpacked};
use crate::debian::deb::{Member, MemberKind};
use crate::layer::{Digest, Hasher};
use crate::rootfs::{Bytes, Content};
use crate::sysroot::{FileFacts, FileIdentity, facts_of, identity_of};

/// Bytes that a manifest may have.
const MAX_MANIFEST: u64 = 256 << 20;
/// The time of last use is written down when it is older than this.
const USE_GRANULARITY: Duration = Duration::from_secs(60 * 60);

impl Pool {
    /// The package with this digest, if it is there and whole.
    pub(super) fn load(&self, sha256: &Digest) -> Option<Unpacked> {
        let directory = self.place(sha256);
        let lock = hold(&directory)?;
        let mut manifest = {
            let mut bytes = Vec::new();
            let file = File::open(directory.join(MANIFEST)).ok()?;
            file.take(MAX_MANIFEST).read_to_end(&mut bytes).ok()?;
            Manifest::from_bytes(&bytes)?
        };
        if manifest.sha256 != *sha256 {
            return None;
        }
        let (small, moved) = read_small(&directory, &mut manifest)?;
        let (contents, moved_own) = contents(&directory, &mut manifest, &Arc::new(small))?;
        if moved || moved_own {
            // A cache that was copied: remember that its files are good. Failing to is no harm.
            let _ = rewrite(&directory, &manifest);
        }
        let members = manifest.deb.members.into_iter().zip(contents).collect();
        Some(Unpacked {
            sha256: *sha256,
            control: manifest.deb.control,
            md5sums: manifest.deb.md5sums,
            conffiles: manifest.deb.conffiles,
            members,
            _hold: Arc::new(Hold {
                _lock: lock,
                _temporary: self.temporary.clone(),
            }),
        })
    }
}

/// Locks a package against being removed, and notes that it was used.
fn hold(directory: &Path) -> Option<File> {
    let path = directory.join(LOCK);
    let lock = File::open(&path).ok()?;
    // Held exclusively only by who removes it.
    if matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    // Between opening and locking it may have been removed or replaced.
    let (held, there) = (lock.metadata().ok()?, fs::metadata(&path).ok()?);
    if (held.dev(), held.ino()) != (there.dev(), there.ino()) {
        return None;
    }
    let is_old = held
        .modified()
        .is_ok_and(|used| used.elapsed().is_ok_and(|age| age > USE_GRANULARITY));
    if is_old {
        // Without it the package only looks unused.
        let _ = lock.set_modified(SystemTime::now());
    }
    Some(lock)
}

/// The bytes of `small`, and whether it is in another state than the manifest said.
fn read_small(directory: &Path, manifest: &mut Manifest) -> Option<(Vec<u8>, bool)> {
    let mut file = open(&directory.join(SMALL)).ok()?;
    let identity = identity_of(&file).ok()?;
    let size = manifest.small.identity.size;
    if identity.size != size {
        return None;
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).ok()?).ok()?;
    (&mut file).take(size).read_to_end(&mut bytes).ok()?;
    if identity == manifest.small.identity {
        return (bytes.len() as u64 == size).then_some((bytes, false));
    }
    if Digest::of(&bytes) != manifest.small.sha256 {
        return None;
    }
    manifest.small.identity = identity;
    Some((bytes, true))
}

/// The content of each member, and whether some file is in another state than the manifest said.
fn contents(
    directory: &Path,
    manifest: &mut Manifest,
    small: &Arc<Vec<u8>>,
) -> Option<(Vec<Option<Content>>, bool)> {
    let mut moved = false;
    let mut contents = Vec::with_capacity(manifest.deb.members.len());
    for (member, file) in manifest.deb.members.iter().zip(&manifest.deb.files) {
        let MemberKind::File { size, sha256 } = &member.kind else {
            contents.push(None);
            continue;
        };
        let place = manifest.places.get_mut((*file)?)?;
        contents.push(Some(match place {
            Place::Small(offset) => {
                let start = usize::try_from(*offset).ok()?;
                let end = start.checked_add(usize::try_from(*size).ok()?)?;
                Content::Bytes(Bytes::part(small, start..end)?)
            }
            Place::Own(number, identity) => {
                let path = directory.join(number.to_string());
                let mut facts = facts_of(&path).ok()?;
                if facts.size != *size {
                    return None;
                }
                if facts.identity != *identity {
                    *identity = verified(&path, sha256)?;
                    facts.identity = *identity;
                    moved = true;
                }
                host(path, facts, member)
            }
        }));
    }
    Some((contents, moved))
}

fn host(path: std::path::PathBuf, facts: FileFacts, member: &Member) -> Content {
    let mode = member.mode;
    Content::Host {
        path,
        facts: FileFacts { mode, ..facts },
    }
}

/// The state of the file at `path`, if it holds what it should.
fn verified(path: &Path, sha256: &Digest) -> Option<FileIdentity> {
    let mut file = open(path).ok()?;
    let before = identity_of(&file).ok()?;
    let mut hasher = Hasher::new();
    io::copy(&mut file, &mut hasher).ok()?;
    let after = identity_of(&file).ok()?;
    (before == after && hasher.finish() == *sha256).then_some(after)
}

/// Opens a file of the pool; a pipe that took its place is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

fn rewrite(directory: &Path, manifest: &Manifest) -> io::Result<()> {
    use std::io::Write;
    let mut aside = tempfile::Builder::new()
        .prefix(NEW)
        .tempfile_in(directory)?;
    aside.write_all(&manifest.to_bytes())?;
    aside.persist(directory.join(MANIFEST))?;
    Ok(())
}
