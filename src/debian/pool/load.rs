//! Using a package of the pool.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::manifest::{Manifest, Place};
use super::{MANIFEST, Pool, Unpacked};
use crate::debian::deb::MemberKind;
use crate::layer::{Digest, Hasher};
use crate::rootfs::Content;
use crate::shelf::{self, Held, NEW};
use crate::sysroot::{FileIdentity, identity_of};

/// Bytes that a manifest may have.
const MAX_MANIFEST: u64 = 256 << 20;

impl Pool {
    /// The package with this digest, if it is there and whole.
    pub(super) fn load(&self, sha256: &Digest) -> Option<Unpacked> {
        let held = self.0.hold(sha256)?;
        let mut manifest = Manifest::from_bytes(&held.record(MANIFEST, MAX_MANIFEST)?)?;
        if manifest.sha256 != *sha256 {
            return None;
        }
        let (small, moved) = read_small(&held, &mut manifest)?;
        let (contents, moved_own) = contents(&held, &mut manifest, &Arc::new(small))?;
        if moved || moved_own {
            // A cache that was copied: remember that its files are good. Failing to is no harm.
            let _ = rewrite(&held.directory, &manifest);
        }
        let members = manifest.deb.members.into_iter().zip(contents).collect();
        Some(Unpacked {
            sha256: *sha256,
            control: manifest.deb.control,
            md5sums: manifest.deb.md5sums,
            conffiles: manifest.deb.conffiles,
            members,
            _hold: Arc::new(held.hold),
        })
    }
}

/// The bytes of the small files, and whether they are in another state than the manifest said.
fn read_small(held: &Held, manifest: &mut Manifest) -> Option<(Vec<u8>, bool)> {
    let small = &mut manifest.small;
    let (bytes, identity) = held.small(small.identity.size)?;
    let moved = identity != small.identity;
    if moved && Digest::of(&bytes) != small.sha256 {
        return None;
    }
    small.identity = identity;
    Some((bytes, moved))
}

/// The content of each member, and whether some file is in another state than the manifest said.
fn contents(
    held: &Held,
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
            Place::Small(offset) => shelf::part(small, *offset, *size)?,
            Place::Own(number, identity) => {
                let (path, mut facts) = held.own(*number, member.mode)?;
                if facts.size != *size {
                    return None;
                }
                if facts.identity != *identity {
                    *identity = verified(&path, sha256)?;
                    facts.identity = *identity;
                    moved = true;
                }
                Content::Host { path, facts }
            }
        }));
    }
    Some((contents, moved))
}

/// The state of the file at `path`, if it holds what it should.
fn verified(path: &Path, sha256: &Digest) -> Option<FileIdentity> {
    let mut file = shelf::open(path).ok()?;
    let before = identity_of(&file).ok()?;
    let mut hasher = Hasher::new();
    io::copy(&mut file, &mut hasher).ok()?;
    let after = identity_of(&file).ok()?;
    (before == after && hasher.finish() == *sha256).then_some(after)
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
