//! Strings in the read-only data of an object.

use std::io;

use super::segments::Segments;
use crate::sysroot::OpenFile;

/// How much of one object is searched: enough for any program but those that carry their data.
const MAX_SCANNED: u64 = 32 << 20;
const CHUNK: usize = 256 << 10;
/// Longest string that is looked at (`PATH_MAX` would be 4096; names of libraries are short).
const MAX_LITERAL: usize = 255;
/// How many different names are kept.
const MAX_NAMES: usize = 256;

/// Calls `each` for the read-only segments of `file` in pieces of bounded size that overlap
/// by `overlap` bytes. Segments with code are passed only if there is none without.
fn scan(file: &OpenFile, overlap: usize, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let segments = Segments::read(file)?;
    let read_only: Vec<_> = segments
        .loads()
        .iter()
        .filter(|segment| segment.is_read_only())
        .collect();
    let data_apart = read_only.iter().any(|segment| !segment.is_executable());
    let mut left = MAX_SCANNED;
    for segment in read_only {
        if data_apart && segment.is_executable() {
            continue;
        }
        let size = segment.size.min(left);
        left -= size;
        let mut buffer = vec![0; CHUNK + overlap];
        let mut kept = 0;
        let mut at = 0;
        while at < size {
            let want = CHUNK.min(usize::try_from(size - at).unwrap_or(CHUNK));
            let Some(room) = buffer.get_mut(kept..kept + want) else {
                break;
            };
            let read = file.read_at(room, segment.offset.saturating_add(at))?;
            if read == 0 {
                break;
            }
            at += read as u64;
            let filled = kept + read;
            each(&buffer[..filled]);
            let keep = overlap.min(filled);
            buffer.copy_within(filled - keep..filled, 0);
            kept = keep;
        }
    }
    Ok(())
}

/// All read-only data of a small object such as a loader.
pub(super) fn read_only_data(file: &OpenFile) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    scan(file, 0, |piece| all.extend_from_slice(piece))?;
    Ok(all)
}

/// Whether `text` stands in the read-only data.
pub(super) fn contains(file: &OpenFile, text: &[u8]) -> io::Result<bool> {
    let mut found = false;
    scan(file, text.len().saturating_sub(1), |piece| {
        found = found || find(piece, text).is_some();
    })?;
    Ok(found)
}

/// Where `text` first stands in `data` (Horspool's algorithm: most bytes are never looked at).
pub(super) fn find(data: &[u8], text: &[u8]) -> Option<usize> {
    let (last, front) = text.split_last()?;
    let mut shifts = [text.len(); 256];
    for (at, byte) in front.iter().enumerate() {
        shifts[usize::from(*byte)] = front.len() - at;
    }
    let mut end = front.len();
    while let Some(byte) = data.get(end) {
        if byte == last && data[..=end].ends_with(text) {
            return Some(end - front.len());
        }
        end += shifts[usize::from(*byte)];
    }
    None
}

/// The strings that are names of shared libraries as a program hands them to `dlopen`:
/// `libfoo.so`, `libfoo.so.2`, or an absolute path of such. Sorted, each once.
pub(super) fn library_names(file: &OpenFile) -> io::Result<Vec<Vec<u8>>> {
    let mut names = std::collections::BTreeSet::new();
    scan(file, 2 * MAX_LITERAL, |piece| {
        for at in suffixes(piece) {
            if names.len() == MAX_NAMES {
                return;
            }
            if let Some(name) = name_around(piece, at) {
                names.insert(name.to_vec());
            }
        }
    })?;
    Ok(names.into_iter().collect())
}

/// Where `.so` stands in `bytes`. Whole blocks are compared at once, without a branch for each
/// byte, so that the compiler uses vector instructions: programs carry tens of megabytes.
fn suffixes(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    const BLOCK: usize = 64;
    let block = |at: usize| bytes.get(at..)?.first_chunk::<BLOCK>();
    (0..bytes.len())
        .step_by(BLOCK)
        .filter(move |at| {
            let (Some(first), Some(second), Some(third)) =
                (block(*at), block(at + 1), block(at + 2))
            else {
                return true;
            };
            let mut hit = 0;
            for ((first, second), third) in first.iter().zip(second).zip(third) {
                hit |=
                    u8::from(*first == b'.') & u8::from(*second == b's') & u8::from(*third == b'o');
            }
            hit != 0
        })
        .flat_map(move |at| at..bytes.len().min(at + BLOCK))
        .filter(|at| bytes[*at..].starts_with(b".so"))
}

/// The NUL-terminated string around the `.so` at `at`, if it names a library.
fn name_around(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let start = bytes[..at]
        .iter()
        .rev()
        .take(MAX_LITERAL)
        .position(|byte| *byte == 0)
        .map(|back| at - back)
        .or((at < MAX_LITERAL).then_some(0))?;
    let end = at
        + bytes[at..]
            .iter()
            .take(MAX_LITERAL)
            .position(|byte| *byte == 0)?;
    let name = &bytes[start..end];
    let versions = &bytes[at + 3..end];
    let base = match name.iter().rposition(|byte| *byte == b'/') {
        Some(slash) if name.first() == Some(&b'/') => &name[slash + 1..],
        Some(_) => return None,
        None if name.starts_with(b"lib") => name,
        None => return None,
    };
    let printable = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-@".contains(byte);
    (base.len() > 3
        && name.iter().all(printable)
        && (versions.is_empty() || versions.starts_with(b"."))
        && versions
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.'))
    .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix_is_found_wherever_it_stands() {
        for shift in 0..200 {
            let mut text = vec![b's'; shift];
            text.extend_from_slice(b"\0liba.so\0..so\0o.so");
            let expected: Vec<usize> = (0..text.len())
                .filter(|at| text[*at..].starts_with(b".so"))
                .collect();
            assert_eq!(suffixes(&text).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_text_is_found_where_it_first_stands() {
        assert_eq!(find(b"xxabcabc", b"abc"), Some(2));
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"abca", b"abd"), None);
        assert_eq!(find(b"", b"a"), None);
    }

    #[test]
    fn a_name_ends_in_so_or_a_version_and_holds_no_format() {
        let name = |text: &str| {
            let bytes = format!("x\0{text}\0y").into_bytes();
            suffixes(&bytes)
                .find_map(|at| name_around(&bytes, at).map(<[u8]>::to_vec))
                .map(|name| String::from_utf8_lossy(&name).into_owned())
        };
        assert_eq!(name("libz.so.1").as_deref(), Some("libz.so.1"));
        assert_eq!(
            name("/opt/p/plugin.so").as_deref(),
            Some("/opt/p/plugin.so")
        );
        for text in [
            "lib%s.so",
            "libz.source",
            "use libz.so.1 here",
            "dir/libz.so",
            "plugin.so",
            "libz.so.1x",
        ] {
            assert_eq!(name(text), None, "{text}");
        }
    }
}
