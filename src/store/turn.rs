//! One signer at a time.
//!
//! A signature is added to the list of those that are there. Of two that read the list at once and
//! write it after each other, the second would undo what the first did.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Reference, Source, StoreError, open};

/// A layout or an archive, as it is from here to the end of this: others that take their turn wait.
/// A build that writes there does not.
pub struct Turn {
    /// What is there now.
    pub source: Box<dyn Source>,
    /// Ends with its handle.
    _lock: Option<File>,
}

/// Waits until nobody else has the turn at the layout or archive at `path`, and opens it then.
///
/// # Errors
/// When it cannot be opened.
pub fn turn(path: &Path) -> Result<Turn, StoreError> {
    let reference = Reference {
        form: None,
        path: path.to_path_buf(),
        tag: None,
    };
    loop {
        // Says what is there, when it is no image.
        open(&reference)?;
        // The lock of a layout's directory is that of its commits, which come within a turn.
        let at = match path.is_dir() {
            true => path.join("oci-layout"),
            false => path.to_path_buf(),
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(&at, flags, Mode::empty());
        let file = File::from(file.map_err(StoreError::errno(&at, "open"))?);
        let lock = || rustix::fs::flock(&file, FlockOperation::LockExclusive);
        match rustix::io::retry_on_intr(lock) {
            // A file system without locks, or where what is only read cannot be locked (some
            // network ones): go on without.
            Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF) => {
                let source = open(&reference)?;
                return Ok(Turn {
                    source,
                    _lock: None,
                });
            }
            result => result.map_err(StoreError::errno(&at, "lock"))?,
        }
        // Whoever had the turn at an archive has put another in its place.
        if is_at(&file, &at) {
            let source = open(&reference)?;
            return Ok(Turn {
                source,
                _lock: Some(file),
            });
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let here = file.metadata().map(identity);
    let there = path.metadata().map(identity);
    matches!((here, there), (Ok(here), Ok(there)) if here == there)
}
