//! The lock file: which packages a base is made of, so that a later build has the same bytes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Architecture, Recipe, Reference};
use crate::layer::Digest;

/// The name of a lock file that nobody named otherwise.
pub const LOCK_FILE: &str = "distrobuild.lock";

/// The version of the format that this program reads and writes.
const SCHEMA: u32 = 1;
/// The most bytes of a lock file: some ten thousand packages.
const SIZE_LIMIT: u64 = 16 << 20;
const HEAD: &str = "# The packages of bases, written by `distrobuild bases lock` and renewed by\n\
                    # `distrobuild bases update`. Keep it with the sources of the app.\n";

/// The packages of some bases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// Sorted by name and architecture.
    pub bases: Vec<LockedBase>,
}

/// The packages of one base on one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBase {
    /// Which base.
    pub reference: Reference,
    /// For which machines.
    pub architecture: Architecture,
    /// The packages that its recipe asked for.
    pub recipe: Vec<String>,
    /// The packages asked for beside them (`--package`), `NAME` or `NAME=VERSION`, sorted.
    pub added: Vec<String>,
    /// All packages, sorted by name.
    pub packages: Vec<LockedPackage>,
}

/// One package, as it was found in a signed index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture: the base's, or `all`.
    pub architecture: String,
    /// The suite that it is in, which tells the archive.
    pub suite: String,
    /// Its place below the archive's URL.
    pub path: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// The hash of the `.deb`.
    pub sha256: Digest,
}

impl LockedPackage {
    /// What people call it: `libc6 2.36-9+deb12u10 (amd64)`.
    pub fn title(&self) -> String {
        format!("{} {} ({})", self.name, self.version, self.architecture)
    }
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read.
    #[error("cannot read the lock file {}: {source}; `distrobuild bases lock BASE` writes one", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the lock file {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("the lock file {} cannot be used: {message}. Take it from version control again, or write it anew with `distrobuild bases lock`", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// It has not the base that is wanted.
    #[error("the lock file {} has no {reference} for {architecture}; it has {}. `distrobuild bases lock {reference} --arch {architecture}` adds it", .path.display(), listed(.known))]
    Absent {
        /// The file.
        path: PathBuf,
        /// The base.
        reference: Box<Reference>,
        /// The architecture.
        architecture: Architecture,
        /// What it has.
        known: Vec<String>,
    },
    /// It was made for other packages.
    #[error("the lock file {} no longer matches {reference}: {difference}. `distrobuild bases update` renews it, and shows what changes", .path.display())]
    Outdated {
        /// The file.
        path: PathBuf,
        /// The base.
        reference: Box<Reference>,
        /// What differs.
        difference: String,
    },
    /// A package is wanted that it was not made for.
    #[error("the lock file {} has no {package} for {reference}: `distrobuild bases lock {reference} --arch {architecture}{}` adds it", .path.display(), flags(.packages))]
    NotLocked {
        /// The file.
        path: PathBuf,
        /// The base.
        reference: Box<Reference>,
        /// The architecture.
        architecture: Architecture,
        /// The first package that is not in it.
        package: String,
        /// All that are wanted, and those that it was made for.
        packages: Vec<String>,
    },
}

impl Lock {
    /// Reads the lock file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is not what [`Lock::write`] writes.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Read {
            path: path.to_path_buf(),
            source,
        };
        let facts = std::fs::metadata(path).map_err(failed)?;
        if !facts.is_file() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(failed(source));
        }
        if facts.len() > SIZE_LIMIT {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).map_err(|message| LockError::Invalid {
            path: path.to_path_buf(),
            message,
        })
    }

    /// The lock in `text`.
    fn parse(text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| 1 + before.matches('\n').count());
            let line = line
                .map(|line| format!("line {line}: "))
                .unwrap_or_default();
            format!("{line}{}", error.message())
        })?;
        if document.schema != SCHEMA {
            return Err(format!(
                "its format is {}, and this distrobuild knows {SCHEMA}",
                document.schema
            ));
        }
        let mut bases = document
            .base
            .into_iter()
            .map(BaseEntry::checked)
            .collect::<Result<Vec<_>, _>>()?;
        bases.sort_by(|a, b| a.key().cmp(&b.key()));
        if let Some([twice, _]) = bases.array_windows().find(|[a, b]| a.key() == b.key()) {
            return Err(format!(
                "{} for {} stands in it twice",
                twice.reference, twice.architecture
            ));
        }
        Ok(Self { bases })
    }

    /// Writes it to `path`, in place of what is there, in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let failed = |source| LockError::Write {
            path: path.to_path_buf(),
            source,
        };
        let text = self
            .to_text()
            .map_err(|error| failed(io::Error::other(error)))?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new()
            .prefix(".distrobuild-lock-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn to_text(&self) -> Result<String, toml::ser::Error> {
        let document = Document {
            schema: SCHEMA,
            base: self.bases.iter().map(BaseEntry::from).collect(),
        };
        Ok(format!("{HEAD}{}", toml::to_string(&document)?))
    }

    /// The packages of a base, if they are in it.
    pub fn get(&self, reference: &Reference, architecture: Architecture) -> Option<&LockedBase> {
        self.bases
            .iter()
            .find(|base| base.key() == (reference, architecture))
    }

    /// Puts a base in, in place of what was there for it; returns that.
    pub fn put(&mut self, base: LockedBase) -> Option<LockedBase> {
        match self
            .bases
            .binary_search_by(|known| known.key().cmp(&base.key()))
        {
            Ok(at) => self
                .bases
                .get_mut(at)
                .map(|known| std::mem::replace(known, base)),
            Err(at) => {
                self.bases.insert(at, base);
                None
            }
        }
    }

    /// The base that a build wants, if this lock was made for just that.
    ///
    /// # Errors
    /// When it is not in it, or was made for other packages than `recipe` and `added` ask for.
    /// `path` is the lock's own, for the message.
    pub fn matching(
        &self,
        path: &Path,
        recipe: &Recipe,
        architecture: Architecture,
        added: &[String],
    ) -> Result<&LockedBase, LockError> {
        let reference = &recipe.reference;
        let Some(base) = self.get(reference, architecture) else {
            let known = self.bases.iter();
            return Err(LockError::Absent {
                path: path.to_path_buf(),
                reference: Box::new(reference.clone()),
                architecture,
                known: known
                    .map(|base| format!("{} for {}", base.reference, base.architecture))
                    .collect(),
            });
        };
        let outdated = |difference: String| LockError::Outdated {
            path: path.to_path_buf(),
            reference: Box::new(reference.clone()),
            difference,
        };
        let mut asked = recipe.packages_for(architecture);
        asked.sort_unstable();
        if base.recipe != asked {
            return Err(outdated(difference(
                "the base's packages",
                &base.recipe,
                &asked,
            )));
        }
        // A build may ask again for what the lock holds, and need not ask for all that it holds.
        let absent = added.iter().find(|package| !base.added.contains(package));
        match absent {
            None => Ok(base),
            Some(package) => Err(LockError::NotLocked {
                path: path.to_path_buf(),
                reference: Box::new(reference.clone()),
                architecture,
                package: package.clone(),
                packages: base.added.iter().chain(added).cloned().collect(),
            }),
        }
    }
}

impl LockedBase {
    fn key(&self) -> (&Reference, Architecture) {
        (&self.reference, self.architecture)
    }

    /// Size of all packages in bytes, as they are downloaded.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }

    /// What is new, gone or in another version in `self` than in `former`, a line each.
    pub fn changes_since(&self, former: &Self) -> Vec<String> {
        let find = |base: &Self, name: &str| {
            let mut packages = base.packages.iter();
            packages.find(|package| package.name == name).cloned()
        };
        let mut changes = Vec::new();
        for package in &self.packages {
            match find(former, &package.name) {
                None => changes.push(format!("+ {}", package.title())),
                Some(known) if known.version != package.version => changes.push(format!(
                    "  {} {} -> {}",
                    package.name, known.version, package.version
                )),
                Some(known) if known.sha256 != package.sha256 => {
                    changes.push(format!("  {} is another file", package.title()));
                }
                Some(_) => {}
            }
        }
        for package in &former.packages {
            if find(self, &package.name).is_none() {
                changes.push(format!("- {}", package.title()));
            }
        }
        changes
    }
}

fn difference(what: &str, locked: &[String], asked: &[String]) -> String {
    let absent = asked.iter().find(|package| !locked.contains(package));
    let surplus = locked.iter().find(|package| !asked.contains(package));
    match (absent, surplus) {
        (Some(package), _) => format!("{what} are now with {package}"),
        (None, Some(package)) => format!("{what} are now without {package}"),
        (None, None) => format!("{what} are in it more than once"),
    }
}

fn flags(packages: &[String]) -> String {
    let packages: std::collections::BTreeSet<&String> = packages.iter().collect();
    packages
        .iter()
        .map(|package| format!(" --package {package}"))
        .collect()
}

fn listed(known: &[String]) -> String {
    match known {
        [] => "none at all".to_owned(),
        known => known.join(", "),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u32,
    #[serde(default)]
    base: Vec<BaseEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseEntry {
    name: String,
    architecture: String,
    recipe: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
    package: Vec<PackageEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageEntry {
    name: String,
    version: String,
    architecture: String,
    suite: String,
    path: String,
    size: u64,
    sha256: String,
}

impl From<&LockedBase> for BaseEntry {
    fn from(base: &LockedBase) -> Self {
        Self {
            name: base.reference.to_string(),
            architecture: base.architecture.to_string(),
            recipe: base.recipe.clone(),
            added: base.added.clone(),
            package: base.packages.iter().map(PackageEntry::from).collect(),
        }
    }
}

impl From<&LockedPackage> for PackageEntry {
    fn from(package: &LockedPackage) -> Self {
        Self {
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: package.architecture.clone(),
            suite: package.suite.clone(),
            path: package.path.clone(),
            size: package.size,
            sha256: package.sha256.hex(),
        }
    }
}

impl BaseEntry {
    fn checked(self) -> Result<LockedBase, String> {
        let reference: Reference = self.name.parse().map_err(|error| format!("{error}"))?;
        let architecture: Architecture =
            (self.architecture.parse()).map_err(|error| format!("{reference}: {error}"))?;
        let mut packages = self
            .package
            .into_iter()
            .map(|package| package.checked(architecture))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|message| format!("{reference}: {message}"))?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some([twice, _]) = packages.array_windows().find(|[a, b]| a.name == b.name) {
            return Err(format!("{reference}: {} stands in it twice", twice.name));
        }
        let (mut recipe, mut added) = (self.recipe, self.added);
        // What was asked for is a package, never the name that one provides.
        let absent = recipe.iter().chain(&added).find(|asked| {
            let name = asked.split('=').next().unwrap_or(asked);
            !packages.iter().any(|package| package.name == name)
        });
        if let Some(absent) = absent {
            return Err(format!(
                "{reference}: {absent} was asked for, and is not among its packages"
            ));
        }
        recipe.sort_unstable();
        added.sort_unstable();
        Ok(LockedBase {
            reference,
            architecture,
            recipe,
            added,
            packages,
        })
    }
}

impl PackageEntry {
    fn checked(self, of: Architecture) -> Result<LockedPackage, String> {
        let name = &self.name;
        let is_word = |text: &str| {
            let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.~:_".contains(&byte);
            !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_usual)
        };
        if !is_word(name) || !is_word(&self.version) || !is_word(&self.suite) {
            return Err(format!("{name:?} is no package of a suite"));
        }
        if self.architecture != "all" && self.architecture != of.name() {
            return Err(format!(
                "{name} is for {}, the base for {of}",
                self.architecture
            ));
        }
        // By the same rule as where it was found: what is written can be read.
        let is_inside = super::index::path(&self.path).is_ok_and(|path| path == self.path);
        if !is_inside {
            return Err(format!("{name}: {:?} is no place in an archive", self.path));
        }
        let sha256 = format!("sha256:{}", self.sha256).parse();
        let sha256 = sha256.map_err(|error| format!("{name}: {error}"))?;
        Ok(LockedPackage {
            name: self.name,
            version: self.version,
            architecture: self.architecture,
            suite: self.suite,
            path: self.path,
            size: self.size,
            sha256,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> LockedPackage {
        LockedPackage {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            suite: "bookworm".to_owned(),
            path: format!("pool/main/{name}_{version}_amd64.deb"),
            size: 1000,
            sha256: Digest::of(version.as_bytes()),
        }
    }

    fn names<'a>(packages: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Vec<String> {
        packages.map(|(name, _)| (*name).to_owned()).collect()
    }

    fn base(name: &str, packages: &[(&str, &str)]) -> LockedBase {
        LockedBase {
            reference: name.parse().unwrap(),
            architecture: Architecture::Amd64,
            recipe: names(packages.iter().take(1)),
            added: names(packages.iter().skip(1).take(1)),
            packages: packages
                .iter()
                .map(|(name, version)| package(name, version))
                .collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut lock = Lock::default();
        let one = base(
            "debian:bookworm/cc",
            &[("libc6", "2.36-9"), ("libjq1", "1:1.6~rc1-2.1")],
        );
        assert_eq!(lock.put(base("debian:trixie/base", &[])), None);
        assert_eq!(lock.put(one.clone()), None);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOCK_FILE);
        lock.write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), lock);
        assert_eq!(lock.get(&one.reference, Architecture::Amd64), Some(&one));
        assert_eq!(lock.get(&one.reference, Architecture::Arm64), None);
        assert_eq!(lock.put(one.clone()), Some(one));
        assert_eq!(lock.bases.len(), 2);
    }

    #[test]
    fn a_lock_with_a_place_outside_of_the_archive_is_refused() {
        let text = Lock {
            bases: vec![base("debian:bookworm/cc", &[("libc6", "2.36-9")])],
        }
        .to_text()
        .unwrap();
        assert!(Lock::parse(&text).is_ok());
        for (good, bad) in [
            ("pool/main/", "pool/../../"),
            ("pool/main/", "/pool/main/"),
            ("pool/main/", "./pool/main/"),
            ("pool/main/", "pool/main/%2e%2e/"),
            ("pool/main/", "pool/main/?"),
            ("pool/main/", "http://elsewhere/"),
            ("name = \"libc6\"", "name = \"../libc6\""),
            (
                "architecture = \"amd64\"\nsuite",
                "architecture = \"arm64\"\nsuite",
            ),
            ("sha256 = \"", "sha256 = \"z"),
            ("schema = 1", "schema = 2"),
            ("recipe = [\"libc6\"]", "recipe = [\"libc6\", \"tzdata\"]"),
            (
                "recipe = [\"libc6\"]",
                "recipe = [\"libc6\"]\nadded = [\"libjq1=1\"]",
            ),
            ("size = ", "sise = "),
        ] {
            let tampered = text.replace(good, bad);
            assert_ne!(tampered, text, "{good}");
            assert!(Lock::parse(&tampered).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_that_an_index_may_name_may_stand_in_a_lock() {
        let mut base = base("debian:bookworm/cc", &[("libc6", "2.36-9")]);
        let path = "pool/main/l/@x/.a/libc6_1%3a2.36-9,b=c_amd64.deb";
        assert_eq!(super::super::index::path(path).as_deref(), Ok(path));
        base.packages.first_mut().unwrap().path = path.to_owned();
        let lock = Lock { bases: vec![base] };
        assert_eq!(Lock::parse(&lock.to_text().unwrap()), Ok(lock));
    }

    #[test]
    fn what_changed_is_told_by_package() {
        let former = base("debian:bookworm/cc", &[("a", "1"), ("b", "1"), ("c", "1")]);
        let now = base("debian:bookworm/cc", &[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(
            now.changes_since(&former),
            ["  b 1 -> 2", "+ d 1 (amd64)", "- c 1 (amd64)"]
        );
        assert!(now.changes_since(&now).is_empty());
    }
}
