//! The base of a build: from the archives or from a lock, and what it lacks for the app.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{BaseRequest, PackagedBase, Session, SessionError, archive};
use crate::build::{Builder, Error, Plan, Unresolved};
use crate::debian::{Lock, LockedBase, find_in_contents};
use crate::download::Progress;

/// The base of a build.
#[derive(Debug)]
pub struct Supply {
    session: Session,
    request: BaseRequest,
    /// How many of the request's packages were asked for at first.
    asked_first: usize,
    lock: Option<(PathBuf, Lock)>,
    locked: Option<LockedBase>,
}

/// What to do about a library that the app needs and the base lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// Tell which package holds it.
    #[default]
    Name,
    /// Add that package.
    Add,
}

/// What an app needs and its base does not have, and which packages have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unfound {
    /// By the name of the library: the packages that hold it, the best first; empty where no
    /// package of the release does.
    pub libraries: BTreeMap<String, Vec<String>>,
}

impl Unfound {
    /// The packages that bring all of it: the first of each library.
    pub fn packages(&self) -> Vec<String> {
        let first = self
            .libraries
            .values()
            .filter_map(|packages| packages.first());
        let packages: std::collections::BTreeSet<&String> = first.collect();
        packages.into_iter().cloned().collect()
    }
}

impl std::fmt::Display for Unfound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (library, packages) in &self.libraries {
            match packages.as_slice() {
                [] => writeln!(f, "  no package of the release has {library}")?,
                [only] => writeln!(f, "  {library} is in the package {only}")?,
                [first, others @ ..] => {
                    writeln!(
                        f,
                        "  {library} is in the package {first}, and in {}",
                        others.join(", ")
                    )?;
                }
            }
        }
        match self.packages().as_slice() {
            [] => Ok(()),
            packages => {
                let flags: Vec<String> = packages
                    .iter()
                    .map(|package| format!("--package {package}"))
                    .collect();
                write!(
                    f,
                    "Add them with --add-missing, or with {}",
                    flags.join(" ")
                )
            }
        }
    }
}

impl Supply {
    /// The base that `request` names; its packages are those of `lock`, which was read from the
    /// path beside it, where there is one.
    pub fn new(session: Session, request: BaseRequest, lock: Option<(PathBuf, Lock)>) -> Self {
        Self {
            session,
            asked_first: request.packages.len(),
            request,
            lock,
            locked: None,
        }
    }

    /// What is asked for.
    pub fn request(&self) -> &BaseRequest {
        &self.request
    }

    /// The path of the lock that its packages are taken from.
    pub fn lock(&self) -> Option<&std::path::Path> {
        self.lock.as_ref().map(|(path, _)| path.as_path())
    }

    /// The packages that were added for what the app needs.
    pub fn asked_later(&self) -> &[String] {
        self.request
            .packages
            .get(self.asked_first..)
            .unwrap_or_default()
    }

    /// The packages that the base was made of last.
    pub fn locked(&self) -> Option<&LockedBase> {
        self.locked.as_ref()
    }

    /// What it is fetched with.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Plans an image of the app on this base. What the base lacks is looked up in the archives,
    /// and added to it where `missing` says so.
    ///
    /// # Errors
    /// Those of [`Builder::plan`] and [`Supply::base`]; [`Error::Lacking`] names the packages that
    /// hold what is missing.
    pub fn plan(
        &mut self,
        builder: &mut Builder,
        missing: Missing,
        progress: &dyn Progress,
    ) -> Result<Plan, Error> {
        let mut notices = self.lay(builder, progress)?;
        loop {
            let unresolved = match builder.plan() {
                Err(Error::Unresolved(unresolved)) => unresolved,
                Err(error) => return Err(error),
                Ok(mut plan) => {
                    plan.notices.splice(0..0, notices);
                    return Ok(plan);
                }
            };
            let unfound = self.find(&unresolved, progress);
            if missing == Missing::Add
                && let Ok(unfound) = &unfound
                && self.add(unfound.packages())
            {
                notices = self.lay(builder, progress)?;
                continue;
            }
            return Err(Error::Lacking {
                reference: self.request.reference.clone(),
                unresolved: Box::new(unresolved),
                unfound: unfound.map_err(|error| error.to_string()),
            });
        }
    }

    /// Makes the base and gives it to `builder`; returns what the user should know.
    ///
    /// # Errors
    /// Those of [`Supply::base`].
    pub fn lay(
        &mut self,
        builder: &mut Builder,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, SessionError> {
        let packaged = self.base(progress)?;
        builder.base = packaged.base;
        let mut notices = self.session.take_notices();
        notices.extend(packaged.notices);
        Ok(notices)
    }

    /// Makes the base.
    ///
    /// # Errors
    /// Those of [`Session::resolve`] and [`Session::base`], and when the lock is for other packages.
    pub fn base(&mut self, progress: &dyn Progress) -> Result<PackagedBase, SessionError> {
        let BaseRequest {
            reference,
            architecture,
            packages,
        } = &self.request;
        let locked = match &self.lock {
            Some((path, lock)) => {
                let recipe = self.session.recipe(reference, *architecture)?;
                lock.matching(path, &recipe, *architecture, packages)?
                    .clone()
            }
            None => self.session.resolve(&self.request, progress)?.locked,
        };
        let base = self.session.base(&locked, progress)?;
        self.locked = Some(locked);
        Ok(base)
    }

    /// Looks up which packages hold what is missing.
    ///
    /// # Errors
    /// When the archive's indices of files cannot be had.
    pub fn find(
        &self,
        unresolved: &Unresolved,
        progress: &dyn Progress,
    ) -> Result<Unfound, SessionError> {
        let names = unresolved.libraries();
        let found = self
            .session
            .packages_with(&self.request, &names, progress)?;
        Ok(Unfound { libraries: found })
    }

    /// Adds packages to what is asked for; says whether any of them is new.
    pub fn add(&mut self, packages: Vec<String>) -> bool {
        let before = self.request.packages.len();
        for package in packages {
            if !self.request.packages.contains(&package) {
                self.request.packages.push(package);
            }
        }
        self.request.packages.len() > before
    }
}

impl Session {
    /// The packages that hold files of these names, by the archives' indices of files.
    ///
    /// # Errors
    /// When these cannot be had or read.
    pub fn packages_with(
        &self,
        request: &BaseRequest,
        names: &[String],
        progress: &dyn Progress,
    ) -> Result<BTreeMap<String, Vec<String>>, SessionError> {
        let recipe = self.recipe(&request.reference, request.architecture)?;
        let mut found: BTreeMap<String, Vec<String>> = names
            .iter()
            .map(|name| (name.clone(), Vec::new()))
            .collect();
        let opener = archive::Opener {
            options: &self.options,
            downloader: &self.downloader,
            indices: &self.indices,
            progress,
        };
        for suite in self.suites(&recipe, request.architecture, progress)? {
            for component in &suite.archive.components {
                let path = suite
                    .archive
                    .contents
                    .replace("{component}", component)
                    .replace("{arch}", request.architecture.name());
                // Not every suite has one: those of updates often have none.
                if !suite.release.files.contains_key(&path) {
                    continue;
                }
                let file = opener.fetch(&suite, &path)?;
                let failed = |source| SessionError::Unreadable {
                    name: path.clone(),
                    source,
                };
                let reader = archive::reader(&file.path, &path).map_err(failed)?;
                for hit in find_in_contents(reader, names, request.architecture)? {
                    let packages = found.entry(hit.wanted).or_default();
                    for package in hit.packages {
                        if !packages.contains(&package) {
                            packages.push(package);
                        }
                    }
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfound(libraries: &[(&str, &[&str])]) -> Unfound {
        let libraries = libraries.iter().map(|(library, packages)| {
            let packages = packages.iter().map(|package| (*package).to_owned());
            ((*library).to_owned(), packages.collect())
        });
        Unfound {
            libraries: libraries.collect(),
        }
    }

    #[test]
    fn each_library_is_told_with_its_packages_and_how_to_add_them() {
        let some = unfound(&[
            ("libjq.so.1", &["libjq1"]),
            ("libblas.so.3", &["libblas3", "libatlas3-base"]),
            ("libown.so", &[]),
        ]);
        assert_eq!(
            some.to_string(),
            "  libblas.so.3 is in the package libblas3, and in libatlas3-base\n  \
             libjq.so.1 is in the package libjq1\n  \
             no package of the release has libown.so\n\
             Add them with --add-missing, or with --package libblas3 --package libjq1"
        );
    }

    #[test]
    fn one_package_may_bring_several_libraries() {
        let both = unfound(&[("liba.so", &["ab"]), ("libb.so", &["ab", "c"])]);
        assert_eq!(both.packages(), ["ab"]);
        assert!(both.to_string().ends_with("or with --package ab"));
    }

    #[test]
    fn nothing_is_to_be_added_where_no_package_has_it() {
        let none = unfound(&[("libown.so", &[])]);
        assert_eq!(none.packages(), [""; 0]);
        assert_eq!(
            none.to_string(),
            "  no package of the release has libown.so\n"
        );
        assert_eq!(Unfound::default().to_string(), "");
    }
}
