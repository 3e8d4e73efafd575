//! Temporary directories that are gone also after Ctrl-C.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::store::interrupt;

/// Removed when it is dropped, or when a signal ends the program.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// One where temporary files go; its name begins with `prefix`.
    pub(crate) fn new(prefix: &str) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(prefix).tempdir()?;
        interrupt::register(directory.path());
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        interrupt::remove(self.0.path());
        interrupt::unregister(self.0.path());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_temporary_directory_goes_with_what_is_in_it() {
        let scratch = Scratch::new("distrobuild-").unwrap();
        let path = scratch.path().to_path_buf();
        std::fs::write(path.join("image.tar"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
