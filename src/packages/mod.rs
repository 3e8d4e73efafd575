//! Which package of the system owns a file, by the databases of dpkg, apk and rpm.
//!
//! The databases are read as they lie in a [`Sysroot`]; no package manager is started. They
//! are hostile: sizes are bounded, and what cannot be understood is told in
//! [`Owners::unread`], never guessed.

mod apk;
mod captured;
mod dpkg;
mod needles;
mod record;
mod rpm;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ImagePath;
use crate::sysroot::Sysroot;
pub use captured::Captured;
use needles::Needles;
pub use record::{Record, Taken, records};

/// No database file beyond this many bytes is read: a distribution's largest are some 300 MB.
const DATABASE_LIMIT: u64 = 1 << 30;

/// The package manager of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// Debian's, `/var/lib/dpkg`.
    Dpkg,
    /// Alpine's, `/lib/apk/db` or `/usr/lib/apk/db`.
    Apk,
    /// Fedora's and SUSE's, `/var/lib/rpm` or `/usr/lib/sysimage/rpm`.
    Rpm,
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dpkg => "dpkg",
            Self::Apk => "apk",
            Self::Rpm => "rpm",
        })
    }
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Package {
    /// Its name, without architecture.
    pub name: String,
    /// Its version as its manager writes it (rpm: `EPOCH:VERSION-RELEASE`, the epoch only when
    /// there is one); empty when the database does not say.
    pub version: String,
    /// Its architecture as its manager writes it; empty when the database does not say.
    pub architecture: String,
    /// Whose database it is in.
    pub manager: Manager,
}

/// A database that is there but was not understood: who owns a file is then unknown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// Whose database it is.
    pub manager: Manager,
    /// Where it is in the sysroot.
    pub path: String,
    /// Why it could not be read.
    pub why: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { manager, path, why } = self;
        write!(f, "the {manager} database {path} was not read: {why}")
    }
}

/// Who owns which file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    packages: Vec<Owner>,
    owners: BTreeMap<ImagePath, usize>,
    databases: Vec<Manager>,
    unread: Vec<Unread>,
}

impl Owners {
    /// The package that owns `path`.
    pub fn of(&self, path: &ImagePath) -> Option<&Package> {
        let owner = self.packages.get(*self.owners.get(path)?)?;
        Some(&owner.package)
    }

    /// The databases that were read. Without any, who owns a file is unknown.
    pub fn databases(&self) -> &[Manager] {
        &self.databases
    }

    /// The databases that are there and could not be read.
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }

    fn add(&mut self, manager: Manager, found: Result<Option<Found>, Unread>) {
        match found {
            Ok(None) => {}
            Ok(Some(found)) => {
                if !self.databases.contains(&manager) {
                    self.databases.push(manager);
                }
                for (owner, paths) in found {
                    let index = self.packages.len();
                    self.packages.push(owner);
                    for path in paths {
                        self.owners.entry(path).or_insert(index);
                    }
                }
            }
            Err(unread) => self.unread.push(unread),
        }
    }
}

/// A package that owns a file, and what its database says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    package: Package,
    /// Its paragraph in the database; empty where that has none.
    paragraph: Box<[u8]>,
    /// Where its database has the sums of its files.
    sums: PathBuf,
}

/// Packages with those of the wanted files that they own.
type Found = Vec<(Owner, Vec<ImagePath>)>;

/// Looks up who owns `paths`, which are canonical in `sysroot` (links followed).
///
/// Databases often spell `/lib/libz.so.1` where the file is `/usr/lib/libz.so.1`: where the
/// sysroot has such a link of the usr-merge, both spellings are looked for.
pub fn owners(sysroot: &dyn Sysroot, paths: &[ImagePath]) -> Owners {
    let merged = needles::merged_directories(sysroot);
    let mut owners = Owners::default();
    owners.add(Manager::Dpkg, dpkg::owners(sysroot, paths, &merged));
    owners.add(
        Manager::Dpkg,
        dpkg::owners_of_distroless(sysroot, paths, &merged),
    );
    for database in apk::DATABASES {
        let found = apk::owners(sysroot, database, paths, &merged);
        owners.add(Manager::Apk, found);
    }
    for directory in rpm::DIRECTORIES {
        let found = rpm::owners(sysroot, directory, paths, &merged);
        owners.add(Manager::Rpm, found);
    }
    owners
}

/// Whether `path` is a file that [`owners`] may read: what has to be kept of an image that
/// is read layer by layer.
pub fn is_database(path: &ImagePath) -> bool {
    let path = path.as_path();
    dpkg::is_database(path)
        || apk::DATABASES.iter().any(|known| path == Path::new(known))
        || rpm::is_database(path)
}

/// Reads a database file; `None` when there is none.
fn read(sysroot: &dyn Sysroot, manager: Manager, path: &str) -> Result<Option<Vec<u8>>, Unread> {
    match sysroot.read(Path::new(path), DATABASE_LIMIT) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Unread {
            manager,
            path: path.to_owned(),
            why: error.to_string(),
        }),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
