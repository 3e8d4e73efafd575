//! Search paths: their syntax, the tokens in them, and what a search found.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::Rule;
use super::files::FileId;

/// What a search found.
#[derive(Debug)]
pub(super) enum Found {
    /// This file.
    File {
        file: FileId,
        /// The string under which the loader opens it.
        path: PathBuf,
        rule: Rule,
    },
    /// A file at which the loader gives up.
    Refused { path: PathBuf, reason: String },
    /// Nothing.
    Nothing,
}

/// The places of a search that found nothing, for people.
#[derive(Debug, Default)]
pub(super) struct Trail {
    pub(super) searched: Vec<String>,
    pub(super) unsuitable: Vec<(PathBuf, String)>,
}

impl Trail {
    pub(super) fn pass(&mut self, place: impl Into<String>) {
        let place = place.into();
        if !self.searched.contains(&place) {
            self.searched.push(place);
        }
    }

    pub(super) fn unsuitable(&mut self, path: &Path, reason: impl Into<String>) {
        if !self.unsuitable.iter().any(|(known, _)| known == path) {
            self.unsuitable.push((path.to_path_buf(), reason.into()));
        }
    }
}

/// One element of a search path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// As it is written in the object.
    pub(super) written: OsString,
    /// The directory, ending in a slash; relative when it depends on the working directory.
    pub(super) directory: Vec<u8>,
}

/// What the tokens of glibc stand for in one object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub(super) origin: &'a [u8],
    pub(super) lib: &'a [u8],
    /// `AT_PLATFORM`; `None` where the kernel gives none.
    pub(super) platform: Option<&'a [u8]>,
}

/// Replaces the tokens in `text` (glibc's `_dl_dst_substitute`). `None` when one has no value:
/// the loader then drops the whole text.
pub(super) fn expand(text: &[u8], tokens: Tokens<'_>) -> Option<Vec<u8>> {
    let mut expanded = Vec::with_capacity(text.len() + tokens.origin.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        let (before, after) = rest.split_at(at);
        expanded.extend_from_slice(before);
        let after = after.get(1..).unwrap_or_default();
        let token = [
            (&b"ORIGIN"[..], Some(tokens.origin)),
            (b"PLATFORM", tokens.platform),
            (b"LIB", Some(tokens.lib)),
        ]
        .into_iter()
        .find_map(|(name, value)| Some((token_length(after, name)?, value)));
        match token {
            Some((length, value)) => {
                expanded.extend_from_slice(value?);
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                expanded.push(b'$');
                rest = after;
            }
        }
    }
    expanded.extend_from_slice(rest);
    Some(expanded)
}

/// The length of the token `name` at the start of `text` (after the `$`), with its braces.
fn token_length(text: &[u8], name: &[u8]) -> Option<usize> {
    if let Some(braced) = text.strip_prefix(b"{") {
        return braced
            .strip_prefix(name)?
            .starts_with(b"}")
            .then_some(name.len() + 2);
    }
    match text.strip_prefix(name)?.first() {
        Some(next) if next.is_ascii_alphanumeric() || *next == b'_' => None,
        _ => Some(name.len()),
    }
}

/// The elements of a `DT_RPATH` or `DT_RUNPATH`, expanded (glibc's `fillin_rpath`).
/// Repeated directories are left out, as are elements of which a token has no value.
pub(super) fn glibc_elements(text: &OsStr, tokens: Tokens<'_>) -> Vec<Element> {
    let text = text.as_bytes();
    let mut elements: Vec<Element> = Vec::new();
    if text.is_empty() {
        return elements;
    }
    for written in text.split(|byte| *byte == b':') {
        let Some(mut directory) = expand(written, tokens) else {
            continue;
        };
        if directory.is_empty() && !written.is_empty() {
            continue;
        }
        while directory.len() > 1 && directory.ends_with(b"/") {
            directory.pop();
        }
        if !directory.is_empty() && !directory.ends_with(b"/") {
            directory.push(b'/');
        }
        if !elements.iter().any(|known| known.directory == directory) {
            elements.push(Element {
                written: OsStr::from_bytes(written).to_os_string(),
                directory,
            });
        }
    }
    elements
}

/// The elements of a search path of musl: separated by `:` and newline, empty ones left out.
pub(super) fn musl_elements(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b':' | b'\n'))
        .filter(|element| !element.is_empty())
}

/// The elements of an object's path for musl, expanded (its `fixup_rpath`): `$ORIGIN` alone is
/// known, and any other `$` makes the loader ignore the whole path.
pub(super) fn musl_path(text: &OsStr, origin: &[u8]) -> Vec<Element> {
    let whole = text.as_bytes();
    let known = |rest: &[u8]| {
        [&b"$ORIGIN"[..], b"${ORIGIN}"]
            .into_iter()
            .find(|token| rest.starts_with(token))
            .map(<[u8]>::len)
    };
    let unknown = (0..whole.len())
        .filter(|at| whole.get(*at) == Some(&b'$'))
        .any(|at| known(&whole[at..]).is_none());
    if unknown {
        return Vec::new();
    }
    musl_elements(whole)
        .map(|written| {
            let mut directory = Vec::with_capacity(written.len() + origin.len());
            let mut rest = written;
            while let Some((first, after)) = rest.split_first() {
                if let Some(length) = known(rest) {
                    directory.extend_from_slice(origin);
                    rest = rest.get(length..).unwrap_or_default();
                } else {
                    directory.push(*first);
                    rest = after;
                }
            }
            directory.push(b'/');
            Element {
                written: OsStr::from_bytes(written).to_os_string(),
                directory,
            }
        })
        .collect()
}

/// `directory` (ending in a slash) and `name` as one path, spelled as the loader spells it.
pub(super) fn join(directory: &[u8], name: &[u8]) -> PathBuf {
    let mut joined = Vec::with_capacity(directory.len() + name.len());
    joined.extend_from_slice(directory);
    joined.extend_from_slice(name);
    PathBuf::from(OsString::from_vec(joined))
}

/// `bytes` as a path, without the trailing slash that directories carry here.
pub(super) fn shown_directory(bytes: &[u8]) -> PathBuf {
    let bytes = match bytes.strip_suffix(b"/") {
        Some(b"") | None => bytes,
        Some(short) => short,
    };
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The part before the last slash: `$ORIGIN` of a file opened as `path`. No clean-up of `..`.
pub(super) fn directory_of(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/",
        Some(at) => bytes.get(..at).unwrap_or_default(),
        None => b".",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Tokens<'_> = Tokens {
        origin: b"/opt/x",
        lib: b"lib64",
        platform: Some(b"x86_64"),
    };

    fn expanded(text: &str) -> Option<String> {
        expand(text.as_bytes(), TOKENS).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn tokens_are_replaced_with_and_without_braces() {
        for (text, wanted) in [
            ("$ORIGIN/../lib", "/opt/x/../lib"),
            ("${ORIGIN}lib", "/opt/xlib"),
            ("/usr/$LIB/p", "/usr/lib64/p"),
            ("/usr/${PLATFORM}", "/usr/x86_64"),
            ("$ORIGINAL", "$ORIGINAL"),
            ("$ORIGIN_", "$ORIGIN_"),
            ("${ORIGIN", "${ORIGIN"),
            ("$", "$"),
            ("$$LIB", "$lib64"),
            ("$OTHER/$LIB", "$OTHER/lib64"),
        ] {
            assert_eq!(expanded(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn an_element_is_dropped_when_a_token_has_no_value() {
        let tokens = Tokens {
            platform: None,
            ..TOKENS
        };
        assert_eq!(expand(b"/a/$PLATFORM", tokens), None);
        let elements = glibc_elements(OsStr::new("/a/$PLATFORM:/b"), tokens);
        assert_eq!(elements.len(), 1);
        assert_eq!(elements[0].directory, b"/b/");
    }

    #[test]
    fn trailing_slashes_and_repeats_are_folded_and_an_empty_element_is_the_current_directory() {
        let elements = glibc_elements(OsStr::new("/a//:/a:/b/c::/"), TOKENS);
        let directories: Vec<&[u8]> = elements.iter().map(|e| &e.directory[..]).collect();
        assert_eq!(directories, [&b"/a/"[..], b"/b/c/", b"", b"/"]);
        assert!(glibc_elements(OsStr::new(""), TOKENS).is_empty());
    }

    #[test]
    fn musl_knows_origin_alone_and_ignores_a_path_with_any_other_dollar() {
        let elements = musl_path(OsStr::new("$ORIGIN/a:${ORIGIN}/b\n$ORIGINAL"), b"/o");
        let directories: Vec<&[u8]> = elements.iter().map(|e| &e.directory[..]).collect();
        assert_eq!(directories, [&b"/o/a/"[..], b"/o/b/", b"/oAL/"]);
        assert!(musl_path(OsStr::new("/x:/usr/$LIB"), b"/o").is_empty());
    }

    #[test]
    fn the_origin_of_a_library_keeps_dots_and_links() {
        assert_eq!(
            directory_of(Path::new("/a/link/../x/lib.so")),
            b"/a/link/../x"
        );
        assert_eq!(directory_of(Path::new("/lib.so")), b"/");
    }
}
