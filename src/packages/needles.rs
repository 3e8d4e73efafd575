//! The paths that are looked for, in every spelling a database may have.

use std::collections::HashMap;
use std::path::Component;

use crate::ImagePath;
use crate::sysroot::{Node, Sysroot};

/// The directories of the root that usr-merge makes links into `/usr`.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Which of the root's directories are links to the same name in `/usr`.
pub(super) fn merged_directories(sysroot: &dyn Sysroot) -> Vec<&'static str> {
    let is_link_into_usr = |name: &str| {
        let Ok(path) = ImagePath::new(format!("/{name}")) else {
            return false;
        };
        let Ok(Node::Symlink(target)) = sysroot.node(&path) else {
            return false;
        };
        let mut names = target
            .components()
            .filter(|c| !matches!(c, Component::RootDir | Component::CurDir));
        names.next() == Some(Component::Normal("usr".as_ref()))
            && names.next() == Some(Component::Normal(name.as_ref()))
            && names.next().is_none()
    };
    MERGED
        .into_iter()
        .filter(|name| is_link_into_usr(name))
        .collect()
}

/// Which packages' word counts for a spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// Any package's.
    Any,
    /// That of this package alone: it diverts the path.
    Only(Vec<u8>),
    /// Any but that of this one: it diverts what others put there.
    Except(Vec<u8>),
    /// Nobody's: the administrator diverted the path.
    Nobody,
}

impl Claim {
    pub(super) fn allows(&self, package: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only == package,
            Self::Except(except) => except != package,
            Self::Nobody => false,
        }
    }
}

/// A spelling of a wanted path.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    /// The index of the wanted path.
    pub(super) path: usize,
    /// 0 for the path itself, 1 for its other spelling under usr-merge.
    pub(super) rank: u8,
    /// Whose word counts.
    pub(super) claim: Claim,
}

/// The wanted paths by their spellings.
pub(super) struct Needles<'a> {
    paths: &'a [ImagePath],
    by_spelling: HashMap<Vec<u8>, Vec<Needle>>,
    /// A bit for each fingerprint of a spelling: nearly every line of a database is told
    /// from all needles by its length and three bytes, without hashing it.
    fingerprints: Box<[u64; 1024]>,
}

impl<'a> Needles<'a> {
    pub(super) fn new(paths: &'a [ImagePath], merged: &[&str]) -> Self {
        let mut needles = Self {
            paths,
            by_spelling: HashMap::with_capacity(paths.len() * 2),
            fingerprints: Box::new([0; 1024]),
        };
        for (index, path) in paths.iter().enumerate() {
            needles.insert(path.as_bytes(), index, 0, Claim::Any);
            if let Some(other) = other_spelling(path.as_bytes(), merged) {
                needles.insert(&other, index, 1, Claim::Any);
            }
        }
        needles
    }

    fn insert(&mut self, spelling: &[u8], path: usize, rank: u8, claim: Claim) {
        let (word, bit) = fingerprint(spelling);
        if let Some(word) = self.fingerprints.get_mut(word) {
            *word |= bit;
        }
        self.by_spelling
            .entry(spelling.to_vec())
            .or_default()
            .push(Needle { path, rank, claim });
    }

    /// `package` diverts `original`, which others own, to `elsewhere`: dpkg-divert(1).
    pub(super) fn divert(&mut self, original: &[u8], elsewhere: &[u8], package: &[u8]) {
        if original == elsewhere {
            return;
        }
        // A diversion of what is diverted itself is not followed: lists cannot grow by rounds.
        let needles = self.by_spelling.get(elsewhere).into_iter().flatten();
        let diverted: Vec<Needle> = needles.filter(|n| n.claim == Claim::Any).cloned().collect();
        if let Some(needles) = self.by_spelling.get_mut(original) {
            for needle in needles.iter_mut().filter(|n| n.claim == Claim::Any) {
                needle.claim = match package {
                    b":" => Claim::Nobody,
                    package => Claim::Only(package.to_vec()),
                };
            }
        }
        for needle in diverted {
            self.insert(
                original,
                needle.path,
                needle.rank,
                Claim::Except(package.to_vec()),
            );
        }
    }

    /// The wanted paths that `spelling` names.
    #[inline]
    pub(super) fn named(&self, spelling: &[u8]) -> &[Needle] {
        let (word, bit) = fingerprint(spelling);
        if self
            .fingerprints
            .get(word)
            .is_none_or(|word| word & bit == 0)
        {
            return &[];
        }
        self.by_spelling.get(spelling).map_or(&[], Vec::as_slice)
    }
}

#[inline]
fn fingerprint(spelling: &[u8]) -> (usize, u64) {
    let from_end = |at: usize| {
        let index = spelling.len().wrapping_sub(at);
        usize::from(spelling.get(index).copied().unwrap_or_default())
    };
    let mixed = spelling
        .len()
        .wrapping_mul(0x9e37)
        .wrapping_add(from_end(1).wrapping_mul(0x85eb))
        .wrapping_add(from_end(4).wrapping_mul(0xc2b3))
        .wrapping_add(from_end(9).wrapping_mul(0x27d5));
    ((mixed >> 6) & 1023, 1 << (mixed & 63))
}

fn other_spelling(path: &[u8], merged: &[&str]) -> Option<Vec<u8>> {
    let is_merged = |rest: &[u8]| {
        merged.iter().any(|name| {
            rest.strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&b'/'))
        })
    };
    if let Some(rest) = path.strip_prefix(b"/usr/") {
        return is_merged(rest).then(|| [b"/", rest].concat());
    }
    let rest = path.strip_prefix(b"/")?;
    is_merged(rest).then(|| [b"/usr/", rest].concat())
}

/// The best claim on each wanted path: that on the path itself before that on its other
/// spelling, then the package that sorts first.
pub(super) struct Claims<K> {
    best: Vec<Option<(u8, K)>>,
}

impl<K: Ord + Clone> Claims<K> {
    pub(super) fn new(needles: &Needles<'_>) -> Self {
        Self {
            best: vec![None; needles.paths.len()],
        }
    }

    pub(super) fn add(&mut self, needle: &Needle, package: &K) {
        self.take(needle.path, needle.rank, package);
    }

    fn take(&mut self, path: usize, rank: u8, package: &K) {
        if let Some(best) = self.best.get_mut(path)
            && best.as_ref().is_none_or(|(r, p)| (rank, package) < (*r, p))
        {
            *best = Some((rank, package.clone()));
        }
    }

    /// Both together: the order does not matter.
    pub(super) fn merge(&mut self, other: Self) {
        for (path, best) in other.best.into_iter().enumerate() {
            if let Some((rank, package)) = best {
                self.take(path, rank, &package);
            }
        }
    }

    /// The packages in order, each with the paths that it owns.
    pub(super) fn by_package(
        self,
        needles: &Needles<'_>,
    ) -> std::collections::BTreeMap<K, Vec<ImagePath>> {
        let mut packages = std::collections::BTreeMap::<K, Vec<ImagePath>>::new();
        for (path, best) in needles.paths.iter().zip(self.best) {
            if let Some((_, package)) = best {
                packages.entry(package).or_default().push(path.clone());
            }
        }
        packages
    }
}
