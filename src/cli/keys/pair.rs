//! The two files of a key pair, which are never overwritten.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::Usage;
use crate::cli::terminal::{Terminal, harmless};
use crate::sign::key::PrivateKey;

/// Where a key pair is to be.
#[derive(Debug)]
pub(super) struct Pair {
    private: PathBuf,
    public: PathBuf,
}

impl Pair {
    /// The two files that begin with `prefix`, when neither is there.
    pub(super) fn free(prefix: &Path) -> anyhow::Result<Self> {
        let is_directory = prefix.as_os_str().as_encoded_bytes().ends_with(b"/");
        if is_directory || prefix.file_name().is_none() {
            return Err(Usage(format!(
                "--output-key-prefix {:?} is no beginning of a file's name: {:?} would make cosign.key and cosign.pub there",
                prefix,
                prefix.join("cosign")
            ))
            .into());
        }
        let pair = Self {
            private: with(prefix, ".key"),
            public: with(prefix, ".pub"),
        };
        for path in [&pair.private, &pair.public] {
            match path.symlink_metadata() {
                Ok(_) => return Err(taken(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error).with_context(|| cannot(path));
                }
            }
        }
        Ok(pair)
    }

    /// What messages call the private one.
    pub(super) fn private_name(&self) -> String {
        self.private.display().to_string()
    }

    /// Writes both, or neither.
    pub(super) fn write(&self, private: &str, public: &str) -> anyhow::Result<()> {
        let private = Written::new(&self.private, 0o600, private)?;
        let public = Written::new(&self.public, 0o644, public)?;
        private.keep();
        public.keep();
        Ok(())
    }

    /// Says where they are; the public one's place is the result.
    pub(super) fn tell(&self, key: &PrivateKey, terminal: &Terminal) -> anyhow::Result<()> {
        terminal.fact(
            "private",
            &format!("{}, {}, encrypted", self.private.display(), key.algorithm()),
        );
        terminal.fact("public", &format!("key id {}", key.public().hint()));
        terminal.result(&format!(
            "{}\n",
            harmless(&self.public.display().to_string())
        ))
    }
}

/// A file that is removed again unless it is kept.
struct Written<'a>(Option<&'a Path>);

impl<'a> Written<'a> {
    fn new(path: &'a Path, mode: u32, text: &str) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        // Private from its first byte, and never through a link that someone left there.
        let opened = options.write(true).create_new(true).mode(mode).open(path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(taken(path)),
            opened => opened.with_context(|| cannot(path))?,
        };
        let written = Self(Some(path));
        write(&mut file, text).with_context(|| cannot(path))?;
        Ok(written)
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // The reason why it is not kept is told already.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn write(file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn with(prefix: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(end);
    name.into()
}

fn taken(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} is there already, and a key is never overwritten: move it away, or choose another name with --output-key-prefix",
        path.display()
    )
}

fn cannot(path: &Path) -> String {
    format!("the key cannot be written to {}", path.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_private_half_is_for_its_owner_alone() {
        let room = tempfile::tempdir().unwrap();
        let pair = Pair::free(&room.path().join("a.b")).unwrap();
        pair.write("private", "public").unwrap();
        assert_eq!(mode(&room.path().join("a.b.key")), 0o600);
        assert_eq!(mode(&room.path().join("a.b.pub")) & 0o600, 0o600);
        let read = |name| std::fs::read_to_string(room.path().join(name)).unwrap();
        assert_eq!(read("a.b.key"), "private");
        assert_eq!(read("a.b.pub"), "public");
    }

    #[test]
    fn neither_half_is_overwritten_nor_a_link_followed() {
        let room = tempfile::tempdir().unwrap();
        let prefix = room.path().join("k");
        for name in ["k.key", "k.pub"] {
            let path = room.path().join(name);
            symlink("nowhere", &path).unwrap();
            let error = Pair::free(&prefix).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            assert!(error.contains("never overwritten"), "{error}");
            std::fs::remove_file(path).unwrap();
        }
        assert!(Pair::free(&prefix).is_ok());
    }

    #[test]
    fn a_private_half_without_its_public_one_is_not_left() {
        let room = tempfile::tempdir().unwrap();
        let pair = Pair::free(&room.path().join("k")).unwrap();
        std::fs::write(room.path().join("k.pub"), "another's").unwrap();
        let error = pair.write("private", "public").unwrap_err().to_string();
        assert!(error.contains("k.pub"), "{error}");
        assert!(!room.path().join("k.key").exists());
        let public = std::fs::read_to_string(room.path().join("k.pub")).unwrap();
        assert_eq!(public, "another's");
    }

    #[test]
    fn a_private_half_that_came_in_between_is_another_s() {
        let room = tempfile::tempdir().unwrap();
        let pair = Pair::free(&room.path().join("k")).unwrap();
        std::fs::write(room.path().join("k.key"), "another's").unwrap();
        assert!(pair.write("private", "public").is_err());
        let private = std::fs::read_to_string(room.path().join("k.key")).unwrap();
        assert_eq!(private, "another's");
        assert!(!room.path().join("k.pub").exists());
    }

    #[test]
    fn a_directory_is_no_prefix() {
        for prefix in ["keys/", "/", ".."] {
            let error = Pair::free(Path::new(prefix)).unwrap_err();
            assert!(error.is::<Usage>(), "{prefix}");
        }
    }
}
