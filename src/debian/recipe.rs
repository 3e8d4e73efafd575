//! What makes a base from packages, as data: `bases/debian/*.toml`.
//!
//! `bases/README.md` documents the format.

mod document;
mod error;
mod pattern;
mod recipes;

use std::collections::BTreeSet;
use std::path::Path;

use pattern::PackagePattern;

pub use error::RecipeError;
pub use recipes::Recipes;

use super::{Architecture, Reference};
use crate::rootfs::{Base, BaseConfig, BaseError};

/// What every base has beside its packages: accounts, directories, `nsswitch.conf`.
const FOUNDATION: (&str, &str) = (
    "bases/debian/foundation.toml",
    include_str!("../../bases/debian/foundation.toml"),
);

/// One base, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeSummary {
    /// Its name.
    pub reference: Reference,
    /// One line about it.
    pub description: String,
}

/// What makes one base.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Its name.
    pub reference: Reference,
    /// One line about it.
    pub description: String,
    /// The packages asked for, each with the architectures that it is for (empty: all).
    pub packages: Vec<(String, Vec<Architecture>)>,
    /// Packages that never come, whoever depends on them.
    pub exclusions: Vec<Exclusion>,
    /// Packages that come only where something that was added needs them: see
    /// [`Recipe::exclusions_beside`].
    pub unneeded: Vec<Exclusion>,
    /// Files of packages that do not come.
    pub omissions: Vec<Omission>,
    /// Links that maintainer scripts would make.
    pub alternatives: Vec<Alternative>,
    /// Where the packages are.
    pub archives: Vec<Archive>,
    /// The architectures that it can be made for.
    pub architectures: Vec<Architecture>,
    /// Environment of the image's config, in order.
    pub env: Vec<(String, String)>,
    /// `USER[:GROUP]` of the image's config.
    pub user: String,
    /// The packages of Google's distroless image of this kind, where there is one.
    pub distroless: Vec<String>,
    /// Those of them that this base does not have, each with the reason.
    pub not_as_distroless: Vec<(String, String)>,
}

/// A package that never comes, whoever depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// Its name, or a glob: `perl*`.
    pub package: String,
    /// Why, as the end of a sentence: "left out, because …".
    pub because: String,
}

/// Files of packages that do not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Omission {
    /// Globs of paths in the image (`/usr/share/man/**`), usr-merged. `*` and `?` stay within
    /// a name, `**` is any number of names.
    pub paths: Vec<String>,
    /// Globs of what comes nevertheless.
    pub keep: Vec<String>,
    /// Why.
    pub because: String,
}

/// A link that a maintainer script (`update-alternatives`) would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The path of the link; may hold `{triplet}` and `{arch}`.
    pub link: String,
    /// What it leads to (a file or a directory), as a path or a glob of which the last match by
    /// name wins; may hold `{triplet}` and `{arch}`. Without a match there is no link.
    pub target: String,
    /// Why.
    pub because: String,
}

/// A suite of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its URL, which `dists/` and `pool/` lie below, and the architectures that it has (empty: all).
    pub urls: Vec<(String, Vec<Architecture>)>,
    /// `bookworm`, `bookworm-security`.
    pub suite: String,
    /// `main`...
    pub components: Vec<String>,
    /// The built-in keyring that signs it.
    pub keyring: String,
    /// The path of the index of files below `dists/SUITE/`, with `{component}` and `{arch}`;
    /// empty where there is none.
    pub contents: String,
}

impl Recipe {
    /// The packages that are asked for on this architecture, by name.
    pub fn packages_for(&self, architecture: Architecture) -> Vec<String> {
        let asked = self.packages.iter();
        let for_it = asked.filter(|(_, only)| is_for(only, architecture));
        let names: BTreeSet<&String> = for_it.map(|(name, _)| name).collect();
        names.into_iter().cloned().collect()
    }

    /// The suites that have packages of this architecture, each with the URL to ask, in their
    /// order.
    pub fn archives_for(&self, architecture: Architecture) -> Vec<(&Archive, String)> {
        let archives = self.archives.iter();
        archives
            .filter_map(|archive| {
                let mut urls = archive.urls.iter();
                let (url, _) = urls.find(|(_, only)| is_for(only, architecture))?;
                Some((archive, url.clone()))
            })
            .collect()
    }

    /// All that must not come: the exclusions, and what is unneeded, except what `added` names.
    ///
    /// `added` is what was added to the base, with all that it depends on and that the base alone
    /// does not bring: the names that resolving the additions gives with
    /// [`Recipe::exclusions`] and every package of the base alone excluded. Empty for the base
    /// alone.
    pub fn exclusions_beside(&self, added: &BTreeSet<String>) -> Vec<Exclusion> {
        let unneeded = self.unneeded.iter().filter(|unneeded| {
            let pattern = PackagePattern::new(&unneeded.package);
            !added.iter().any(|name| pattern.matches(name))
        });
        self.exclusions.iter().chain(unneeded).cloned().collect()
    }

    /// What the base has beside its packages: accounts, directories, `nsswitch.conf`. Its name,
    /// user and environment are this recipe's.
    ///
    /// # Errors
    /// When something in `bases/debian/foundation.toml` is wrong.
    pub fn foundation(&self) -> Result<Base, BaseError> {
        let (file, text) = FOUNDATION;
        let mut base = Base::parse(Path::new(file), text)?;
        base.name = self.reference.to_string();
        base.description.clone_from(&self.description);
        base.config = BaseConfig {
            user: self.user.clone(),
            env: self.env.clone(),
        };
        Ok(base)
    }
}

/// An empty list of architectures is all of them.
fn is_for(only: &[Architecture], architecture: Architecture) -> bool {
    only.is_empty() || only.contains(&architecture)
}

#[cfg(test)]
mod tests;
