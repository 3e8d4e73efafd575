//! The temporary directory of an archive, gone also after Ctrl-C.

use std::path::Path;

use tempfile::TempDir;

use super::LoadError;
use crate::store::interrupt;

/// Removed when it is dropped, or when a signal ends the program.
#[derive(Debug)]
pub(super) struct Scratch(TempDir);

impl Scratch {
    pub(super) fn new() -> Result<Self, LoadError> {
        let made = tempfile::Builder::new()
            .prefix("distrobuild-load-")
            .tempdir();
        let directory = made.map_err(|source| LoadError::Temporary {
            directory: std::env::temp_dir(),
            source,
        })?;
        interrupt::register(directory.path());
        Ok(Self(directory))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        interrupt::remove(self.0.path());
        interrupt::unregister(self.0.path());
    }
}
