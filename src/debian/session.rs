//! From the name of a base to its files: the archives, the cache and the trust in one hand.

mod archive;
mod error;
mod indices;
mod supply;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

pub use error::SessionError;
pub use supply::{Missing, Supply, Unfound};

use super::{
    Architecture, Arrangement, Candidate, Exclusion, Laid, LockedBase, LockedPackage, Pool, Recipe,
    Recipes, Reference, ResolutionError, Selection, Unpacked, Wanted, arrange, resolve,
};
use crate::download::{Downloader, Expected, Progress, Request};
use crate::rootfs::{Base, BaseConfig};
use archive::{Place, Suite};
use indices::Indices;

/// Where downloads are, below the cache's directory.
const DOWNLOADS: &str = "downloads";

/// Where packages come from, and what is trusted.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Where downloads and unpacked packages are kept; `None` for a directory that goes with the
    /// session.
    pub cache: Option<PathBuf>,
    /// Use the cache alone.
    pub offline: bool,
    /// Mirrors, instead of the usual ones.
    pub mirrors: Vec<Mirror>,
    /// The keys that archives are signed with, instead of those that are built in.
    pub keyring: Option<PathBuf>,
    /// Take an archive's state also after its `Valid-Until`.
    pub allow_expired: bool,
    /// The configuration of apt, `/etc/apt`, of which the mirrors are taken; `None` for none.
    pub apt: Option<PathBuf>,
    /// The time, in seconds since the epoch.
    pub now: u64,
    /// Packages that are fetched and unpacked at once; their number never changes a byte.
    pub downloads: NonZeroUsize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            cache: None,
            offline: false,
            mirrors: Vec::new(),
            keyring: None,
            allow_expired: false,
            apt: Some(PathBuf::from("/etc/apt")),
            now: now.map_or(0, |now| now.as_secs()),
            downloads: NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// A mirror of an archive: `URL`, for the release's main archive, or `SUITE=URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The suite that it has; `None` for all suites of the release's main archive.
    pub suite: Option<String>,
    /// Its URL, which `dists/` and `pool/` lie below.
    pub url: String,
}

/// A string that is no [`Mirror`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no mirror: URL or SUITE=URL is expected, as http://deb.debian.org/debian or bookworm-security=http://deb.debian.org/debian-security; http, https and file URLs work"
)]
pub struct MirrorError(String);

impl std::str::FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_url = |text: &str| {
            let mut schemes = ["http://", "https://", "file:///"].iter();
            schemes.any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
        };
        let (suite, url) = match text.split_once('=') {
            Some((suite, url)) if !is_url(text) => (Some(suite), url),
            _ => (None, text),
        };
        if !is_url(url) || suite.is_some_and(str::is_empty) || url.contains(char::is_whitespace) {
            return Err(MirrorError(crate::registry::harmless(text)));
        }
        Ok(Self {
            suite: suite.map(str::to_owned),
            url: url.trim_end_matches('/').to_owned(),
        })
    }
}

/// What a base is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRequest {
    /// Which base.
    pub reference: Reference,
    /// For which machines.
    pub architecture: Architecture,
    /// Packages beside its own, `NAME` or `NAME=VERSION`.
    pub packages: Vec<String>,
}

/// A base as its packages were resolved: what a lock keeps, and why each is there.
#[derive(Debug, Clone)]
pub struct ResolvedBase {
    /// What a lock keeps.
    pub locked: LockedBase,
    /// Why each package is there, and what was left out.
    pub selection: Selection,
    /// The archives that were searched: suite and components.
    pub archives: Vec<(String, Vec<String>)>,
}

/// A base and what there is to say about it.
#[derive(Debug, Clone)]
pub struct PackagedBase {
    /// The base, a system of its own.
    pub base: Base,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// All that packages are found, fetched and unpacked with.
pub struct Session {
    options: SessionOptions,
    recipes: Recipes,
    downloader: Downloader,
    pool: Pool,
    indices: Indices,
    /// By suite and architecture: each is looked up once.
    suites: Mutex<BTreeMap<(Reference, String, Architecture), Arc<Suite>>>,
    notices: Mutex<Vec<String>>,
    sources: std::sync::OnceLock<Vec<super::AptSource>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Opens the cache.
    ///
    /// # Errors
    /// When the embedded data or the cache cannot be used.
    pub fn new(options: SessionOptions) -> Result<Self, SessionError> {
        let downloader = Downloader::new(crate::download::Options {
            cache: options.cache.as_ref().map(|cache| cache.join(DOWNLOADS)),
            offline: options.offline,
            parallel: options.downloads,
            ..crate::download::Options::default()
        })?;
        let pool = Pool::open(options.cache.clone())?;
        let recipes = Recipes::built_in()?;
        let named = options.mirrors.iter().flat_map(|mirror| &mirror.suite);
        for suite in named {
            let known = recipes.suites();
            if !known.contains(suite.as_str()) {
                return Err(SessionError::MirrorOfNothing {
                    suite: suite.clone(),
                    known: known.into_iter().map(str::to_owned).collect(),
                });
            }
        }
        let degraded = [downloader.degraded(), pool.degraded()];
        let notices: Vec<String> = degraded.into_iter().flatten().map(str::to_owned).collect();
        Ok(Self {
            recipes,
            downloader,
            pool,
            indices: Indices::open(options.cache.as_deref()),
            suites: Mutex::default(),
            notices: Mutex::new(notices),
            sources: std::sync::OnceLock::new(),
            options,
        })
    }

    /// The size in bytes of what the cache in this directory holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn cache_size(cache: &Path) -> std::io::Result<u64> {
        let downloads = crate::download::summary(&cache.join(DOWNLOADS))?.bytes;
        Ok(downloads + Pool::summary(cache)?.bytes + indices::size(cache)?)
    }

    /// Removes from the cache in this directory what was not used for longest, until at most
    /// `keep` bytes are left; returns the bytes freed. What can be made again goes first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn prune_cache(cache: &Path, keep: u64) -> std::io::Result<u64> {
        // What of a part that takes `size` may stay.
        let rest = |size: u64| {
            Self::cache_size(cache).map(|all| size.saturating_sub(all.saturating_sub(keep)))
        };
        let mut freed = indices::prune(cache, rest(indices::size(cache)?)?)?;
        freed += Pool::prune(cache, rest(Pool::summary(cache)?.bytes)?)?;
        let downloads = cache.join(DOWNLOADS);
        let size = crate::download::summary(&downloads)?.bytes;
        freed += crate::download::prune(&downloads, rest(size)?)?;
        Ok(freed)
    }

    /// All bases that there are.
    pub fn recipes(&self) -> &Recipes {
        &self.recipes
    }

    /// What makes a base.
    ///
    /// # Errors
    /// When there is no such base, or it is not for `architecture`.
    pub fn recipe(
        &self,
        reference: &Reference,
        architecture: Architecture,
    ) -> Result<Recipe, SessionError> {
        let recipe = self.recipes.find(reference)?;
        if !recipe.architectures.contains(&architecture) {
            return Err(SessionError::Architecture {
                reference: Box::new(reference.clone()),
                architecture,
                known: recipe.architectures.clone(),
            });
        }
        Ok(recipe)
    }

    /// What was met that the user should know, since this was asked last.
    pub fn take_notices(&self) -> Vec<String> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut notices)
    }

    fn notice(&self, text: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if !notices.contains(&text) {
            notices.push(text);
        }
    }

    /// Finds the packages of a base in the archives' signed indices.
    ///
    /// # Errors
    /// When an archive cannot be reached or trusted, or the packages do not fit together.
    pub fn resolve(
        &self,
        request: &BaseRequest,
        progress: &dyn Progress,
    ) -> Result<ResolvedBase, SessionError> {
        let architecture = request.architecture;
        let recipe = self.recipe(&request.reference, architecture)?;
        let suites = self.suites(&recipe, architecture, progress)?;
        let names: Vec<&String> = suites.iter().flat_map(|suite| &suite.index_names).collect();
        let indices: Vec<_> = suites
            .iter()
            .flat_map(|suite| &suite.indices)
            .cloned()
            .collect();
        let asked = recipe.packages_for(architecture);
        let choose = |packages: &[String], exclusions: &[Exclusion]| {
            resolve(
                &indices,
                &Wanted {
                    packages,
                    exclusions,
                    architecture,
                },
            )
        };
        let mut selection = choose(&asked, &recipe.exclusions_beside(&BTreeSet::new()))?;
        if !request.packages.is_empty() {
            let needed = added_alone(&recipe, &selection, &request.packages, choose)?;
            let packages: Vec<String> = asked.iter().chain(&request.packages).cloned().collect();
            selection = choose(&packages, &recipe.exclusions_beside(&needed))?;
        }
        let mut locked = LockedBase {
            reference: request.reference.clone(),
            architecture,
            recipe: asked,
            added: request.packages.clone(),
            packages: Vec::new(),
        };
        locked.recipe.sort_unstable();
        locked.added.sort_unstable();
        locked.added.dedup();
        for chosen in &selection.packages {
            let candidate = &chosen.candidate;
            locked.packages.push(LockedPackage {
                name: candidate.name.clone(),
                version: candidate.version.to_string(),
                architecture: candidate.architecture.clone(),
                suite: names
                    .get(chosen.index)
                    .map(|it| it.to_string())
                    .unwrap_or_default(),
                path: candidate.path.clone(),
                size: candidate.size,
                sha256: candidate.sha256,
            });
        }
        let archives = suites.iter().map(|suite| &suite.archive);
        Ok(ResolvedBase {
            locked,
            selection,
            archives: archives
                .map(|archive| (archive.suite.clone(), archive.components.clone()))
                .collect(),
        })
    }

    /// The newest package `name` in the archives of a base, whether it belongs to it or not.
    ///
    /// # Errors
    /// When an archive cannot be reached or trusted.
    pub fn candidate(
        &self,
        request: &BaseRequest,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Option<Candidate>, SessionError> {
        let recipe = self.recipe(&request.reference, request.architecture)?;
        let suites = self.suites(&recipe, request.architecture, progress)?;
        let mut found = Vec::new();
        for suite in &suites {
            for index in &suite.indices {
                let candidates = index.get(name).map_err(|source| SessionError::Index {
                    path: name.to_owned(),
                    suite: suite.archive.suite.clone(),
                    source,
                })?;
                found.extend(candidates);
            }
        }
        Ok(found.into_iter().max_by(|a, b| a.version.cmp(&b.version)))
    }

    /// Fetches the packages of a base and lays them out. Its files are those of the cache: the
    /// session must live until the image is written.
    ///
    /// # Errors
    /// When a package cannot be fetched, is not the one that was locked, or cannot be unpacked.
    pub fn base(
        &self,
        locked: &LockedBase,
        progress: &dyn Progress,
    ) -> Result<PackagedBase, SessionError> {
        let recipe = self.recipe(&locked.reference, locked.architecture)?;
        let unpacked = self.unpacked(&recipe, locked, progress)?;
        let packages: Vec<Laid<'_>> = locked
            .packages
            .iter()
            .zip(&unpacked)
            .map(|(package, unpacked)| Laid {
                name: &package.name,
                version: &package.version,
                unpacked,
            })
            .collect();
        let foundation = recipe.foundation()?;
        let arranged = arrange(&Arrangement {
            packages: &packages,
            recipe: &recipe,
            architecture: locked.architecture,
            foundation: foundation.rootfs(),
        })?;
        let config = BaseConfig {
            user: recipe.user.clone(),
            env: recipe.env.clone(),
        };
        let name = locked.reference.to_string();
        Ok(PackagedBase {
            base: Base::of_system(&name, &recipe.description, config, arranged.rootfs),
            notices: arranged.notices,
        })
    }

    /// Fetches and unpacks each package: one is unpacked while others still come.
    fn unpacked(
        &self,
        recipe: &Recipe,
        locked: &LockedBase,
        progress: &dyn Progress,
    ) -> Result<Vec<Unpacked>, SessionError> {
        let packages = &locked.packages;
        // The largest first: it would be waited for at the end.
        let mut order: Vec<usize> = (0..packages.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(packages.get(*at).map_or(0, |it| it.size)));
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let results: Mutex<BTreeMap<usize, Result<Unpacked, SessionError>>> = Mutex::default();
        let work = || {
            while !failed.load(Ordering::Relaxed)
                && let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed))
                && let Some(package) = packages.get(*at)
            {
                let result = self.unpacked_one(recipe, locked, package, progress);
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.insert(*at, result);
            }
        };
        let threads = self.options.downloads.get().min(packages.len());
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        // After a failure some are not there; that it failed comes first.
        let (unpacked, mut errors): (Vec<_>, Vec<_>) =
            results.into_values().partition(Result::is_ok);
        match errors.pop() {
            Some(Err(error)) => Err(error),
            _ => unpacked.into_iter().collect(),
        }
    }

    fn unpacked_one(
        &self,
        recipe: &Recipe,
        locked: &LockedBase,
        package: &LockedPackage,
        progress: &dyn Progress,
    ) -> Result<Unpacked, SessionError> {
        let title = package.title();
        let request = Request {
            name: title.clone(),
            urls: self
                .places(recipe, locked.architecture)
                .iter()
                .filter(|place| place.archive.suite == package.suite)
                .flat_map(|place| &place.urls)
                .map(|url| format!("{url}/{}", package.path))
                .collect(),
            expected: Expected {
                sha256: package.sha256,
                size: Some(package.size),
            },
        };
        if request.urls.is_empty() {
            return Err(SessionError::UnknownSuite {
                package: title,
                suite: package.suite.clone(),
                reference: Box::new(locked.reference.clone()),
            });
        }
        let fetched = self
            .downloader
            .fetch(&request, progress)
            .map_err(|source| SessionError::of_package(package, source))?;
        Ok(self.pool.get(package.sha256, &fetched.path, &title)?)
    }

    fn places<'r>(&self, recipe: &'r Recipe, architecture: Architecture) -> Vec<Place<'r>> {
        let sources = self.sources.get_or_init(|| match &self.options.apt {
            // Where mirrors are named, the system's own do not count.
            Some(apt) if self.options.mirrors.is_empty() => {
                let (sources, notices) = super::apt_sources(apt);
                for notice in notices {
                    self.notice(notice);
                }
                sources
            }
            _ => Vec::new(),
        });
        archive::places(recipe, architecture, &self.options.mirrors, sources)
    }

    fn suites(
        &self,
        recipe: &Recipe,
        architecture: Architecture,
        progress: &dyn Progress,
    ) -> Result<Vec<Arc<Suite>>, SessionError> {
        let places = self.places(recipe, architecture);
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = places
                .iter()
                .map(|place| scope.spawn(|| self.suite(recipe, architecture, place, progress)))
                .collect();
            threads
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join)
                .collect()
        });
        opened
            .into_iter()
            .map(|joined| match joined {
                Ok(suite) => suite,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    }

    fn suite(
        &self,
        recipe: &Recipe,
        architecture: Architecture,
        place: &Place<'_>,
        progress: &dyn Progress,
    ) -> Result<Arc<Suite>, SessionError> {
        let key = (
            recipe.reference.clone(),
            place.archive.suite.clone(),
            architecture,
        );
        let known = || {
            let suites = self.suites.lock().unwrap_or_else(PoisonError::into_inner);
            suites.get(&key).cloned()
        };
        if let Some(suite) = known() {
            return Ok(suite);
        }
        let opener = archive::Opener {
            options: &self.options,
            downloader: &self.downloader,
            indices: &self.indices,
            progress,
        };
        let suite = Arc::new(opener.open(place, architecture)?);
        if let Some(notice) = &suite.notice {
            self.notice(notice.clone());
        }
        let mut suites = self.suites.lock().unwrap_or_else(PoisonError::into_inner);
        suites.insert(key, Arc::clone(&suite));
        Ok(suite)
    }
}

/// The packages that come for those that were added, beside what the base has anyway.
fn added_alone(
    recipe: &Recipe,
    base: &Selection,
    added: &[String],
    choose: impl Fn(&[String], &[Exclusion]) -> Result<Selection, ResolutionError>,
) -> Result<BTreeSet<String>, ResolutionError> {
    let there: BTreeSet<&str> = base
        .packages
        .iter()
        .map(|chosen| chosen.candidate.name.as_str())
        .collect();
    let has = there.iter().map(|name| Exclusion {
        package: (*name).to_owned(),
        because: "the base has it".to_owned(),
    });
    let exclusions: Vec<Exclusion> = recipe.exclusions.iter().cloned().chain(has).collect();
    let new: Vec<String> = added
        .iter()
        .filter(|wanted| !there.contains(wanted.split('=').next().unwrap_or(wanted)))
        .cloned()
        .collect();
    let chosen = choose(&new, &exclusions)?.packages.into_iter();
    Ok(chosen.map(|chosen| chosen.candidate.name).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_url_or_one_for_a_suite() {
        let mirror: Mirror = "http://deb.debian.org/debian/".parse().unwrap();
        assert_eq!(mirror.suite, None);
        assert_eq!(mirror.url, "http://deb.debian.org/debian");
        let mirror: Mirror = "bookworm-security=file:///srv/security".parse().unwrap();
        assert_eq!(mirror.suite.as_deref(), Some("bookworm-security"));
        assert_eq!(mirror.url, "file:///srv/security");
        let mirror: Mirror = "https://mirror.example/?a=b".parse().unwrap();
        assert_eq!(mirror.suite, None);
        for wrong in [
            "",
            "deb.debian.org",
            "ftp://deb.debian.org",
            "=http://a",
            "x=",
            "http://a b",
            "http://",
        ] {
            assert!(wrong.parse::<Mirror>().is_err(), "{wrong}");
        }
    }
}
