//! OCI image layout directories, read (image-spec `image-layout.md`).

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, Digest, ImageIndex};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::attached::{Known, in_order};
use super::read::{Verified, blob_path, bounded, document};
use super::{Attached, Source, StoreError};

/// The directory's version, which image-spec 1.1 still has.
pub(super) const LAYOUT_VERSION: &str = "1.0.0";

/// The content of the `oci-layout` file.
pub(super) const LAYOUT_FILE: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// An OCI image layout directory.
///
/// Files are opened from a handle of the directory and never outside it: a symbolic
/// link that leads out, which the layout's author may have planted, is an error.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    directory: OwnedFd,
    known: Known,
}

impl Layout {
    /// Opens the layout at `path`.
    ///
    /// # Errors
    /// When it is none, or of an unknown version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory =
            rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| match error {
                Errno::NOENT => StoreError::NotFound(path.clone()),
                error => StoreError::errno(&path, "open")(error),
            })?;
        let layout = Self {
            path,
            directory,
            known: Known::default(),
        };
        layout.check_version()?;
        Ok(layout)
    }

    fn check_version(&self) -> Result<(), StoreError> {
        let Some((file, size)) = self.file("oci-layout")? else {
            return Err(StoreError::NotAnImage {
                path: self.path.clone(),
                found: "a directory without the file oci-layout".into(),
            });
        };
        let bytes = bounded(&self.name(), "oci-layout", size, file)?;
        check_version(&self.name(), &bytes)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its handle.
    pub(super) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// The bytes of `index.json`.
    pub(super) fn raw_index(&self) -> Result<Vec<u8>, StoreError> {
        let Some((file, size)) = self.file("index.json")? else {
            return Err(StoreError::NotAnImage {
                path: self.path.clone(),
                found: "a directory with oci-layout but without index.json".into(),
            });
        };
        bounded(&self.name(), "index.json", size, file)
    }

    /// A regular file inside the layout and its size; `None` when it is not there.
    pub(super) fn file(&self, inside: &str) -> Result<Option<(File, u64)>, StoreError> {
        let path = self.path.join(inside);
        // Non-blocking, so that a planted FIFO does not hang the program.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match open_beneath(&self.directory, inside, flags) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::XDEV | Errno::LOOP) => {
                return Err(StoreError::damaged(
                    self.name(),
                    inside,
                    "it is a symbolic link that leads out of the layout or in a circle, and is not followed",
                ));
            }
            Err(error) => return Err(StoreError::errno(path, "open")(error)),
        };
        let stat = rustix::fs::fstat(&file).map_err(StoreError::errno(&path, "read"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(StoreError::damaged(
                self.name(),
                inside,
                "it is no regular file",
            ));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Some((File::from(file), size)))
    }
}

/// Opens `inside` below `directory`; where the kernel (before 5.6) or a sandbox has no
/// openat2(2), no symbolic link is followed at all.
fn open_beneath(directory: &OwnedFd, inside: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(directory, inside, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => {
            let mut parts = inside.split('/').peekable();
            let mut held: Option<OwnedFd> = None;
            while let Some(part) = parts.next() {
                let from = held.as_ref().unwrap_or(directory);
                let flags = match parts.peek() {
                    Some(_) => OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    None => flags,
                };
                let opened =
                    rustix::fs::openat(from, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
                held = Some(opened);
            }
            held.ok_or(Errno::NOENT)
        }
        result => result,
    }
}

/// Whether `path` is a directory that has an `oci-layout` file.
pub(super) fn is_layout(path: &Path) -> bool {
    rustix::fs::statat(rustix::fs::CWD, path.join("oci-layout"), AtFlags::empty()).is_ok()
}

/// Checks the content of an `oci-layout` file.
pub(super) fn check_version(store: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let layout: oci_spec::image::OciLayout = document(store, "oci-layout", bytes)?;
    let version = layout.image_layout_version();
    // A later 1.x adds to this one by the rules of semantic versions.
    if version.starts_with("1.") {
        return Ok(());
    }
    Err(StoreError::damaged(
        store,
        "oci-layout",
        format!("its version is {version:?}, and {LAYOUT_VERSION} is the one known"),
    ))
}

impl Source for Layout {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        document(&self.name(), "index.json", &self.raw_index()?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        let digest = descriptor.digest();
        let (path, check) = blob_path(&self.name(), digest)?;
        let (file, _) = self.file(&path)?.ok_or_else(|| StoreError::MissingBlob {
            store: self.name(),
            digest: digest.to_string(),
        })?;
        Ok(Box::new(Verified::new(
            file,
            check,
            digest,
            descriptor.size(),
        )))
    }

    fn attached(&self, subject: &Digest) -> Result<Vec<Attached>, StoreError> {
        let mut found = self.known.attached(self, self.raw_index()?, subject)?;
        found.extend(self.unlisted(&self.index()?, subject)?);
        in_order(&mut found);
        Ok(found)
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
