//! Lock files: package-lock.json and npm-shrinkwrap.json (`lockfileVersion` 1 to 3,
//! package-lock.json(5)); those of Yarn, pnpm and Bun are recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::NodeError;
use super::disk::{Disk, normal, upward};
use super::manifest::{Need, parse_json};
use super::tree::{Edge, Tree, is_name};
use crate::ImagePath;

/// The largest known have some ten megabytes.
const LIMIT: u64 = 64 << 20;
/// How many packages a lock file may name.
const MAX_PACKAGES: usize = 100_000;
/// No path is longer (`PATH_MAX`).
const MAX_LOCATION: usize = 4096;

/// Which program installs the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    Npm,
    Yarn,
    Pnpm,
    Bun,
}

impl Manager {
    /// Each with its lock files, and what it leaves in node_modules.
    const ALL: [(Self, &'static [&'static str], &'static str); 4] = [
        (
            Self::Npm,
            &["npm-shrinkwrap.json", "package-lock.json"],
            ".package-lock.json",
        ),
        (Self::Yarn, &["yarn.lock"], ".yarn-integrity"),
        (Self::Pnpm, &["pnpm-lock.yaml"], ".modules.yaml"),
        (Self::Bun, &["bun.lock", "bun.lockb"], ".bun-tag"),
    ];

    /// The command that installs what the lock file says.
    pub(super) fn install(self) -> &'static str {
        match self {
            Self::Npm => "npm ci",
            Self::Yarn => "yarn install --frozen-lockfile",
            Self::Pnpm => "pnpm install --frozen-lockfile",
            Self::Bun => "bun install --frozen-lockfile",
        }
    }
}

/// The lock file of a project.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    pub(super) manager: Manager,
    pub(super) path: PathBuf,
    /// The directory that it stands in.
    root: ImagePath,
    /// What npm's say, by location (`node_modules/express`, `packages/a`).
    packages: BTreeMap<String, Locked>,
}

/// What is said of one package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Locked {
    version: Option<String>,
    dev: bool,
    /// Where a link leads.
    link: Option<String>,
}

/// What is not as a lock file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// A phrase each.
    pub(super) phrases: Vec<String>,
    /// Whether package.json has changed since the lock file was written.
    pub(super) stale: bool,
}

impl Lock {
    /// The one of the nearest directory from `project` up to `root` that has any. Where there are
    /// several, the one of the program that made node_modules.
    pub(super) fn find(
        disk: &mut Disk<'_>,
        project: &ImagePath,
        root: &ImagePath,
    ) -> Result<Option<Self>, NodeError> {
        for directory in upward(project).take_while(|directory| directory.starts_with(root)) {
            let mut best: Option<(bool, Manager, PathBuf)> = None;
            for (manager, names, mark) in Manager::ALL {
                let mark = directory.as_path().join("node_modules").join(mark);
                let made = disk.find(&mark).is_some();
                for name in names {
                    let path = directory.as_path().join(name);
                    let better = best.as_ref().is_none_or(|(other, ..)| made && !other);
                    if better && disk.file(&path).is_some() {
                        best = Some((made, manager, path));
                    }
                }
            }
            if let Some((_, manager, path)) = best {
                return Self::read(disk, &directory, manager, &path).map(Some);
            }
        }
        Ok(None)
    }

    fn read(
        disk: &Disk<'_>,
        root: &ImagePath,
        manager: Manager,
        path: &Path,
    ) -> Result<Self, NodeError> {
        let shown = disk.shown(path);
        let packages = match manager {
            Manager::Npm => parse(&disk.read(path, LIMIT)?, &shown)?,
            Manager::Yarn | Manager::Pnpm | Manager::Bun => BTreeMap::new(),
        };
        Ok(Self {
            manager,
            path: shown,
            root: root.clone(),
            packages,
        })
    }

    /// Whether the package in `directory` is there for development alone.
    pub(super) fn is_dev(&self, directory: &ImagePath) -> bool {
        let locked = self
            .location(directory)
            .and_then(|at| self.packages.get(&at));
        locked.is_some_and(|locked| locked.dev)
    }

    /// What in `tree` is not as the lock file says.
    pub(super) fn differences(&self, tree: &Tree) -> Differences {
        let mut found = Differences::default();
        let mut seen = BTreeSet::new();
        for edge in &tree.edges {
            if let Some(phrase) = self.difference(tree, edge, &mut found.stale)
                && seen.insert(phrase.clone())
            {
                found.phrases.push(phrase);
            }
        }
        found
    }

    fn difference(&self, tree: &Tree, edge: &Edge, stale: &mut bool) -> Option<String> {
        if self.packages.is_empty() {
            return None;
        }
        let from = self.location(&edge.from)?;
        // What the lock file does not know (a linked package from elsewhere) it cannot judge.
        if !from.is_empty() && !self.packages.contains_key(&from) {
            return None;
        }
        let name = &edge.name;
        let Some((location, locked)) = self.expected(&from, name) else {
            let unknown = edge.need == Need::Required;
            *stale |= unknown;
            return unknown.then(|| format!("it does not know {name}, which package.json names"));
        };
        let wanted = locked.version.as_deref();
        let Some(found) = &edge.to else {
            return (edge.need == Need::Required).then(|| match wanted {
                Some(version) => format!("{name} {version} is not installed"),
                None => format!("{name} is not installed"),
            });
        };
        // A name that leads to the project itself is right by that.
        let package = tree.packages.get(&found.directory)?;
        let version = package.manifest.version.as_deref();
        let same_place = self.location(&found.directory).as_deref() == Some(location);
        match (wanted, version) {
            (Some(wanted), Some(version)) if wanted != version => Some(format!(
                "{name} is {version} in node_modules and {wanted} in the lock file"
            )),
            // A directory that is linked has the version that it has.
            (Some(_), Some(_)) | (None, _) => None,
            (Some(wanted), None) if same_place => Some(format!(
                "{name} has no version in node_modules and {wanted} in the lock file"
            )),
            (Some(_), None) => None,
        }
    }

    /// The location of a directory in the words of the lock file.
    fn location(&self, directory: &ImagePath) -> Option<String> {
        let rest = directory.as_path().strip_prefix(self.root.as_path()).ok()?;
        rest.to_str().map(str::to_owned)
    }

    /// What the lock file has for `name` at `from`: the nearest upward, links followed.
    fn expected(&self, from: &str, name: &str) -> Option<(&str, &Locked)> {
        let mut directory = Some(Path::new(from));
        while let Some(at) = directory {
            let location = at.join("node_modules").join(name);
            let location = location.to_str()?;
            if let Some((key, locked)) = self.packages.get_key_value(location) {
                let Some(target) = &locked.link else {
                    return Some((key, locked));
                };
                let target = normal(Path::new(target));
                let linked = self.packages.get_key_value(target.to_str()?);
                return Some(linked.map_or((key, locked), |(key, locked)| (key, locked)));
            }
            directory = at.parent();
        }
        None
    }
}

fn parse(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, Locked>, NodeError> {
    let document = parse_json(bytes, path)?;
    let wrong = |field: &str| NodeError::Manifest {
        path: path.to_path_buf(),
        field: field.to_owned(),
        what: "is missing or of the wrong type: this is no lock file of npm".to_owned(),
    };
    match (document.get("packages"), document.get("dependencies")) {
        (Some(Value::Object(packages)), _) => packages
            .iter()
            .map(|(location, facts)| Ok((location.clone(), locked(facts))))
            .collect(),
        (None, Some(Value::Object(dependencies))) => flatten(dependencies, path),
        (None, None) if document.get("lockfileVersion").is_some() => Ok(BTreeMap::new()),
        _ => Err(wrong("packages")),
    }
}

fn locked(facts: &Value) -> Locked {
    let text = |name: &str| facts.get(name).and_then(Value::as_str);
    let is = |name: &str| facts.get(name).and_then(Value::as_bool) == Some(true);
    Locked {
        version: text("version").and_then(plain_version),
        dev: is("dev"),
        link: text("resolved").filter(|_| is("link")).map(str::to_owned),
    }
}

/// The tree of `lockfileVersion` 1 by location, as the later ones have it.
fn flatten(
    dependencies: &Map<String, Value>,
    path: &Path,
) -> Result<BTreeMap<String, Locked>, NodeError> {
    let mut packages = BTreeMap::new();
    let mut open = vec![(String::new(), dependencies)];
    while let Some((directory, dependencies)) = open.pop() {
        for (name, facts) in dependencies.iter().filter(|(name, _)| is_name(name)) {
            let location = match directory.as_str() {
                "" => format!("node_modules/{name}"),
                _ => format!("{directory}/node_modules/{name}"),
            };
            if location.len() > MAX_LOCATION {
                continue;
            }
            if packages.len() == MAX_PACKAGES {
                return Err(NodeError::TooMany {
                    path: path.to_path_buf(),
                    what: "packages",
                    limit: MAX_PACKAGES,
                });
            }
            if let Some(Value::Object(nested)) = facts.get("dependencies") {
                open.push((location.clone(), nested));
            }
            packages.insert(location, locked(facts));
        }
    }
    Ok(packages)
}

/// The version, without the name that an alias has; `None` for addresses (`git+ssh:`, `file:`).
fn plain_version(text: &str) -> Option<String> {
    let text = match text.strip_prefix("npm:") {
        Some(alias) => alias.rsplit('@').next().unwrap_or(alias),
        None => text,
    };
    let is_plain = text.starts_with(|letter: char| letter.is_ascii_digit()) && !text.contains(':');
    is_plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn lock(text: &str) -> Lock {
        Lock {
            manager: Manager::Npm,
            path: "/p/package-lock.json".into(),
            root: ImagePath::new("/p").unwrap(),
            packages: parse(text.as_bytes(), Path::new("/p/package-lock.json")).unwrap(),
        }
    }

    #[test]
    fn the_first_version_nests_what_the_later_ones_list() {
        let first = lock(
            r#"{"lockfileVersion": 1, "dependencies": {"a": {"version": "1.0.0", "dependencies":
                {"b": {"version": "2.0.0", "dev": true}}}, "c": {"version": "npm:d@3.0.0"},
                "e": {"version": "git+ssh://x#1"}}}"#,
        );
        let third = lock(
            r#"{"lockfileVersion": 3, "packages": {
                "node_modules/a": {"version": "1.0.0"},
                "node_modules/a/node_modules/b": {"version": "2.0.0", "dev": true},
                "node_modules/c": {"version": "3.0.0"}, "node_modules/e": {}}}"#,
        );
        assert_eq!(first.packages, third.packages);
        assert!(third.is_dev(&ImagePath::new("/p/node_modules/a/node_modules/b").unwrap()));
    }

    #[test]
    fn the_nearest_location_counts_and_links_are_followed() {
        let lock = lock(
            r#"{"packages": {"node_modules/ms": {"version": "2.0.0"},
                "node_modules/a": {"resolved": "packages/a", "link": true},
                "packages/a": {"version": "1.0.0"},
                "packages/a/node_modules/ms": {"version": "1.0.0"}}}"#,
        );
        let expected = |from, name| lock.expected(from, name).map(|(at, _)| at);
        assert_eq!(
            expected("packages/a", "ms"),
            Some("packages/a/node_modules/ms")
        );
        assert_eq!(expected("packages/b", "ms"), Some("node_modules/ms"));
        assert_eq!(expected("", "a"), Some("packages/a"));
        assert_eq!(expected("", "x"), None);
    }

    #[test]
    fn what_is_no_lock_file_is_told() {
        let message = parse(b"{}", Path::new("/p/package-lock.json"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("no lock file of npm"), "{message}");
    }
}
