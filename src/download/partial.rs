//! A file of which a part may be there: it can be resumed, by another process too.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store::absorb;
use super::{DownloadError, Expected};
use crate::layer::{Digest, Hasher};

/// A record of where a part came from is not larger than this in bytes.
const LARGEST_RECORD: u64 = 64 << 10;

/// What came so far, in a file that this build alone writes to.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    /// Where it is recorded what the part came from; not for a file that nobody will resume.
    record: Option<PathBuf>,
    have: u64,
    hasher: Hasher,
    source: Option<Source>,
    /// Whether all of it is of one answer, so that a wrong hash is that server's fault.
    is_of_one_answer: bool,
    /// Whether something was thrown away because it was wrong.
    is_distrustful: bool,
}

/// Where a part came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    /// The URL that was asked.
    pub(super) url: String,
    /// What to say in `If-Range`.
    pub(super) validator: Option<String>,
}

impl Partial {
    /// Takes over what is in `file`, which is locked, and named `path`.
    pub(super) fn resume(
        file: File,
        path: PathBuf,
        expected: &Expected,
        largest: u64,
    ) -> Result<Self, DownloadError> {
        let mut partial = Self::alone(file, path);
        let record = record_of(&partial.path);
        partial.source = read_record(&record);
        partial.record = Some(record);
        partial.is_of_one_answer = false;
        partial.take_over(expected.size.unwrap_or(largest))?;
        Ok(partial)
    }

    /// A new, empty file that nobody else knows of.
    pub(super) fn alone(file: File, path: PathBuf) -> Self {
        Self {
            file,
            path,
            record: None,
            have: 0,
            hasher: Hasher::new(),
            source: None,
            is_of_one_answer: true,
            is_distrustful: false,
        }
    }

    fn take_over(&mut self, most: u64) -> Result<(), DownloadError> {
        let length = self
            .file
            .metadata()
            .map_err(|error| self.refused(error))?
            .len();
        if length == 0 || length > most {
            return self.reset();
        }
        self.have =
            absorb(&mut self.file, &mut self.hasher).map_err(|error| self.refused(error))?;
        Ok(())
    }

    /// The bytes that are there.
    pub(super) fn have(&self) -> u64 {
        self.have
    }

    /// The hash of the bytes that are there.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Whether what is there came in one answer of one server, asked anew.
    pub(super) fn is_of_one_answer(&self) -> bool {
        self.is_of_one_answer
    }

    /// Whether something was thrown away because it was wrong.
    pub(super) fn is_distrustful(&self) -> bool {
        self.is_distrustful
    }

    /// The validator of what is there, if it came from this URL.
    pub(super) fn validator(&self, url: &str) -> Option<&str> {
        let source = self.source.as_ref().filter(|source| source.url == url)?;
        source.validator.as_deref()
    }

    /// Throws away what is there.
    pub(super) fn reset(&mut self) -> Result<(), DownloadError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|error| self.refused(error))?;
        self.have = 0;
        self.hasher = Hasher::new();
        self.source = None;
        self.is_of_one_answer = true;
        Ok(())
    }

    /// Throws away what is there because it is not what was expected.
    pub(super) fn distrust(&mut self) -> Result<(), DownloadError> {
        self.is_distrustful = true;
        self.reset()
    }

    /// Says where the next bytes come from.
    pub(super) fn comes_from(&mut self, source: Source) -> Result<(), DownloadError> {
        self.is_of_one_answer = self.have == 0;
        if self.source.as_ref() == Some(&source) {
            return Ok(());
        }
        if let Some(record) = &self.record {
            // Not aside and renamed: half a record is as good as none, which only costs the
            // condition that the next request would have had.
            serde_json::to_vec(&source)
                .map_err(io::Error::from)
                .and_then(|text| fs::write(record, text))
                .map_err(|source| DownloadError::Cache {
                    path: record.clone(),
                    source,
                })?;
        }
        self.source = Some(source);
        Ok(())
    }

    /// Adds bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        self.file
            .write_all(bytes)
            .map_err(|error| self.refused(error))?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// The file and its path, without the record of where it came from.
    pub(super) fn whole(self) -> (File, PathBuf) {
        self.forget_record();
        (self.file, self.path)
    }

    /// Removes it; for what turned out wrong, or will not be resumed.
    pub(super) fn remove(self) {
        self.forget_record();
        // What stays is looked at again, or pruned.
        let _ = fs::remove_file(&self.path);
    }

    /// Whether somebody will find it and go on.
    pub(super) fn can_be_resumed(&self) -> bool {
        self.record.is_some() && self.have > 0
    }

    fn forget_record(&self) {
        if let Some(record) = &self.record {
            let _ = fs::remove_file(record);
        }
    }

    fn refused(&self, source: io::Error) -> DownloadError {
        DownloadError::Cache {
            path: self.path.clone(),
            source,
        }
    }
}

/// The name of the record of where a part came from.
pub(super) fn record_of(path: &Path) -> PathBuf {
    path.with_extension("from")
}

fn read_record(path: &Path) -> Option<Source> {
    let is_small = fs::metadata(path).is_ok_and(|facts| facts.len() <= LARGEST_RECORD);
    is_small
        .then(|| fs::read(path).ok())
        .flatten()
        .and_then(|text| serde_json::from_slice(&text).ok())
}
