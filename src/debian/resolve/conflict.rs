//! Packages that cannot be beside each other.

use std::collections::BTreeMap;

use super::super::{Architecture, Candidate, Relation};
use super::error::ResolutionError;
use super::search::Found;
use super::world::{Offer, World, meets};

/// What chosen packages conflict with or break, and what they are called.
pub(super) struct Conflicts<'a> {
    architecture: Architecture,
    /// By the name that a relation is about.
    against: BTreeMap<&'a str, Vec<(&'a Candidate, &'static str, &'a Relation)>>,
    /// By each name that a package has or provides.
    named: BTreeMap<&'a str, Vec<&'a Candidate>>,
}

/// One package cannot be beside another.
pub(super) struct Conflict<'a> {
    one: &'a Candidate,
    verb: &'static str,
    relation: &'a Relation,
    other: &'a Candidate,
}

/// What a package conflicts with and what it breaks.
fn relations(candidate: &Candidate) -> impl Iterator<Item = (&'static str, &Relation)> {
    let conflicts = candidate.conflicts.iter().map(|it| ("conflicts with", it));
    conflicts.chain(candidate.breaks.iter().map(|it| ("breaks", it)))
}

/// The names that a package has.
fn names(candidate: &Candidate) -> impl Iterator<Item = &str> {
    let provides = candidate.provides.iter().map(|it| it.package.as_str());
    std::iter::once(candidate.name.as_str()).chain(provides)
}

impl<'a> Conflicts<'a> {
    pub(super) fn of(found: &'a Found, architecture: Architecture) -> Self {
        let mut conflicts = Self {
            architecture,
            against: BTreeMap::new(),
            named: BTreeMap::new(),
        };
        for picked in found.values() {
            let candidate = &picked.offer.candidate;
            for (verb, relation) in relations(candidate) {
                let against = conflicts
                    .against
                    .entry(relation.package.as_str())
                    .or_default();
                against.push((candidate, verb, relation));
            }
            for name in names(candidate) {
                conflicts.named.entry(name).or_default().push(candidate);
            }
        }
        conflicts
    }

    /// A conflict between a package and one of the chosen, if there is one.
    pub(super) fn with<'b>(&'b self, offer: &'b Offer) -> Option<Conflict<'b>> {
        let candidate = &offer.candidate;
        let own = relations(candidate).find_map(|(verb, relation)| {
            let named = self.named.get(relation.package.as_str())?;
            let other = named
                .iter()
                .find(|it| self.is_hit(candidate, relation, it))?;
            Some(Conflict {
                one: candidate,
                verb,
                relation,
                other,
            })
        });
        own.or_else(|| {
            names(candidate).find_map(|name| {
                let against = self.against.get(name)?;
                let (one, verb, relation) = against
                    .iter()
                    .find(|(one, _, relation)| self.is_hit(one, relation, candidate))?;
                Some(Conflict {
                    one,
                    verb,
                    relation,
                    other: candidate,
                })
            })
        })
    }

    /// A package that provides what it conflicts with does not conflict with itself (Policy 7.4).
    fn is_hit(&self, one: &Candidate, relation: &Relation, other: &Candidate) -> bool {
        one.name != other.name && is_hit(relation, other, self.architecture)
    }
}

/// Whether a relation of `Conflicts` or `Breaks` is about this package. Here `:any` and no
/// architecture are the same.
fn is_hit(relation: &Relation, other: &Candidate, architecture: Architecture) -> bool {
    match relation.architecture.as_deref() {
        Some("any") => {
            let relation = Relation {
                architecture: None,
                ..relation.clone()
            };
            meets(&relation, other, architecture)
        }
        _ => meets(relation, other, architecture),
    }
}

/// Makes sure that no chosen package conflicts with or breaks another.
pub(super) fn check(world: &World<'_>, found: &Found) -> Result<(), ResolutionError> {
    let conflicts = Conflicts::of(found, world.architecture());
    let because = |candidate: &Candidate| {
        let because = found.get(&candidate.name).map(|it| it.because.to_string());
        format!(
            "{} {} ({})",
            candidate.name,
            candidate.version,
            because.unwrap_or_default()
        )
    };
    match found
        .values()
        .find_map(|picked| conflicts.with(&picked.offer))
    {
        None => Ok(()),
        Some(Conflict {
            one,
            verb,
            relation,
            other,
        }) => Err(ResolutionError::Conflict {
            one: because(one),
            other: because(other),
            verb,
            relation: relation.to_string(),
        }),
    }
}
