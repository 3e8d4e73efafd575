//! The search for what is needed.
//!
//! A package that needs what cannot be had cannot be had either, whatever else is chosen. So
//! there is nothing to go back to step by step: it is written down, and the search starts again
//! without it. Each round learns of one such package at least.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::super::Alternatives;
use super::conflict::Conflicts;
use super::error::{ResolutionError, Step, missing};
use super::world::{Offer, World};
use super::{Because, LeftOut};

/// Dependencies that are looked at before the search is given up: those of a whole archive can
/// be gone through several times. A desktop takes some 20,000.
const LIMIT: usize = 3_000_000;

/// A package that is chosen.
pub(super) struct Picked {
    pub(super) offer: Rc<Offer>,
    pub(super) because: Because,
}

/// All that is chosen, by name.
pub(super) type Found = BTreeMap<String, Picked>;

/// What may meet a dependency.
enum Options {
    /// What is chosen already does.
    Met,
    /// Excluded packages alone do: it is left out.
    LeftOut,
    /// These do, the preferred first; none: it cannot be met.
    Open(Vec<Rc<Offer>>),
}

pub(super) struct Search<'w, 'a> {
    world: &'w mut World<'a>,
    found: Found,
    /// Packages that cannot be had, each with the dependency that cannot be met.
    broken: BTreeMap<String, Alternatives>,
    steps: usize,
}

impl<'w, 'a> Search<'w, 'a> {
    pub(super) fn new(world: &'w mut World<'a>) -> Self {
        Self {
            world,
            found: Found::new(),
            broken: BTreeMap::new(),
            steps: 0,
        }
    }

    /// Chooses what was asked for, and all that it needs.
    pub(super) fn run(mut self, asked: &[Rc<Offer>]) -> Result<Found, ResolutionError> {
        loop {
            let known = self.broken.len();
            self.round(asked)?;
            if self.broken.len() == known {
                return Ok(self.found);
            }
            if let Some(offer) = asked
                .iter()
                .find(|it| self.broken.contains_key(&it.candidate.name))
            {
                return Err(self.unsatisfiable(offer)?);
            }
        }
    }

    /// Chooses once. Where a package turns out to be broken the rest is gone through all the
    /// same, so that one round finds many.
    fn round(&mut self, asked: &[Rc<Offer>]) -> Result<(), ResolutionError> {
        self.found = Found::new();
        let mut forced: VecDeque<Rc<Offer>> = VecDeque::new();
        let mut choices: VecDeque<(Rc<Offer>, usize)> = VecDeque::new();
        for offer in asked {
            forced.extend(self.pick(offer, Because::AskedFor));
        }
        loop {
            while let Some(offer) = forced.pop_front() {
                for number in 0..offer.candidate.depends.len() {
                    match self.options(&offer, number)? {
                        Options::Open(options) if options.len() > 1 => {
                            choices.push_back((Rc::clone(&offer), number));
                        }
                        Options::Open(options) => {
                            forced.extend(self.take(&offer, number, options.first()))
                        }
                        Options::Met | Options::LeftOut => {}
                    }
                }
            }
            let Some((offer, number)) = choices.pop_front() else {
                return Ok(());
            };
            if let Options::Open(options) = self.options(&offer, number)? {
                let conflicts = Conflicts::of(&self.found, self.world.architecture());
                self.steps += self.found.len();
                let peaceful = options.iter().find(|it| conflicts.with(it).is_none());
                forced.extend(self.take(&offer, number, peaceful.or(options.first())));
            }
        }
    }

    /// Chooses `option` for a dependency, or notes that it cannot be met.
    fn take(
        &mut self,
        offer: &Rc<Offer>,
        number: usize,
        option: Option<&Rc<Offer>>,
    ) -> Option<Rc<Offer>> {
        let name = &offer.candidate.name;
        match option {
            Some(option) => self.pick(option, Because::NeededBy(name.clone())),
            None => {
                let depends = offer.candidate.depends.get(number)?;
                self.broken
                    .entry(name.clone())
                    .or_insert_with(|| depends.clone());
                None
            }
        }
    }

    /// Chooses a package, and gives it back when it was not chosen before.
    fn pick(&mut self, offer: &Rc<Offer>, because: Because) -> Option<Rc<Offer>> {
        if self.found.contains_key(&offer.candidate.name) {
            return None;
        }
        let picked = Picked {
            offer: Rc::clone(offer),
            because,
        };
        self.found.insert(offer.candidate.name.clone(), picked);
        Some(Rc::clone(offer))
    }

    fn options(&mut self, offer: &Offer, number: usize) -> Result<Options, ResolutionError> {
        let Some(depends) = offer.candidate.depends.get(number) else {
            return Ok(Options::Met);
        };
        self.steps += 1;
        let mut options: Vec<Rc<Offer>> = Vec::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut excluded = false;
        for relation in &depends.0 {
            let by_name = self.world.exclusion(&relation.package).is_some();
            excluded |= by_name;
            for answer in self.world.answers(relation)? {
                self.steps += 1;
                let name = &answer.candidate.name;
                if self.found.contains_key(name) {
                    return Ok(Options::Met);
                }
                if by_name || self.world.exclusion(name).is_some() {
                    excluded = true;
                } else if !self.broken.contains_key(name) && seen.insert(name.clone()) {
                    options.push(answer);
                }
            }
        }
        if self.steps > LIMIT {
            return Err(ResolutionError::TooHard { limit: LIMIT });
        }
        Ok(if options.is_empty() && excluded {
            Options::LeftOut
        } else {
            Options::Open(options)
        })
    }

    /// Follows the dependencies that cannot be met to the one at the bottom of it.
    fn unsatisfiable(&mut self, asked: &Rc<Offer>) -> Result<ResolutionError, ResolutionError> {
        let mut steps: Vec<Step> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = Some(Rc::clone(asked));
        let mut there = Vec::new();
        while let Some(offer) = next
            .take()
            .filter(|it| seen.insert(it.candidate.name.clone()))
        {
            let candidate = &offer.candidate;
            let Some(depends) = self.broken.get(&candidate.name) else {
                break;
            };
            steps.push(Step {
                package: candidate.name.clone(),
                version: candidate.version.to_string(),
                needs: depends.to_string(),
            });
            there.clear();
            for relation in &depends.0 {
                let answers = self.world.answers(relation)?;
                let broken = |it: &&Rc<Offer>| self.broken.contains_key(&it.candidate.name);
                next = next.or_else(|| answers.iter().find(broken).cloned());
                there.push(missing(self.world, relation)?);
            }
        }
        Ok(ResolutionError::Unsatisfiable {
            package: asked.candidate.name.clone(),
            steps,
            there,
        })
    }
}

/// The excluded packages of all dependencies that nothing in `found` meets.
pub(super) fn left_out(
    world: &mut World<'_>,
    found: &Found,
) -> Result<Vec<LeftOut>, ResolutionError> {
    let mut left_out: BTreeMap<String, (&str, BTreeSet<&str>)> = BTreeMap::new();
    for (name, picked) in found {
        for depends in &picked.offer.candidate.depends {
            let mut excluded: Vec<(String, &str)> = Vec::new();
            let mut met = false;
            for relation in &depends.0 {
                let answers = world.answers(relation)?;
                met |= answers
                    .iter()
                    .any(|it| found.contains_key(&it.candidate.name));
                match world.exclusion(&relation.package) {
                    Some(because) => excluded.push((relation.package.clone(), because)),
                    None => excluded.extend(answers.iter().filter_map(|it| {
                        let name = &it.candidate.name;
                        Some((name.clone(), world.exclusion(name)?))
                    })),
                }
            }
            for (package, because) in excluded.into_iter().filter(|_| !met) {
                left_out
                    .entry(package)
                    .or_insert((because, BTreeSet::new()))
                    .1
                    .insert(name);
            }
        }
    }
    let entries = left_out
        .into_iter()
        .map(|(package, (because, wanted_by))| LeftOut {
            package,
            because: because.to_owned(),
            wanted_by: wanted_by.into_iter().map(str::to_owned).collect(),
        });
    Ok(entries.collect())
}
