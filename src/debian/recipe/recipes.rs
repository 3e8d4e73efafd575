//! All recipes, and how one is put together from its release, the bases that it extends and
//! what all share.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Spanned;

use super::document::{BaseText, Common, Document, Link, Packages, Release, architectures};
use super::pattern::PackagePattern;
use super::{Alternative, Archive, Exclusion, Omission, Recipe, RecipeError, RecipeSummary};
use crate::debian::Reference;

/// The most bases that extend each other.
const EXTENDS_LIMIT: usize = 16;

const COMMON: (&str, &str) = (
    "bases/debian/common.toml",
    include_str!("../../../bases/debian/common.toml"),
);
const RELEASES: &[(&str, &str)] = &[
    (
        "bases/debian/debian-bookworm.toml",
        include_str!("../../../bases/debian/debian-bookworm.toml"),
    ),
    (
        "bases/debian/debian-trixie.toml",
        include_str!("../../../bases/debian/debian-trixie.toml"),
    ),
    (
        "bases/debian/ubuntu-noble.toml",
        include_str!("../../../bases/debian/ubuntu-noble.toml"),
    ),
];

/// All recipes that are built in.
#[derive(Debug)]
pub struct Recipes {
    recipes: Vec<Recipe>,
}

impl Recipes {
    /// Those of `bases/debian`.
    ///
    /// # Errors
    /// When something in a file is wrong: the message names it and the line.
    pub fn built_in() -> Result<Self, RecipeError> {
        Self::parse(COMMON, RELEASES)
    }

    /// Reads the files given, each as its path and its text.
    pub(super) fn parse(
        (common_file, common): (&str, &str),
        releases: &[(&str, &str)],
    ) -> Result<Self, RecipeError> {
        let common = Document::<Common>::parse(Path::new(common_file), common)?;
        let mut recipes: Vec<Recipe> = Vec::new();
        for (file, text) in releases {
            let release = Document::<Release>::parse(Path::new(file), text)?;
            for base in &release.content.bases {
                let recipe = Maker::new(&common, &release).recipe(base)?;
                if recipes.iter().any(|it| it.reference == recipe.reference) {
                    let message = format!("{} is there twice", recipe.reference);
                    return Err(release.invalid(base.name.span(), message));
                }
                recipes.push(recipe);
            }
        }
        Ok(Self { recipes })
    }

    /// The recipe of this name.
    ///
    /// # Errors
    /// When there is none; the message lists those that there are.
    pub fn find(&self, reference: &Reference) -> Result<Recipe, RecipeError> {
        let mut recipes = self.recipes.iter();
        let found = recipes.find(|it| it.reference == *reference);
        found.cloned().ok_or_else(|| RecipeError::Unknown {
            reference: reference.clone(),
            available: self.available(reference),
        })
    }

    /// The suites that they take packages from.
    pub fn suites(&self) -> BTreeSet<&str> {
        let archives = self.recipes.iter().flat_map(|recipe| &recipe.archives);
        archives.map(|archive| archive.suite.as_str()).collect()
    }

    /// All of them, in the order of the files.
    pub fn all(&self) -> Vec<RecipeSummary> {
        let recipes = self.recipes.iter();
        recipes
            .map(|recipe| RecipeSummary {
                reference: recipe.reference.clone(),
                description: recipe.description.clone(),
            })
            .collect()
    }

    /// What could have been meant: the bases of that release, or the releases.
    fn available(&self, reference: &Reference) -> String {
        let all = || self.recipes.iter().map(|recipe| &recipe.reference);
        let release = |it: &Reference| {
            it.distribution == reference.distribution && it.release == reference.release
        };
        let bases: Vec<&str> = all()
            .filter(|it| release(it))
            .map(|it| it.base.as_str())
            .collect();
        if !bases.is_empty() {
            let Reference {
                distribution,
                release,
                ..
            } = reference;
            return format!("{distribution}:{release} has {}", bases.join(", "));
        }
        let mut releases: Vec<String> = all()
            .map(|it| format!("{}:{}", it.distribution, it.release))
            .collect();
        releases.dedup();
        format!("there are bases of {}", releases.join(", "))
    }
}

/// Puts the recipes of one release together.
struct Maker<'a> {
    common: &'a Document<Common>,
    release: &'a Document<Release>,
}

impl<'a> Maker<'a> {
    fn new(common: &'a Document<Common>, release: &'a Document<Release>) -> Self {
        Self { common, release }
    }

    fn recipe(&self, base: &'a BaseText) -> Result<Recipe, RecipeError> {
        let (common, release) = (&self.common.content, &self.release.content);
        let chain = self.chain(base)?;
        let mut recipe = Recipe {
            reference: Reference {
                distribution: release.distribution.get_ref().clone(),
                release: release.release.get_ref().clone(),
                base: base.name.get_ref().clone(),
            },
            description: base.description.get_ref().clone(),
            packages: Vec::new(),
            exclusions: exclusions(&common.exclusions),
            unneeded: exclusions(&common.unneeded),
            omissions: self.omissions(&chain),
            alternatives: alternatives(&common.alternatives),
            archives: self.archives(),
            architectures: architectures(&release.architectures),
            env: Vec::new(),
            user: common.user.clone(),
            distroless: Vec::new(),
            not_as_distroless: Vec::new(),
        };
        set(&mut recipe.env, &common.env);
        for part in &chain {
            self.add_packages(&mut recipe, part)?;
            set(&mut recipe.env, &part.env);
            recipe.alternatives.extend(alternatives(&part.alternatives));
            let only = architectures(&part.architectures);
            recipe
                .architectures
                .retain(|it| only.is_empty() || only.contains(it));
            for package in &part.distroless {
                let package = package.get_ref();
                if !recipe.distroless.contains(package) {
                    recipe.distroless.push(package.clone());
                }
            }
            self.add_reasons(&mut recipe, &part.not_as_distroless)?;
        }
        recipe.distroless.sort();
        recipe.not_as_distroless.sort();
        Ok(recipe)
    }

    /// The base and those that it extends, the one that extends none first.
    fn chain(&self, base: &'a BaseText) -> Result<Vec<&'a BaseText>, RecipeError> {
        let bases = &self.release.content.bases;
        let mut chain = vec![base];
        let mut next = base.extends.as_ref();
        while let Some(name) = next {
            if chain.len() == EXTENDS_LIMIT {
                let message =
                    format!("more than {EXTENDS_LIMIT} bases extend each other (a loop?)");
                return Err(self.release.invalid(name.span(), message));
            }
            let Some(parent) = bases.iter().find(|it| it.name.get_ref() == name.get_ref()) else {
                let names: Vec<&str> = bases.iter().map(|it| it.name.get_ref().as_str()).collect();
                let message = format!(
                    "there is no base {:?} in this file; there are {}",
                    name.get_ref(),
                    names.join(", ")
                );
                return Err(self.release.invalid(name.span(), message));
            };
            chain.push(parent);
            next = parent.extends.as_ref();
        }
        chain.reverse();
        Ok(chain)
    }

    fn add_packages(&self, recipe: &mut Recipe, part: &BaseText) -> Result<(), RecipeError> {
        for asked in &part.packages {
            let name = asked.get_ref().name();
            let invalid = |message| Err(self.release.invalid(asked.span(), message));
            if recipe.packages.iter().any(|(known, _)| known == name) {
                return invalid(format!("{name} is asked for twice"));
            }
            let without = recipe.exclusions.iter().chain(&recipe.unneeded);
            let matching = |it: &&Exclusion| PackagePattern::new(&it.package).matches(name);
            if let Some(exclusion) = without.into_iter().find(matching) {
                return invalid(format!(
                    "{name} is asked for, but common.toml leaves {:?} out, because {}",
                    exclusion.package, exclusion.because
                ));
            }
            recipe
                .packages
                .push((name.to_owned(), asked.get_ref().architectures()));
        }
        Ok(())
    }

    fn add_reasons(&self, recipe: &mut Recipe, reasons: &[Packages]) -> Result<(), RecipeError> {
        for reason in reasons {
            for package in &reason.packages {
                let name = package.get_ref();
                let invalid = |message| Err(self.release.invalid(package.span(), message));
                if !recipe.distroless.contains(name) {
                    return invalid(format!("{name} is not in the list of distroless"));
                }
                if recipe.packages.iter().any(|(known, _)| known == name) {
                    return invalid(format!("{name} is asked for, so it is as in distroless"));
                }
                if recipe
                    .not_as_distroless
                    .iter()
                    .any(|(known, _)| known == name)
                {
                    return invalid(format!("{name} has a reason already"));
                }
                let because = reason.because.get_ref().clone();
                recipe.not_as_distroless.push((name.clone(), because));
            }
        }
        Ok(())
    }

    /// The omissions, each less what the bases of the chain keep.
    fn omissions(&self, chain: &[&BaseText]) -> Vec<Omission> {
        let kept = || chain.iter().flat_map(|part| &part.keep);
        let omissions = self.common.content.omissions.iter();
        omissions
            .map(|omission| Omission {
                paths: texts(&omission.paths),
                keep: texts(omission.keep.iter().chain(kept())),
                because: omission.because.get_ref().clone(),
            })
            .collect()
    }

    fn archives(&self) -> Vec<Archive> {
        let archives = self.release.content.archives.iter();
        archives
            .map(|archive| Archive {
                urls: (archive.urls.iter())
                    .map(|it| (it.url.get_ref().clone(), architectures(&it.architectures)))
                    .collect(),
                suite: archive.suite.get_ref().clone(),
                components: texts(&archive.components),
                keyring: archive.keyring.get_ref().clone(),
                contents: (archive.contents.as_ref())
                    .map_or_else(String::new, |path| path.get_ref().clone()),
            })
            .collect()
    }
}

fn exclusions(packages: &[Packages]) -> Vec<Exclusion> {
    let named = packages.iter().flat_map(|it| {
        let because = it.because.get_ref();
        it.packages
            .iter()
            .map(move |package| (package.get_ref(), because))
    });
    named
        .map(|(package, because)| Exclusion {
            package: package.clone(),
            because: because.clone(),
        })
        .collect()
}

fn alternatives(links: &[Link]) -> Vec<Alternative> {
    let links = links.iter();
    links
        .map(|link| Alternative {
            link: link.link.get_ref().clone(),
            target: link.target.get_ref().clone(),
            because: link.because.get_ref().clone(),
        })
        .collect()
}

fn texts<'a>(values: impl IntoIterator<Item = &'a Spanned<String>>) -> Vec<String> {
    let values = values.into_iter();
    values.map(|value| value.get_ref().clone()).collect()
}

/// Sets variables: one that is there already keeps its place. Each is NAME=VALUE, as
/// `Document::parse` has seen to.
fn set(env: &mut Vec<(String, String)>, variables: &[Spanned<String>]) {
    for variable in variables {
        let (name, value) = variable.get_ref().split_once('=').unwrap_or_default();
        match env.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => env.push((name.to_owned(), value.to_owned())),
        }
    }
}
