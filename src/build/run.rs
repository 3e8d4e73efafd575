//! Running the app: under trace before the image is built, and in a sandbox from it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::ground::{Ground, open_sysroot};
use super::{Builder, Error, Plan, input};
use crate::ImagePath;
use crate::app::{App, Hosted, Provenance};
use crate::elf::Closure;
use crate::plugins::{Choice, Rules};
use crate::rootfs::EntryKind;
use crate::smoke::{Cause, Smoke, SmokeError, Started};
use crate::trace::{Traced, Tracing};

impl Builder {
    /// Runs the app on this machine, with the default arguments of the image ([`Self::cmd`]), and
    /// records which files it opens: a [`profile`](Self::profile) for the build. `tracing` says
    /// all but the command.
    ///
    /// # Errors
    /// When the app is not recognised, belongs to another system, or does not run.
    pub fn trace(&self, tracing: &Tracing) -> Result<Traced, Error> {
        let ground = Ground::open(self)?;
        let scratch = self.scratch()?;
        let Some(host) = self.host(&ground, &scratch) else {
            return Err(Error::TraceElsewhere);
        };
        let input = input::Input::gather(self, &ground, Some(&host))?;
        let mut command = match input.app.hosted() {
            Some(hosted) => command_here(hosted),
            None => vec![input.app.path.clone().into_os_string()],
        };
        command.extend(self.cmd.iter().map(OsString::from));
        let tracing = Tracing {
            command,
            ..tracing.clone()
        };
        Ok(crate::trace::run(&tracing)?)
    }
}

impl Plan {
    /// Starts the image in a sandbox that holds nothing but its content. Nothing is written.
    ///
    /// # Errors
    /// When it does not start or does not do what is expected of it, with what is missing.
    pub fn smoke(&self, smoke: &Smoke) -> Result<Started, Error> {
        let started = crate::smoke::run(&self.rootfs, &self.settings, smoke);
        Ok(started.map_err(|error| self.explained(error))?)
    }

    /// A rule that brings what was missing is the shortest way to have it.
    fn explained(&self, mut error: SmokeError) -> SmokeError {
        if let SmokeError::Failed(failure) = &mut error
            && let Some(missing) = failure.cause.as_ref().and_then(missing_file)
            && let Some(advice) = self.rule_that_brings(missing)
        {
            failure.advice = advice;
        }
        error
    }

    /// What to do for a file that a rule would have brought, had it applied. What stands in the
    /// way of the rules themselves is told elsewhere.
    fn rule_that_brings(&self, missing: &Path) -> Option<String> {
        // A rule brings files of another system, of which nothing is known any more.
        if !self.is_here {
            return None;
        }
        let rules = Rules::built_in().ok()?;
        let by_request = rules.iter().filter(|rule| !rule.default);
        let all = Choice {
            with: by_request.map(|rule| rule.name.to_owned()).collect(),
            without: BTreeSet::new(),
        };
        let directory = open_sysroot(None).ok()?;
        let applied = rules.apply(&directory, &self.closure, &all).ok()?;
        let real = missing.canonicalize().ok();
        let is_missing = |path: &Path| {
            is_or_makes(path, missing)
                || real.as_deref().is_some_and(|real| is_or_makes(path, real))
                // A library is named without its directory.
                || (missing.components().count() == 1 && path.ends_with(missing))
        };
        let group = applied.companions.iter().find(|group| {
            let mut files = group.files.iter();
            files.any(|file| is_missing(file.path.as_path()))
        })?;
        let Provenance::Rule(name) = &group.by else {
            return None;
        };
        let is_default = rules.iter().any(|rule| rule.name == name && rule.default);
        Some(match is_default {
            true => format!("the rule {name} brings it: leave out --without {name}"),
            false => format!("the rule {name} brings it: add --with {name}"),
        })
    }
}

/// Whether a file is the one that is missing, or in the directory that is, or another form of it:
/// programs look for `magic.mgc`, and complain of `magic`.
fn is_or_makes(path: &Path, missing: &Path) -> bool {
    let [path, missing] = [path, missing].map(|path| path.as_os_str().as_encoded_bytes());
    path.strip_prefix(missing)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || rest.starts_with(b"."))
}

/// The file or library that was not in the image.
fn missing_file(cause: &Cause) -> Option<&Path> {
    match cause {
        Cause::File(path) => Some(path),
        Cause::Library { name, .. } => Some(Path::new(name)),
        _ => None,
    }
}

/// The command of an app as this machine knows it: words that are paths of companions, or lie
/// below a directory that moved, are given back their former place.
fn command_here(hosted: &Hosted) -> Vec<OsString> {
    hosted
        .command
        .iter()
        .map(|word| {
            // A class path is several paths in one word.
            let paths: Vec<String> = word
                .split(':')
                .map(|path| path_here(hosted, path))
                .collect();
            paths.join(":").into()
        })
        .collect()
}

fn path_here(hosted: &Hosted, word: &str) -> String {
    if !word.starts_with('/') {
        return word.to_owned();
    }
    let mut files = hosted.companions.iter().flat_map(|group| &group.files);
    let companion = files.find(|file| {
        file.path.as_path() == Path::new(word) && file.entry.kind != EntryKind::Directory
    });
    let former = || {
        let mut moved = hosted.moved.iter();
        moved.find_map(|(from, to)| Some(from.join(Path::new(word).strip_prefix(to).ok()?)))
    };
    companion
        .map(|file| file.source.clone())
        .or_else(former)
        .and_then(|path| path.into_os_string().into_string().ok())
        .unwrap_or_else(|| word.to_owned())
}

/// Where a file of this machine lands.
pub(super) fn place(moved: &[(PathBuf, ImagePath)], path: &ImagePath) -> ImagePath {
    let place = moved.iter().find_map(|(from, to)| {
        let rest = path.as_path().strip_prefix(from).ok()?;
        ImagePath::new(to.as_path().join(rest)).ok()
    });
    place.unwrap_or_else(|| path.clone())
}

/// Directories of this machine, and where what is below them lands.
pub(super) fn moved(app: &App, closure: &Closure) -> Vec<(PathBuf, ImagePath)> {
    match app.hosted() {
        Some(hosted) => hosted.moved.clone(),
        None => crate::rootfs::moved_directory(app, closure)
            .into_iter()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_a_directory_and_another_form_of_a_file_are_what_was_missing() {
        let is = |path: &str, missing: &str| is_or_makes(Path::new(path), Path::new(missing));
        assert!(is("/usr/share/misc/magic.mgc", "/usr/share/misc/magic"));
        assert!(is("/usr/lib/gconv/A.so", "/usr/lib/gconv"));
        assert!(is("/etc/nginx.conf", "/etc/nginx.conf"));
        assert!(!is("/etc/nginx.conf", "/etc/ngi"));
        assert!(!is("/etc", "/etc/nginx.conf"));
    }
}
