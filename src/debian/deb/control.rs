//! The control archive of a package.

use super::DebFault;
use super::tar::{HeaderKind, Tar};
use crate::ImagePath;

/// Bytes that the stanza may have.
const MAX_STANZA: u64 = 1 << 20;
/// Bytes that a list of files may have.
const MAX_LIST: u64 = 32 << 20;
/// Members that the archive may have: scripts, lists and translated templates.
const MAX_MEMBERS: usize = 1000;

/// What is of use to us; the scripts are not.
pub(super) struct Control {
    pub(super) stanza: String,
    /// `None` when there is no such file, or it is no UTF-8.
    pub(super) md5sums: Option<String>,
    pub(super) conffiles: Vec<ImagePath>,
}

pub(super) fn read(tar: &mut Tar<'_>) -> Result<Control, DebFault> {
    let (mut stanza, mut md5sums, mut conffiles) = (None, None, None);
    let mut count = 0;
    while let Some(header) = tar.next_header()? {
        count += 1;
        if count > MAX_MEMBERS {
            let reason = format!("it is one of more than {MAX_MEMBERS} control files");
            return Err(DebFault::member(&header.name, reason));
        }
        let name = header.name.strip_prefix(b"./").unwrap_or(&header.name);
        let (slot, file, limit) = match name {
            b"control" => (&mut stanza, "control", MAX_STANZA),
            b"md5sums" => (&mut md5sums, "md5sums", MAX_LIST),
            b"conffiles" => (&mut conffiles, "conffiles", MAX_LIST),
            _ => {
                tar.content(header.size, |_| Ok(()))?;
                continue;
            }
        };
        if header.kind != HeaderKind::File {
            return Err(invalid(file, "is no regular file"));
        }
        let bytes = tar
            .content_within(header.size, limit)?
            .ok_or_else(|| invalid(file, format!("has more than {limit} bytes")))?;
        if slot.replace(bytes).is_some() {
            return Err(invalid(file, "is there twice"));
        }
    }
    let stanza = stanza.ok_or(DebFault::Missing("file `control`"))?;
    let stanza =
        String::from_utf8(stanza).map_err(|_| invalid("control", "is no UTF-8 (Policy, 5.1)"))?;
    Ok(Control {
        stanza,
        md5sums: md5sums.and_then(|bytes| String::from_utf8(bytes).ok()),
        conffiles: parse_conffiles(&conffiles.unwrap_or_default())?,
    })
}

/// A path a line; `remove-on-upgrade PATH` is a path that is no longer in the package.
fn parse_conffiles(text: &[u8]) -> Result<Vec<ImagePath>, DebFault> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut paths = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"remove-on-upgrade") {
            continue;
        }
        let path = ImagePath::new(OsStr::from_bytes(line))
            .map_err(|error| invalid("conffiles", format!("names a bad path: {error}")))?;
        paths.push(path);
    }
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

fn invalid(file: &'static str, what: impl Into<String>) -> DebFault {
    DebFault::Control {
        file,
        what: what.into(),
    }
}
