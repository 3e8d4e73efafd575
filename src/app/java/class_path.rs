//! The class path: its elements, and where each is on this machine and in the image.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::JavaError;
use super::archive::Archive;
use super::program::{Program, read_manifest};
use super::start_script::HOME;
use crate::ImagePath;
use crate::app::hosted::Scene;
use crate::rootfs::APP_DIRECTORY;

/// The most jars of one class path.
pub(super) const MAX_ELEMENTS: usize = 10_000;

/// One element of the class path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// Its absolute path in the sysroot.
    pub(super) source: PathBuf,
    /// Where it lands.
    pub(super) place: ImagePath,
    /// Whether it is a directory of classes.
    pub(super) is_directory: bool,
    /// Whose it is.
    pub(super) part: Part,
}

/// Whose code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The app's own.
    App,
    /// A package that it depends on.
    Package,
}

impl Program {
    /// Adds an element to the class path.
    pub(super) fn push(&mut self, element: Element) -> Result<(), JavaError> {
        if self.elements.len() >= MAX_ELEMENTS {
            return Err(JavaError::TooLarge {
                path: self.shown.clone(),
                what: format!("more than {MAX_ELEMENTS} jars in its class path"),
            });
        }
        self.elements.push(element);
        Ok(())
    }
}

/// The jars that the manifests of the class path name, and those that theirs name.
pub(super) fn add_class_paths(scene: &Scene<'_>, program: &mut Program) -> Result<(), JavaError> {
    let mut known: BTreeSet<PathBuf> = program
        .elements
        .iter()
        .map(|element| normal(&element.source))
        .collect();
    let mut todo: VecDeque<Element> = program.elements.iter().cloned().collect();
    while let Some(element) = todo.pop_front() {
        if element.is_directory {
            continue;
        }
        let mut archive = Archive::open(scene.sysroot, &element.source)?;
        let manifest = read_manifest(&mut archive)?;
        for url in manifest.class_path() {
            let Some((source, place)) = class_path_element(url, &element) else {
                program.notices.push(format!(
                    "{}: its Class-Path names {url}, which is no file of this machine and stays out",
                    archive.shown.display()
                ));
                continue;
            };
            if !known.insert(normal(&source)) {
                continue;
            }
            let is_directory = scene.sysroot.is_directory(&source);
            if !is_directory && !scene.sysroot.is_file(&source) {
                program.notices.push(format!(
                    "{}: its Class-Path names {url}, which does not exist; `java` passes over it",
                    archive.shown.display()
                ));
                continue;
            }
            let found = Element {
                source,
                place,
                is_directory,
                part: Part::Package,
            };
            program.push(found.clone())?;
            todo.push_back(found);
        }
    }
    Ok(())
}

/// Where a relative URL of `Class-Path` leads, on this machine and in the image.
fn class_path_element(url: &str, of: &Element) -> Option<(PathBuf, ImagePath)> {
    let text = match url.strip_prefix("file:") {
        Some(rest) => rest
            .strip_prefix("//")
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(rest),
        // Anything else with a scheme comes from the network.
        None if url
            .split('/')
            .next()
            .is_some_and(|first| first.contains(':')) =>
        {
            return None;
        }
        None => url,
    };
    let relative = percent_decoded(text);
    let source = normal(&of.source.parent()?.join(&relative));
    let place = normal(&of.place.as_path().parent()?.join(&relative));
    Some((source, ImagePath::new(place).ok()?))
}

pub(super) fn percent_decoded(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The path without `.` and `..`, by its spelling: what URLs mean by them.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

/// One element of a script's class path, which may be `DIR/*`: all jars of a directory.
pub(super) fn add_script_element(
    scene: &Scene<'_>,
    program: &mut Program,
    element: &str,
    home: &Path,
) -> Result<(), JavaError> {
    let Some(relative) = element
        .strip_prefix(HOME)
        .map(|rest| rest.trim_start_matches('/'))
    else {
        program.notices.push(format!(
            "{}: its class path has {element}, which depends on the directory it is started in, and \
             stays out",
            program.shown.display()
        ));
        return Ok(());
    };
    let source = normal(&home.join(relative));
    let sources = match source.file_name().is_some_and(|name| name == "*") {
        false => vec![source],
        true => {
            let folder = source.parent().unwrap_or(home);
            let names = scene.sysroot.read_dir(folder).unwrap_or_default();
            let jars = names.iter().filter(|name| is_jar_name(name));
            jars.map(|name| folder.join(name)).collect()
        }
    };
    for source in sources {
        let is_directory = scene.sysroot.is_directory(&source);
        if !is_directory && !scene.sysroot.is_file(&source) {
            program.notices.push(format!(
                "{}: {} of its class path does not exist; `java` passes over it",
                program.shown.display(),
                scene.display(&source).display()
            ));
            continue;
        }
        let relative = source.strip_prefix(home).unwrap_or(&source);
        program.push(Element {
            place: app_place(relative.as_os_str()),
            source: source.clone(),
            is_directory,
            part: Part::Package,
        })?;
    }
    Ok(())
}

/// Whether a file is called as jars are.
pub(super) fn is_jar_name(name: &OsString) -> bool {
    name.as_bytes().ends_with(b".jar")
}

/// Where apps are in an image.
pub(super) fn app_root() -> ImagePath {
    ImagePath::new(APP_DIRECTORY).unwrap_or_else(|_| ImagePath::root())
}

/// A place below `/app`. What is no good name below it lands at the same path as on this machine,
/// by its spelling.
pub(super) fn app_place(relative: impl AsRef<Path>) -> ImagePath {
    let path = normal(&Path::new(APP_DIRECTORY).join(relative));
    ImagePath::new(path).unwrap_or_else(|_| app_root())
}
