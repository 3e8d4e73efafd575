//! What can be had: the indices, seen through what was asked for.

use std::collections::BTreeMap;
use std::rc::Rc;

use globset::{Glob, GlobMatcher};

use super::super::relation::is_package_name;
use super::super::{Architecture, Candidate, Index, MultiArch, Relation, Version};
use super::error::{ResolutionError, instead};
use super::similar::similar;
use super::{Exclusion, Wanted};

/// The candidate of a package.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) candidate: Candidate,
    pub(super) index: usize,
}

/// The indices, with what was read of them.
pub(super) struct World<'a> {
    indices: &'a [Index],
    architecture: Architecture,
    exclusions: Vec<(GlobMatcher, &'a Exclusion)>,
    pins: BTreeMap<String, Version>,
    offers: BTreeMap<String, Option<Rc<Offer>>>,
    providers: BTreeMap<String, Rc<[Rc<Offer>]>>,
}

impl<'a> World<'a> {
    pub(super) fn new(indices: &'a [Index], wanted: &Wanted<'a>) -> Result<Self, ResolutionError> {
        let matcher = |exclusion: &'a Exclusion| match Glob::new(&exclusion.package) {
            Ok(glob) => Ok((glob.compile_matcher(), exclusion)),
            Err(error) => Err(ResolutionError::Glob {
                pattern: exclusion.package.clone(),
                why: error.kind().to_string(),
            }),
        };
        Ok(Self {
            indices,
            architecture: wanted.architecture,
            exclusions: wanted
                .exclusions
                .iter()
                .map(matcher)
                .collect::<Result<_, _>>()?,
            pins: BTreeMap::new(),
            offers: BTreeMap::new(),
            providers: BTreeMap::new(),
        })
    }

    /// The candidates of what was asked for, in that order, each once.
    pub(super) fn asked(&mut self, asked: &[String]) -> Result<Vec<Rc<Offer>>, ResolutionError> {
        let mut names: Vec<&str> = Vec::new();
        for asked in asked {
            let (name, version) = match asked.split_once('=') {
                None => (asked.as_str(), None),
                Some((name, version)) => (name, Some(version)),
            };
            if !is_package_name(name.as_bytes()) {
                return Err(ResolutionError::Name {
                    asked: asked.clone(),
                });
            }
            if let Some(version) = version {
                let version: Version =
                    version.parse().map_err(|source| ResolutionError::Version {
                        package: name.to_owned(),
                        source,
                    })?;
                match self.pins.get(name) {
                    Some(other) if *other != version => {
                        return Err(ResolutionError::TwoVersions {
                            package: name.to_owned(),
                            versions: [other.to_string(), version.to_string()],
                        });
                    }
                    _ => self.pins.insert(name.to_owned(), version),
                };
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.into_iter().map(|name| self.asked_for(name)).collect()
    }

    fn asked_for(&mut self, name: &str) -> Result<Rc<Offer>, ResolutionError> {
        if let Some(because) = self.exclusion(name) {
            return Err(ResolutionError::Excluded {
                package: name.to_owned(),
                because: because.to_owned(),
            });
        }
        if let Some(offer) = self.offer(name)? {
            return Ok(offer);
        }
        let package = name.to_owned();
        let all = self.all(name)?;
        if !all.is_empty() {
            let there = all
                .iter()
                .map(|it| format!("{} ({})", it.candidate.version, it.candidate.architecture));
            let architecture = self.architecture;
            let asked = self
                .pins
                .get(name)
                .map(|version| format!(" {version}"))
                .unwrap_or_default();
            return Err(ResolutionError::NoVersion {
                package: format!("{package}{asked}"),
                architecture,
                there: there.collect(),
            });
        }
        let providers = self.providers(name)?;
        if !providers.is_empty() {
            let providers = providers
                .iter()
                .map(|it| it.candidate.name.clone())
                .collect();
            return Err(ResolutionError::Virtual { package, providers });
        }
        Err(ResolutionError::Unknown {
            similar: instead(&similar(name, self.indices.iter().flat_map(Index::names))),
            package,
        })
    }

    /// Why a package never comes, if so.
    pub(super) fn exclusion(&self, name: &str) -> Option<&'a str> {
        let mut exclusions = self.exclusions.iter();
        exclusions
            .find(|(glob, _)| glob.is_match(name))
            .map(|(_, it)| it.because.as_str())
    }

    /// All versions of a package for any architecture, highest first.
    pub(super) fn all(&self, name: &str) -> Result<Vec<Offer>, ResolutionError> {
        let mut all = Vec::new();
        for (index, packages) in self.indices.iter().enumerate() {
            let candidates = packages.get(name)?;
            all.extend(
                candidates
                    .into_iter()
                    .map(|candidate| Offer { candidate, index }),
            );
        }
        // Stable: of equal versions, that of the first index stays first.
        all.sort_by(|one, other| other.candidate.version.cmp(&one.candidate.version));
        Ok(all)
    }

    /// The candidate of a package.
    pub(super) fn offer(&mut self, name: &str) -> Result<Option<Rc<Offer>>, ResolutionError> {
        if let Some(offer) = self.offers.get(name) {
            return Ok(offer.clone());
        }
        let pin = self.pins.get(name);
        let fits = |offer: &Offer| {
            let candidate = &offer.candidate;
            (candidate.architecture == "all" || candidate.architecture == self.architecture.name())
                && pin.is_none_or(|pin| *pin == candidate.version)
        };
        let offer = self.all(name)?.into_iter().find(fits).map(Rc::new);
        self.offers.insert(name.to_owned(), offer.clone());
        Ok(offer)
    }

    /// The candidates that provide a name, by priority, then by name.
    fn providers(&mut self, name: &str) -> Result<Rc<[Rc<Offer>]>, ResolutionError> {
        if let Some(providers) = self.providers.get(name) {
            return Ok(Rc::clone(providers));
        }
        let indices = self.indices;
        let mut names: Vec<&str> = indices
            .iter()
            .flat_map(|it| it.provider_names(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        let mut providers = Vec::new();
        for provider in names {
            let offer = self.offer(provider)?;
            let provides =
                |it: &Rc<Offer>| it.candidate.provides.iter().any(|it| it.package == name);
            providers.extend(offer.filter(provides));
        }
        providers.sort_by_key(|it| it.candidate.priority);
        let providers: Rc<[_]> = providers.into();
        self.providers
            .insert(name.to_owned(), Rc::clone(&providers));
        Ok(providers)
    }

    /// The candidates that meet a relation, the preferred first.
    pub(super) fn answers(
        &mut self,
        relation: &Relation,
    ) -> Result<Vec<Rc<Offer>>, ResolutionError> {
        let own = self.offer(&relation.package)?;
        let providers = self.providers(&relation.package)?;
        let others = providers
            .iter()
            .filter(|it| it.candidate.name != relation.package)
            .cloned();
        Ok(own
            .into_iter()
            .chain(others)
            .filter(|it| meets(relation, &it.candidate, self.architecture))
            .collect())
    }

    pub(super) fn architecture(&self) -> Architecture {
        self.architecture
    }
}

/// Whether a package meets a relation, by its name or by one that it provides.
pub(super) fn meets(
    relation: &Relation,
    candidate: &Candidate,
    architecture: Architecture,
) -> bool {
    let right_architecture = match relation.architecture.as_deref() {
        None | Some("native") => true,
        // `Multi-Arch: foreign` serves all architectures without being asked to.
        Some("any") => matches!(
            candidate.multi_arch,
            MultiArch::Allowed | MultiArch::Foreign
        ),
        Some(name) => name == architecture.name(),
    };
    let by_name = || relation.package == candidate.name && relation.allows(&candidate.version);
    let by_another = || {
        candidate.provides.iter().any(|provided| {
            let version = provided.constraint.as_ref().map(|it| &it.version);
            // Policy 7.5: what is provided without a version meets no relation that has one.
            provided.package == relation.package
                && relation
                    .constraint
                    .as_ref()
                    .is_none_or(|asked| version.is_some_and(|it| asked.allows(it)))
        })
    };
    right_architecture && (by_name() || by_another())
}
