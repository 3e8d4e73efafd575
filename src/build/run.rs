//! Running the app: under trace before the image is built, and in a sandbox from it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Builder, Error, Plan, input};
use crate::ImagePath;
use crate::app::{App, Hosted};
use crate::elf::Closure;
use crate::rootfs::EntryKind;
use crate::smoke::{Smoke, Started};
use crate::trace::{Traced, Tracing};

impl Builder {
    /// Runs the app on this machine, with the default arguments of the image ([`Self::cmd`]), and
    /// records which files it opens: a [`profile`](Self::profile) for the build. `tracing` says
    /// all but the command.
    ///
    /// # Errors
    /// When the app is not recognised, belongs to another system, or does not run.
    pub fn trace(&self, tracing: &Tracing) -> Result<Traced, Error> {
        let scratch = self.scratch()?;
        let Some(host) = self.host(&scratch) else {
            return Err(Error::TraceElsewhere);
        };
        let directory = input::open_sysroot(None)?;
        let input = input::Input::gather(self, &directory, Some(&host))?;
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
        Ok(crate::smoke::run(&self.rootfs, &self.settings, smoke)?)
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
