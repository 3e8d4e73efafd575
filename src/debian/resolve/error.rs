//! Why nothing can be chosen.

use super::super::version::VersionError;
use super::super::{Architecture, IndexError, Relation};
use super::world::World;

/// Names of a list that an error shows.
const SHOWN: usize = 8;

/// What was asked for cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolutionError {
    /// An index is broken where it was needed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// What was asked for is no name of a package.
    #[error(
        "{asked:?} is no package: NAME or NAME=VERSION is expected, of small letters, digits and + - ."
    )]
    Name {
        /// What was asked for.
        asked: String,
    },
    /// What was asked for has a version that is none.
    #[error("package {package}: {source}")]
    Version {
        /// The package.
        package: String,
        /// What is wrong with the version.
        source: VersionError,
    },
    /// Two versions of one package were asked for.
    #[error("package {package} is asked for in version {} and in version {}: only one can be had", .versions[0], .versions[1])]
    TwoVersions {
        /// The package.
        package: String,
        /// The versions.
        versions: [String; 2],
    },
    /// No index has a package of this name.
    #[error(
        "there is no package {package}{similar}; `distrobuild bases show BASE` tells the archives that are searched"
    )]
    Unknown {
        /// What was asked for.
        package: String,
        /// Names that may have been meant, as a part of the sentence.
        similar: String,
    },
    /// No package has this name, but some provide it.
    #[error("{package} is no package of its own; name one of those that provide it: {}", list(.providers))]
    Virtual {
        /// What was asked for.
        package: String,
        /// The packages that provide it.
        providers: Vec<String>,
    },
    /// The package is there, but not this version or not for this architecture.
    #[error("there is no package {package} for {architecture}; there is {}", list(.there))]
    NoVersion {
        /// The package, with the version if one was asked for.
        package: String,
        /// For what it was looked for.
        architecture: Architecture,
        /// The versions that there are, highest first, with architectures.
        there: Vec<String>,
    },
    /// The package was asked for and excluded.
    #[error("package {package} is asked for, but it never comes into this base: {because}")]
    Excluded {
        /// The package.
        package: String,
        /// The reason of the exclusion.
        because: String,
    },
    /// The pattern of an exclusion is broken.
    #[error("the exclusion {pattern:?} is no pattern: {why}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something that is needed cannot be had.
    #[error("package {package} cannot be had: {}, but {}; ask for another version (NAME=VERSION), or exclude what is not needed", chain(.steps), .there.join(", "))]
    Unsatisfiable {
        /// What was asked for.
        package: String,
        /// From it down to what is missing.
        steps: Vec<Step>,
        /// What there is in place of each alternative of the last step.
        there: Vec<String>,
    },
    /// Two packages that are needed cannot be together.
    #[error(
        "{one} {verb} {relation}, and that is {other}; ask for one of them less, or for another version (NAME=VERSION)"
    )]
    Conflict {
        /// The package that says so, with version and reason.
        one: String,
        /// The package that it is about, with version and reason.
        other: String,
        /// `conflicts with` or `breaks`.
        verb: &'static str,
        /// With what.
        relation: String,
    },
    /// The search took too long.
    #[error(
        "the dependencies are too many: given up after {limit} of them; ask for fewer packages"
    )]
    TooHard {
        /// How many were looked at.
        limit: usize,
    },
}

/// A package on the way to what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The dependency that cannot be met.
    pub needs: String,
}

fn chain(steps: &[Step]) -> String {
    let sentence = |step: &Step| format!("{} {} needs {}", step.package, step.version, step.needs);
    let (first, last) = match steps {
        [first @ .., a, b, c] if first.len() > SHOWN => {
            (first.get(..SHOWN).unwrap_or_default(), vec![a, b, c])
        }
        _ => (steps, Vec::new()),
    };
    let gap = (!last.is_empty()).then(|| "...".to_owned());
    let all: Vec<String> = first
        .iter()
        .map(sentence)
        .chain(gap)
        .chain(last.into_iter().map(sentence))
        .collect();
    all.join("; ")
}

fn list(names: &[String]) -> String {
    let shown = names
        .get(..SHOWN.min(names.len()))
        .unwrap_or_default()
        .join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Names that may have been meant, as a part of a sentence.
pub(super) fn instead(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(" or ")),
    }
}

/// Why a relation is not met: what there is in its place.
pub(super) fn missing(world: &World<'_>, relation: &Relation) -> Result<String, ResolutionError> {
    let name = &relation.package;
    let all = world.all(name)?;
    let architecture = world.architecture().name();
    let fits = |it: &str| it == "all" || it == architecture;
    Ok(
        match all.iter().find(|it| fits(&it.candidate.architecture)) {
            _ if all.is_empty() => format!("there is no package {name}"),
            None => format!("{name} is not there for {architecture}"),
            Some(offer) => format!("{name} is there as {}", offer.candidate.version),
        },
    )
}
