//! What else could have been meant by a name that does not exist.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sysroot::Sysroot;

/// Suggestions given at the most.
const SUGGESTIONS: usize = 3;
/// Names longer than this are not compared: the work grows with the square.
const NAME_LIMIT: usize = 64;
/// Names of one directory that are looked at.
const DIRECTORY_LIMIT: usize = 20_000;

/// Existing files that may have been meant by `path`, as they are shown to people: the same
/// name in a directory of `search`, then names in the same directory that are nearly the same.
pub(super) fn similar(sysroot: &dyn Sysroot, path: &Path, search: &[PathBuf]) -> Vec<PathBuf> {
    let Some(name) = path.file_name() else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = search
        .iter()
        .map(|directory| directory.join(name))
        .find(|candidate| candidate != path && sysroot.is_file(candidate))
        .into_iter()
        .collect();
    if let Some(directory) = path.parent().filter(|_| path.is_absolute()) {
        let names = sysroot.read_dir(directory).unwrap_or_default();
        let mut near: Vec<(usize, PathBuf)> = names
            .iter()
            .take(DIRECTORY_LIMIT)
            .filter_map(|other| Some((distance(name, other)?, directory.join(other))))
            .collect();
        near.sort();
        let files = near.into_iter().map(|(_, path)| path);
        found.extend(files.filter(|path| sysroot.is_file(path)).take(SUGGESTIONS));
    }
    found.truncate(SUGGESTIONS);
    found.iter().map(|path| sysroot.display(path)).collect()
}

/// How many letters have to be changed, added, left out or swapped with their neighbour (Damerau's
/// distance), when that is few for names of this length; letter case counts as nothing.
fn distance(one: &OsStr, other: &OsStr) -> Option<usize> {
    let one = one.as_bytes().to_ascii_lowercase();
    let other = other.as_bytes().to_ascii_lowercase();
    let longest = one.len().max(other.len());
    if longest > NAME_LIMIT {
        return None;
    }
    let allowed = if longest <= 3 { 1 } else { 2 };
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    let mut previous = None;
    for (row, a) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut last = None;
        for (column, b) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(longest);
            let changed = at(&above, column) + usize::from(a != b);
            let removed = at(&above, column + 1) + 1;
            let added = at(&current, column) + 1;
            let mut best = changed.min(removed).min(added);
            if previous == Some(b) && last == Some(a) && column > 0 {
                best = best.min(at(&before, column - 1) + 1);
            }
            current.push(best);
            last = Some(b);
        }
        before = std::mem::replace(&mut above, current);
        previous = Some(a);
    }
    above
        .last()
        .copied()
        .filter(|distance| *distance <= allowed && *distance < longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_those_with_a_slip_or_two() {
        let near = |one: &str, other: &str| distance(one.as_ref(), other.as_ref());
        assert_eq!(near("server", "sevrer"), Some(1));
        assert_eq!(near("server", "server2"), Some(1));
        assert_eq!(near("App", "app"), Some(0));
        assert_eq!(near("server", "client"), None);
        assert_eq!(near("a", "b"), None);
        assert_eq!(near("jq", "jg"), Some(1));
    }
}
