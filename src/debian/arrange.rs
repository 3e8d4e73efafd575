//! Packages laid out as they would be installed, by rule and without running anything.
//!
//! | step | what it does | dpkg's or a maintainer script's own |
//! |---|---|---|
//! | `gather` | one tree of all packages, `/bin`, `/sbin`, `/lib*` merged into `/usr` | `dpkg --unpack`, usrmerge |
//! | `omit` | leaves out what the recipe says, never a copyright file | `--path-exclude` |
//! | `certificates` | the bundle of authorities | update-ca-certificates(8) |
//! | `keystore` | the trust store of Java | ca-certificates-java's hook |
//! | `alternatives` | links such as `/usr/bin/java` | update-alternatives(1) |
//! | `libraries` | `/etc/ld.so.cache`, links by soname | ldconfig(8) |
//! | `status` | `/var/lib/dpkg/status.d` | `/var/lib/dpkg/status` |

mod alternatives;
mod certificates;
mod forbidden;
mod gather;
mod keystore;
mod libraries;
mod merged;
mod omit;
mod status;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use super::pool::Unpacked;
use super::{Architecture, Recipe};
use crate::ImagePath;
use crate::rootfs::{Conflict, Content, Entry, EntryKind, Origin, Rootfs};

pub use forbidden::forbidden;

use gather::Gathered;

/// A package to be laid out.
#[derive(Debug, Clone, Copy)]
pub struct Laid<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version, as the index spells it.
    pub version: &'a str,
    /// What it holds.
    pub unpacked: &'a Unpacked,
}

/// What is to be laid out, and how.
#[derive(Debug, Clone, Copy)]
pub struct Arrangement<'a> {
    /// The packages, sorted by name.
    pub packages: &'a [Laid<'a>],
    /// What is left out, and which links are made.
    pub recipe: &'a Recipe,
    /// The architecture of the packages.
    pub architecture: Architecture,
    /// What the base brings of its own. It wins over the packages.
    pub foundation: &'a Rootfs,
}

/// Packages laid out.
#[derive(Debug, Clone)]
pub struct Arranged {
    /// The tree; everything is of [`Origin::Base`].
    pub rootfs: Rootfs,
    /// What is worth a word to the user, sorted.
    pub notices: Vec<String>,
}

/// Why packages cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum ArrangeError {
    /// Two packages bring different things under one name.
    #[error(
        "{path} comes from {first} and from {second}, and differs; leave one of the two packages \
         out of the base"
    )]
    Different {
        /// The path, merged into `/usr`.
        path: ImagePath,
        /// The package that came first by name.
        first: String,
        /// The other one.
        second: String,
    },
    /// A package's path does not fit into the tree.
    #[error("{package} cannot be laid out: {conflict}")]
    Conflict {
        /// The package, or what else brought the path.
        package: String,
        /// Why.
        conflict: Conflict,
    },
    /// A place where a link into `/usr` belongs is taken.
    #[error("{path} from {owner} stands where the link to /usr{path} belongs; remove it there")]
    Merge {
        /// The place.
        path: ImagePath,
        /// Who brings it.
        owner: String,
    },
    /// A package says of itself something else than the index did.
    #[error(
        "{package}: its control file {what}; the index and the package do not belong together, so \
         it is not used"
    )]
    Stanza {
        /// The package by the index.
        package: String,
        /// What is odd.
        what: String,
    },
    /// A pattern of the recipe is wrong.
    #[error("the recipe {recipe} has the pattern {glob:?}: {reason}")]
    Pattern {
        /// The recipe.
        recipe: String,
        /// The pattern.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate is none.
    #[error(
        "{path} of {package} is no certificate in PEM: {reason}; the bundle of authorities cannot \
         be made of it"
    )]
    Certificate {
        /// The package.
        package: String,
        /// The file.
        path: ImagePath,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An unpacked file cannot be read.
    #[error("cannot read {}, which was unpacked from {package}: {source}", .path.display())]
    Read {
        /// The package.
        package: String,
        /// The file on this machine.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Lays packages out as they would be installed.
///
/// # Errors
/// When packages do not fit together, one is not what the index said, or the recipe's patterns
/// are wrong.
pub fn arrange(arrangement: &Arrangement<'_>) -> Result<Arranged, ArrangeError> {
    let mut notices = Vec::new();
    status::check(arrangement)?;
    let mut gathered = Gathered::of(arrangement, &mut notices)?;
    let certificates = certificates::take(&mut gathered)?;
    omit::omit(&mut gathered, &mut notices)?;
    let mut tree = Tree(gathered.rootfs()?);
    tree.link_into_usr(&gathered)?;
    certificates::add(&mut tree, &certificates)?;
    alternatives::add(&mut tree, arrangement)?;
    keystore::add(&mut tree, arrangement, &certificates, &mut notices)?;
    libraries::add(&mut tree, arrangement.architecture)?;
    status::add(&mut tree, &gathered)?;
    notices.sort_unstable();
    Ok(Arranged {
        rootfs: tree.0,
        notices,
    })
}

/// The tree while what scripts would make is added to it.
struct Tree(Rootfs);

impl Tree {
    /// Adds a file that is made here, unless something stands there.
    fn add_file(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), ArrangeError> {
        let entry = Entry::file(Content::Bytes(bytes.into()), 0o644, Origin::Base);
        match ImagePath::new(path) {
            Ok(path) => self.add(&path, entry),
            // Only names that are checked are put together to paths.
            Err(_) => Ok(()),
        }
    }

    /// Adds what is made here, unless something stands there.
    fn add(&mut self, path: &ImagePath, entry: Entry) -> Result<(), ArrangeError> {
        let failed = |conflict| ArrangeError::Conflict {
            package: "what distrobuild adds to packages".to_owned(),
            conflict,
        };
        let path = self.0.canonical(&merged::path(path)).map_err(failed)?;
        if self.0.get(&path).is_some() {
            return Ok(());
        }
        self.0.insert(path, entry).map_err(failed)
    }

    /// Makes `/lib` a link to `usr/lib`, and so on, where the latter is a directory.
    fn link_into_usr(&mut self, gathered: &Gathered<'_>) -> Result<(), ArrangeError> {
        for (alias, real) in merged::aliases() {
            let taken = self.0.get(&alias).map(|entry| entry.kind.clone());
            match taken {
                Some(EntryKind::Symlink(_)) => {}
                Some(_) => {
                    return Err(ArrangeError::Merge {
                        owner: gathered.owner(&alias),
                        path: alias,
                    });
                }
                None if self.0.get(&real).is_some() => {
                    let target = crate::rootfs::relative(&alias, &real);
                    self.add_alias(alias, target)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn add_alias(&mut self, alias: ImagePath, target: PathBuf) -> Result<(), ArrangeError> {
        self.0
            .insert(alias, Entry::symlink(target, Origin::Base))
            .map_err(|conflict| ArrangeError::Conflict {
                package: "the link into /usr".to_owned(),
                conflict,
            })
    }
}

/// The bytes of a small file of a package.
fn read(content: &Content, package: &str) -> Result<Vec<u8>, ArrangeError> {
    match content {
        Content::Bytes(bytes) => Ok(bytes.to_vec()),
        Content::Host { path, .. } => std::fs::read(path).map_err(|source| ArrangeError::Read {
            package: package.to_owned(),
            path: path.clone(),
            source,
        }),
    }
}

/// `{triplet}` and `{arch}` of the recipe's paths.
fn expanded(text: &str, architecture: Architecture) -> String {
    text.replace("{triplet}", architecture.triplet())
        .replace("{arch}", architecture.name())
}
