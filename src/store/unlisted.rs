//! Manifests that lie in a layout's blobs and that its index does not list.
//!
//! `cosign save` (3.1) leaves the bundles of an image so, and its `verify --local-image` finds them
//! by reading every blob. It writes one image a layout and marks it, so they are looked for where
//! there is that mark, among small blobs alone.

use std::os::fd::AsFd;

use oci_spec::image::{Descriptor, Digest, ImageIndex, MediaType};
use rustix::fs::{Dir, FileType, Mode, OFlags};

use super::attached::{Attached, Link, Said, is_kind_of_image};
use super::layout::Layout;
use super::read::bounded;
use super::select::MOST_MANIFESTS;
use super::{Source, StoreError};

/// The largest blob that is looked into, in bytes: a bundle's manifest has some 900.
const LARGEST: u64 = 16 << 10;

impl Layout {
    /// The manifests in `blobs/sha256` that have `subject` as theirs, when the index says that it
    /// is the image which cosign saved.
    pub(super) fn unlisted(
        &self,
        index: &ImageIndex,
        subject: &Digest,
    ) -> Result<Vec<Attached>, StoreError> {
        let mut entries = index.manifests().iter();
        if !entries.any(|entry| is_kind_of_image(entry) && entry.digest() == subject) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for name in self.names_of_blobs()? {
            let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else {
                continue;
            };
            let Some((file, size)) = self.file(&format!("blobs/sha256/{name}"))? else {
                continue;
            };
            if size > LARGEST {
                continue;
            }
            let bytes = bounded(&self.name(), &name, size, file)?;
            // Most are no manifests at all. Those that are get checked when they are read again.
            let Ok(said) = Said::in_manifest(&bytes) else {
                continue;
            };
            if said.subject.as_ref() == Some(subject) {
                let mut manifest = Descriptor::new(MediaType::ImageManifest, size, digest);
                manifest.set_artifact_type(said.artifact_type);
                found.push(Attached {
                    manifest,
                    link: Link::Subject,
                });
            }
        }
        Ok(found)
    }

    /// The names of the regular files in `blobs/sha256`.
    fn names_of_blobs(&self) -> Result<Vec<String>, StoreError> {
        const BLOBS: &str = "blobs/sha256";
        let path = self.path().join(BLOBS);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = match rustix::fs::openat(self.directory(), BLOBS, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::errno(path, "open")(error)),
        };
        let listed = Dir::read_from(directory.as_fd()).map_err(StoreError::errno(&path, "read"))?;
        let mut names = Vec::new();
        for entry in listed {
            let entry = entry.map_err(StoreError::errno(&path, "read"))?;
            let may_be_one = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
            if let (true, Ok(name)) = (may_be_one, entry.file_name().to_str()) {
                names.push(name.to_owned());
            }
            // cosign saves one image a layout: this is a store of many, which lists what it has.
            if names.len() > MOST_MANIFESTS {
                return Ok(Vec::new());
            }
        }
        Ok(names)
    }
}
