//! Directories whose content is believed because nobody else may have written it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Sees that a directory is this user's, and that nobody else may write to it: the checksums of
/// what is kept there tell of accidents, not of intent. One that is missing may be made.
///
/// # Errors
/// With the reason, for people.
pub(crate) fn check(directory: &Path) -> Result<(), String> {
    match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(found) if !found.is_dir() => Err("it is no directory".to_owned()),
        Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => {
            Err("it belongs to another user".to_owned())
        }
        Ok(found) if found.mode() & 0o022 != 0 => {
            Err("other users may write to it (chmod 700 would mend that)".to_owned())
        }
        Ok(_) => Ok(()),
    }
}
