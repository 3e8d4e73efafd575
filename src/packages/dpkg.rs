//! dpkg's database: dpkg(1) "FILES", deb-control(5), dpkg-divert(1).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::apk::Paragraphs;
use super::needles::Claims;
use super::{Found, Manager, Needles, Owner, Package, Unread, is_absent, read, text};
use crate::ImagePath;
use crate::sysroot::Sysroot;

const INFO: &str = "/var/lib/dpkg/info";
const STATUS: &str = "/var/lib/dpkg/status";
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
/// One status file a package, and its md5sums: so in Google's distroless images.
pub(super) const STATUS_DIRECTORY: &str = "/var/lib/dpkg/status.d";

/// The largest list of files of one package; texlive's have some 10 MB.
pub(super) const LIST_LIMIT: u64 = 64 << 20;

/// The largest number of diversions that is minded. A system has some ten.
const DIVERSIONS_LIMIT: usize = 10_000;

pub(super) fn is_database(path: &Path) -> bool {
    let parent = path.parent().unwrap_or(Path::new(""));
    path == Path::new(STATUS)
        || path == Path::new(DIVERSIONS)
        || parent == Path::new(STATUS_DIRECTORY)
        || (parent == Path::new(INFO) && path.extension() == Some(OsStr::new("list")))
}

/// Who owns `paths` by `info/*.list`, with the versions of `status`.
pub(super) fn owners(
    sysroot: &dyn Sysroot,
    paths: &[ImagePath],
    merged: &[&str],
) -> Result<Option<Found>, Unread> {
    let names = match sysroot.read_dir(Path::new(INFO)) {
        Ok(names) => names,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unread(INFO, error.to_string())),
    };
    let lists: Vec<&[u8]> = names
        .iter()
        .filter_map(|name| name.as_bytes().strip_suffix(b".list"))
        .collect();
    if lists.is_empty() {
        return Ok(None);
    }
    let mut needles = Needles::new(paths, merged);
    if let Some(diversions) = diversions(sysroot)? {
        divert(&mut needles, &diversions);
    }
    let claims = search(sysroot, &lists, &needles)?;
    let owned = claims.by_package(&needles);
    if owned.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let status = read(sysroot, Manager::Dpkg, STATUS)?.unwrap_or_default();
    Ok(Some(with_versions(owned, &status)))
}

/// The file in which dpkg-divert(1) keeps what was diverted.
pub(super) fn diversions(sysroot: &dyn Sysroot) -> Result<Option<Vec<u8>>, Unread> {
    read(sysroot, Manager::Dpkg, DIVERSIONS)
}

/// The lines of `diversions` come in threes: the path, where it went, and for which package.
pub(super) fn divert(needles: &mut Needles<'_>, diversions: &[u8]) {
    let mut lines = diversions
        .split(|byte| *byte == b'\n')
        .take(3 * DIVERSIONS_LIMIT);
    while let (Some(original), Some(elsewhere), Some(package)) =
        (lines.next(), lines.next(), lines.next())
    {
        needles.divert(original, elsewhere, package);
    }
}

/// Searches all lists, on two threads: half of the time is the kernel opening files.
fn search<'l>(
    sysroot: &dyn Sysroot,
    lists: &[&'l [u8]],
    needles: &Needles<'_>,
) -> Result<Claims<&'l [u8]>, Unread> {
    const AT_ONCE: usize = 16;
    let next = AtomicUsize::new(0);
    let merged = Mutex::new(Ok(Claims::new(needles)));
    let work = || {
        let mut claims = Claims::new(needles);
        let mut buffer = Vec::new();
        let mut failure = None;
        loop {
            let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
            let Some(mine) = lists.get(from..) else { break };
            if mine.is_empty() {
                break;
            }
            for list in mine.iter().take(AT_ONCE) {
                match search_list(sysroot, list, needles, &mut buffer, &mut claims) {
                    Ok(()) => {}
                    Err(unread) => failure = Some(unread),
                }
            }
        }
        // A poisoned lock would mean that the other thread panicked, which the scope passes on.
        let mut all = merged.lock().unwrap_or_else(|e| e.into_inner());
        match (&mut *all, failure) {
            (Ok(all), None) => all.merge(claims),
            (Err(known), Some(failure)) if failure >= *known => {}
            (all, Some(failure)) => *all = Err(failure),
            (Err(_), None) => {}
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    merged.into_inner().unwrap_or_else(|e| e.into_inner())
}

fn search_list<'l>(
    sysroot: &dyn Sysroot,
    list: &'l [u8],
    needles: &Needles<'_>,
    buffer: &mut Vec<u8>,
    claims: &mut Claims<&'l [u8]>,
) -> Result<(), Unread> {
    let file = [INFO.as_bytes(), b"/", list, b".list"].concat();
    let failed = |why: String| unread(&String::from_utf8_lossy(&file), why);
    let opened = match sysroot.open(Path::new(OsStr::from_bytes(&file))) {
        Ok(opened) => opened,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(failed(error.to_string())),
    };
    if opened.size > LIST_LIMIT {
        return Err(failed(format!("it has {} bytes", opened.size)));
    }
    let size = usize::try_from(opened.size).unwrap_or(usize::MAX);
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    let buffer = buffer.get_mut(..size).unwrap_or_default();
    let read = opened
        .read_at(buffer, 0)
        .map_err(|error| failed(error.to_string()))?;
    let package = name_of(list);
    for_each_line(buffer.get(..read).unwrap_or_default(), |line| {
        for needle in needles.named(line) {
            if needle.claim.allows(package) {
                claims.add(needle, &list);
            }
        }
    });
    Ok(())
}

/// The package of a list's file name: `libc6` of `libc6:amd64`.
fn name_of(list: &[u8]) -> &[u8] {
    list.split(|byte| *byte == b':').next().unwrap_or(list)
}

/// Calls `visit` with each line, without its newline. Eight bytes are looked at together:
/// lists are some ten MB, and a build with nothing to do has but milliseconds.
pub(super) fn for_each_line<'a>(text: &'a [u8], mut visit: impl FnMut(&'a [u8])) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut start = 0;
    let mut line_to = |end: usize| {
        if let Some(line) = text.get(start..end)
            && !line.is_empty()
        {
            visit(line);
        }
        start = end + 1;
    };
    let (words, _) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let zeroed = u64::from_le_bytes(*word) ^ (ONES * u64::from(b'\n'));
        if zeroed.wrapping_sub(ONES) & !zeroed & HIGH != 0 {
            for (at, byte) in word.iter().enumerate() {
                if *byte == b'\n' {
                    line_to(index * 8 + at);
                }
            }
        }
    }
    for (at, byte) in text.iter().enumerate().skip(words.len() * 8) {
        if *byte == b'\n' {
            line_to(at);
        }
    }
    line_to(text.len());
}

/// Looks the versions of the owning packages up in `status`.
fn with_versions(owned: BTreeMap<&[u8], Vec<ImagePath>>, status: &[u8]) -> Found {
    let mut described = BTreeMap::<&[u8], (Package, &[u8])>::new();
    let wanted: std::collections::BTreeSet<&[u8]> = owned.keys().map(|l| name_of(l)).collect();
    for paragraph in Paragraphs(status) {
        let Some(name) = paragraph.strip_prefix(b"Package: ") else {
            continue;
        };
        let name = name.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if !wanted.contains(name) {
            continue;
        }
        let Some(package) = control(paragraph) else {
            continue;
        };
        // The list of a package that may be there for several architectures names one.
        let with_architecture = [name, b":", package.architecture.as_bytes()].concat();
        let key = owned
            .get_key_value(with_architecture.as_slice())
            .or_else(|| owned.get_key_value(name))
            .map(|(key, _)| *key);
        if let Some(key) = key {
            described.insert(key, (package, paragraph));
        }
    }
    owned
        .into_iter()
        .map(|(list, paths)| {
            let (package, paragraph) = described.remove(list).unwrap_or_else(|| {
                let package = Package {
                    name: text(name_of(list)),
                    version: String::new(),
                    architecture: list
                        .splitn(2, |byte| *byte == b':')
                        .nth(1)
                        .map(text)
                        .unwrap_or_default(),
                    manager: Manager::Dpkg,
                };
                (package, &[])
            });
            let sums = [INFO.as_bytes(), b"/", list, b".md5sums"].concat();
            let owner = Owner {
                package,
                paragraph: paragraph.into(),
                sums: PathBuf::from(OsString::from_vec(sums)),
            };
            (owner, paths)
        })
        .collect()
}

/// A paragraph of `status`: deb822(5).
fn control(paragraph: &[u8]) -> Option<Package> {
    let field = |name: &[u8]| {
        paragraph
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(b":"))
            .map(text)
    };
    Some(Package {
        name: field(b"Package").filter(|name| !name.is_empty())?,
        version: field(b"Version").unwrap_or_default(),
        architecture: field(b"Architecture").unwrap_or_default(),
        manager: Manager::Dpkg,
    })
}

/// The configuration files that a paragraph lists, each with its sum of 32 digits, as they are in
/// dpkg's status file. Lists of sums leave them out: deb-md5sums(5).
pub(super) fn conffiles(paragraph: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = paragraph.split(|byte| *byte == b'\n');
    let is_field = |line: &[u8]| line.trim_ascii_end().eq_ignore_ascii_case(b"Conffiles:");
    let listed = lines.skip_while(move |line| !is_field(line)).skip(1);
    listed
        .take_while(|line| line.starts_with(b" "))
        .filter_map(|line| {
            let line = line.trim_ascii();
            let line = line.strip_suffix(b" obsolete").unwrap_or(line);
            let (path, sum) = line.split_at_checked(line.len().checked_sub(32)?)?;
            Some((path.strip_suffix(b" ")?, sum))
        })
        .filter(|(path, _)| path.starts_with(b"/"))
}

/// Who owns `paths` by `status.d`, where each package has its paragraph in a file `NAME` and,
/// in newer images, its files in `NAME.md5sums`.
pub(super) fn owners_of_distroless(
    sysroot: &dyn Sysroot,
    paths: &[ImagePath],
    merged: &[&str],
) -> Result<Option<Found>, Unread> {
    let names = match sysroot.read_dir(Path::new(STATUS_DIRECTORY)) {
        Ok(names) => names,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unread(STATUS_DIRECTORY, error.to_string())),
    };
    let needles = Needles::new(paths, merged);
    let mut claims = Claims::new(&needles);
    let mut packages = BTreeMap::new();
    for name in names.iter().filter_map(|name| name.to_str()) {
        let file = format!("{STATUS_DIRECTORY}/{name}");
        let of = name.strip_suffix(".md5sums").unwrap_or(name);
        // The record itself, and a copyright file that another package's list may have.
        for own in [&file, &format!("/usr/share/doc/{of}/copyright")] {
            for needle in needles.named(own.as_bytes()) {
                claims.add(needle, &of);
            }
        }
        let Some(bytes) = read(sysroot, Manager::Dpkg, &file)? else {
            continue;
        };
        let Some(package) = name.strip_suffix(".md5sums") else {
            // Further paragraphs are of the same package for other architectures.
            for (path, _) in Paragraphs(&bytes).flat_map(conffiles) {
                for needle in needles.named(path) {
                    claims.add(needle, &name);
                }
            }
            let paragraph = Paragraphs(&bytes).next().unwrap_or_default();
            if let Some(package) = control(paragraph) {
                let owner = Owner {
                    package,
                    paragraph: paragraph.into(),
                    sums: PathBuf::from(format!("{file}.md5sums")),
                };
                packages.insert(name, owner);
            }
            continue;
        };
        let mut spelling = b"/".to_vec();
        for_each_line(&bytes, |line| {
            // 32 digits, two spaces, and the path without its slash: deb-md5sums(5).
            if let Some(path) = line.get(34..) {
                spelling.truncate(1);
                spelling.extend_from_slice(path);
                for needle in needles.named(&spelling) {
                    claims.add(needle, &package);
                }
            }
        });
    }
    let owned = claims.by_package(&needles).into_iter();
    Ok(Some(
        owned
            .filter_map(|(name, paths)| Some((packages.get(name)?.clone(), paths)))
            .collect(),
    ))
}

fn unread(path: &str, why: String) -> Unread {
    Unread {
        manager: Manager::Dpkg,
        path: path.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_are_found_as_a_plain_split_finds_them(text in "[a\n]{0,80}") {
            let mut lines = Vec::new();
            for_each_line(text.as_bytes(), |line| lines.push(line));
            let plain: Vec<&[u8]> = text
                .as_bytes()
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .collect();
            prop_assert_eq!(lines, plain);
        }
    }
}
