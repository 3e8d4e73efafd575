//! Which packages are needed for those that are asked for.
//!
//! Of each package there is one candidate: the version that is asked for, or else the highest of
//! all indices, as apt has it. What it depends on is chosen first where there is no choice; then
//! the remaining dependencies are gone through in the order in which they were met: one that is
//! met by what is chosen already needs nothing more, another takes its first alternative that can
//! be had with all that it needs in turn. An alternative stands for the package of its name, and
//! then for those that provide the name: by priority, then by name.
//!
//! `Recommends` and `Suggests` are never followed, and essential packages come only when
//! something depends on them: an image is no system that is administered.

mod conflict;
mod error;
mod search;
mod similar;
#[cfg(test)]
mod tests;
mod world;

use super::{Architecture, Candidate, Exclusion, Index};
pub use error::{ResolutionError, Step};
use search::Search;
use world::World;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `NAME` or `NAME=VERSION` each.
    pub packages: &'a [String],
    /// What never comes. They are matched against names of packages, and against names that
    /// packages provide: a dependency on such a name is left out, whoever provides it.
    pub exclusions: &'a [Exclusion],
    /// The architecture; packages for `all` serve it too.
    pub architecture: Architecture,
}

/// A package that is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The package.
    pub candidate: Candidate,
    /// Which of the indices it is in; the first where several have the same version.
    pub index: usize,
    /// Why it is there.
    pub because: Because,
}

/// Why a package is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// It was asked for.
    AskedFor,
    /// The package of this name needs it; others may, too.
    NeededBy(String),
}

impl std::fmt::Display for Because {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AskedFor => f.write_str("asked for"),
            Self::NeededBy(name) => write!(f, "needed by {name}"),
        }
    }
}

/// A package that would be needed but is excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, as the dependency has it, or that of a package that provides it.
    pub package: String,
    /// Why: that of the exclusion.
    pub because: String,
    /// The chosen packages of which a dependency is not met for it, sorted.
    pub wanted_by: Vec<String>,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The packages, sorted by name.
    pub packages: Vec<Chosen>,
    /// The excluded packages of dependencies that nothing chosen meets, sorted by name.
    pub left_out: Vec<LeftOut>,
}

/// Chooses packages from `indices`. The result depends on nothing but the arguments.
///
/// # Errors
///
/// [`ResolutionError`] says what cannot be had, for what, and what there is instead.
pub fn resolve(indices: &[Index], wanted: &Wanted<'_>) -> Result<Selection, ResolutionError> {
    let mut world = World::new(indices, wanted)?;
    let asked = world.asked(wanted.packages)?;
    let found = Search::new(&mut world).run(&asked)?;
    conflict::check(&world, &found)?;
    let left_out = search::left_out(&mut world, &found)?;
    let packages = found.into_values().map(|it| Chosen {
        candidate: it.offer.candidate.clone(),
        index: it.offer.index,
        because: it.because,
    });
    Ok(Selection {
        packages: packages.collect(),
        left_out,
    })
}
