//! What the strings in node's binary tell.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::version::Version;
use crate::ImagePath;
use crate::sysroot::OpenFile;

/// Where Debian keeps the JavaScript that its node reads when it starts.
pub(super) const DEBIAN: &str = "/usr/share/nodejs/";
/// What stands in front of the version in every node that can be debugged.
const MARK: &str = "node.js/v";
const CHUNK: usize = 1 << 20;
/// Bytes of a string in the binary that are looked at past its beginning.
const MAX_LITERAL: usize = 512;
/// The largest known node has some 130 MB.
const MAX_SCANNED: u64 = 1 << 30;

/// What the strings of a binary tell.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) version: Option<Version>,
    /// Files below [`DEBIAN`] that it names.
    pub(super) named: BTreeSet<PathBuf>,
}

impl Facts {
    pub(super) fn scan(&mut self, file: &OpenFile) -> std::io::Result<()> {
        let mut buffer = vec![0; CHUNK + MAX_LITERAL];
        let mut at = 0;
        while at < file.size.min(MAX_SCANNED) {
            let read = file.read_at(&mut buffer, at)?;
            if read == 0 {
                break;
            }
            self.look(buffer.get(..read).unwrap_or_default());
            // The pieces overlap, so that a string on the border is seen whole.
            at += CHUNK as u64;
        }
        Ok(())
    }

    fn look(&mut self, piece: &[u8]) {
        if self.version.is_none() {
            self.version = places(piece, MARK.as_bytes()).find_map(|at| {
                let end = piece.len().min(at + MARK.len() + 32);
                let text = piece.get(at + MARK.len()..end)?;
                let end = text.iter().position(|byte| !byte.is_ascii_graphic());
                let text = text.get(..end.unwrap_or(text.len()))?;
                Version::parse(std::str::from_utf8(text).ok()?)
            });
        }
        for at in places(piece, DEBIAN.as_bytes()) {
            let text = piece.get(at..).unwrap_or_default();
            let Some(end) = text.iter().take(MAX_LITERAL).position(|byte| *byte == 0) else {
                continue;
            };
            let text = text.get(..end).unwrap_or_default();
            let path = PathBuf::from(OsStr::from_bytes(text));
            if ImagePath::new(&path).is_ok() {
                self.named.insert(path);
            }
        }
    }
}

/// Where `text` stands in `data` (Horspool's algorithm: most bytes are never looked at).
fn places<'a>(data: &'a [u8], text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let length = text.len();
    let mut shifts = [length; 256];
    for (at, byte) in text.iter().enumerate().take(length.saturating_sub(1)) {
        if let Some(shift) = shifts.get_mut(usize::from(*byte)) {
            *shift = length - 1 - at;
        }
    }
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        loop {
            let window = data.get(at..at.checked_add(length)?)?;
            let here = at;
            let last = usize::from(*window.last()?);
            at += shifts.get(last).copied().unwrap_or(1).max(1);
            if window == text {
                return Some(here);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn strings_of_a_binary_tell_the_version_and_the_files_beside_it() {
        let mut facts = Facts::default();
        facts.look(
            b"\0node.js/vX\0node.js/v20.19.2\0/usr/share/nodejs/undici/undici-fetch.js\0\
              /usr/share/nodejs/../../../etc/x.js\0/usr/share/nodejs/cut",
        );
        assert_eq!(facts.version, Some(Version::new(20, 19, 2)));
        let named: Vec<_> = facts.named.iter().collect();
        assert_eq!(
            named,
            [Path::new("/usr/share/nodejs/undici/undici-fetch.js")]
        );
    }

    #[test]
    fn every_place_of_a_text_is_found() {
        assert_eq!(places(b"abab xab", b"ab").collect::<Vec<_>>(), [0, 2, 6]);
        assert_eq!(places(b"aaaa", b"aa").collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(places(b"a", b"ab").count(), 0);
    }
}
