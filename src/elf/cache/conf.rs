//! `/etc/ld.so.conf` as `ldconfig(8)` reads it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::sysroot::Sysroot;

/// A conf file is a handful of lines.
const MAX_FILE: u64 = 1024 * 1024;
/// Conf files read in all, included ones too; `ldconfig` itself runs on until it has no files left.
const MAX_FILES: usize = 1024;
/// Paths that one pattern may stand for.
const MAX_MATCHES: usize = 4096;

/// The directories that `ldconfig` would scan, in order, from the conf file at `path`, with what
/// it includes. Those built into `ldconfig` come after them and are not in the list.
///
/// A file that is missing or cannot be read stands for no directory, as in `ldconfig`. Each file
/// is read once, so files that include each other do no harm.
pub fn conf_directories(sysroot: &dyn Sysroot, path: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let mut listed = BTreeSet::new();
    let mut read = BTreeSet::new();
    // What is still to be done, the next at the end: an include stands for the lines of its files.
    let mut todo = vec![Step::File(path.to_path_buf())];
    while let Some(step) = todo.pop() {
        match step {
            Step::File(path) => {
                if read.len() < MAX_FILES && read.insert(path.clone()) {
                    todo.extend(lines(sysroot, &path).into_iter().rev());
                }
            }
            Step::Include(pattern) => {
                let files = expand(sysroot, &pattern);
                todo.extend(files.into_iter().rev().map(Step::File));
            }
            Step::Directory(directory) => {
                if listed.insert(directory.clone()) {
                    directories.push(directory);
                }
            }
        }
    }
    directories
}

enum Step {
    File(PathBuf),
    Include(PathBuf),
    Directory(PathBuf),
}

fn lines(sysroot: &dyn Sysroot, path: &Path) -> Vec<Step> {
    let Ok(text) = sysroot.read(path, MAX_FILE) else {
        return Vec::new();
    };
    let beside = path.parent().unwrap_or(Path::new("/"));
    text.split(|byte| *byte == b'\n')
        .flat_map(|line| parse_line(line, beside))
        .collect()
}

fn parse_line(line: &[u8], beside: &Path) -> Vec<Step> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let line = line.trim_ascii();
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    match words.next() {
        None | Some(b"hwcap") => Vec::new(),
        Some(b"include") => words
            // `join` leaves an absolute pattern as it is.
            .map(|pattern| Step::Include(beside.join(OsStr::from_bytes(pattern))))
            .collect(),
        Some(_) => directory(line).map(Step::Directory).into_iter().collect(),
    }
}

/// A directory; without the type behind `=` that libc 5 had, and without slashes at its end.
fn directory(line: &[u8]) -> Option<PathBuf> {
    let path = line.split(|byte| *byte == b'=').next()?.trim_ascii_end();
    let end = path.iter().rposition(|byte| *byte != b'/');
    let path = end.map_or(&b"/"[..], |end| path.get(..=end).unwrap_or(path));
    // ldconfig ignores what is not absolute.
    path.starts_with(b"/")
        .then(|| PathBuf::from(OsStr::from_bytes(path)))
}

/// The paths that `pattern` stands for, sorted, as `glob(3)` gives them.
fn expand(sysroot: &dyn Sysroot, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for component in pattern.components().skip(1) {
        let component = component.as_os_str();
        let mut next = Vec::new();
        for base in found {
            if is_pattern(component.as_bytes()) {
                let names = sysroot.read_dir(&base).unwrap_or_default();
                let names = names.iter().filter(|name| hits(component, name));
                next.extend(names.map(|name| base.join(name)));
            } else {
                next.push(base.join(unescaped(component)));
            }
            next.truncate(MAX_MATCHES);
        }
        found = next;
    }
    found.sort();
    found
}

fn is_pattern(component: &[u8]) -> bool {
    component.iter().any(|byte| b"*?[".contains(byte))
}

fn unescaped(component: &OsStr) -> OsString {
    let mut bytes = Vec::new();
    let mut rest = component.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => *rest.next().unwrap_or(byte),
            byte => *byte,
        });
    }
    OsString::from_vec(bytes)
}

/// Whether the wildcards take `name`; a leading dot has to be spelled out.
fn hits(pattern: &OsStr, name: &OsStr) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    matches(pattern, name)
}

/// `fnmatch(3)` for one component. On a mismatch only the last `*` can take more, so the work is
/// bounded by the product of the lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some(rest) = pattern.strip_prefix(b"*") {
            retry = Some((rest, name));
            pattern = rest;
            continue;
        }
        match (name.split_first(), one(pattern, name.first())) {
            (Some((_, rest)), Some(left)) => (pattern, name) = (left, rest),
            (None, _) if pattern.is_empty() => return true,
            _ => match retry {
                Some((after, [_, rest @ ..])) => {
                    retry = Some((after, rest));
                    (pattern, name) = (after, rest);
                }
                _ => return false,
            },
        }
    }
}

/// What is left of `pattern` after its first element, if that takes `byte`.
fn one<'a>(pattern: &'a [u8], byte: Option<&u8>) -> Option<&'a [u8]> {
    let byte = byte?;
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => match set(rest, *byte) {
            Some((true, rest)) => Some(rest),
            Some((false, _)) => None,
            // Not closed: an ordinary character.
            None => (*byte == b'[').then_some(rest),
        },
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (literal == byte).then_some(rest),
        [] => None,
    }
}

/// Whether the bracket expression that starts here (behind the `[`) holds `byte`, and what
/// follows it; `None` when it is not closed.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut held = false;
    let mut first = true;
    loop {
        match rest {
            [b']', after @ ..] if !first => return Some((held != negated, after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                held |= (*low..=*high).contains(&byte);
                rest = after;
            }
            [member, after @ ..] => {
                held |= *member == byte;
                rest = after;
            }
            [] => return None,
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::sysroot::Directory;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn directories(files: &[(&str, &str)]) -> Vec<String> {
        let root = system(files);
        let sysroot = Directory::new(root.path()).unwrap();
        conf_directories(&sysroot, Path::new("/etc/ld.so.conf"))
            .iter()
            .map(|path| path.to_str().unwrap().to_string())
            .collect()
    }

    #[test]
    fn lines_are_directories_without_comments_blanks_and_slashes_at_the_end() {
        let text =
            "# all\n  /opt/a// # why\n/opt/b=libc5\n\nhwcap 1 nosegneg\nrelative\n/opt/a\n/\n";
        let found = directories(&[("etc/ld.so.conf", text)]);
        assert_eq!(found, ["/opt/a", "/opt/b", "/"]);
    }

    #[test]
    fn an_include_stands_for_its_files_in_sorted_order_at_its_place() {
        let found = directories(&[
            (
                "etc/ld.so.conf",
                "/first\ninclude ld.so.conf.d/*.conf /more/x.conf\n/last\n",
            ),
            ("etc/ld.so.conf.d/b.conf", "/b\n"),
            ("etc/ld.so.conf.d/a.conf", "/a\n"),
            ("etc/ld.so.conf.d/.hidden.conf", "/hidden\n"),
            ("etc/ld.so.conf.d/c.txt", "/c\n"),
            ("more/x.conf", "/x\n"),
        ]);
        assert_eq!(found, ["/first", "/a", "/b", "/x", "/last"]);
    }

    #[test]
    fn files_that_include_each_other_end() {
        let found = directories(&[
            ("etc/ld.so.conf", "include ld.so.conf a.conf\n/one\n"),
            ("etc/a.conf", "/two\ninclude *.conf\n"),
        ]);
        assert_eq!(found, ["/two", "/one"]);
    }

    #[test]
    fn a_missing_file_stands_for_nothing() {
        assert_eq!(directories(&[("etc/other", "")]), [""; 0]);
    }

    #[test]
    fn wildcards_follow_fnmatch() {
        let yes = [
            ("*.conf", "a.conf"),
            ("a?c", "abc"),
            ("[a-c]x[!0-9]", "bxy"),
            ("*a*b", "xaayb"),
            ("[]]", "]"),
            ("\\*", "*"),
            ("[x", "[x"),
        ];
        let no = [
            ("*.conf", "a.conf~"),
            ("a?c", "ac"),
            ("[!a]", "a"),
            ("\\*", "a"),
        ];
        for (pattern, name) in yes {
            assert!(
                matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
        for (pattern, name) in no {
            assert!(
                !matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
    }
}
