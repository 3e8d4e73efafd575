//! The files of the app itself, and those of projects that are installed in place.

use std::collections::BTreeSet;
use std::path::Path;

use super::choice::Choice;
use super::entry::{Entry, Script, is_program_of};
use super::environment::CONFIGURATION;
use super::error::PythonError;
use super::files::{Files, Item, WalkedKind, text};
use super::gather::{Executable, Gathered, Group, role_of};
use super::graph::{Graph, Root, Text};
use super::installed::{View, program};
use super::layout::{External, Layout};
use crate::ImagePath;
use crate::app::companion::Role;

/// Directories that no app needs to run.
const UNWANTED: [&str; 17] = [
    ".eggs",
    ".git",
    ".hg",
    ".hypothesis",
    ".idea",
    ".ipynb_checkpoints",
    ".jj",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".vscode",
    "CVS",
    "__pycache__",
    "_darcs",
];
/// Directories beside packages that are no part of a project that is installed in place.
const BESIDE: [&str; 8] = [
    "bench",
    "benchmarks",
    "build",
    "dist",
    "docs",
    "examples",
    "test",
    "tests",
];

/// What of an app's directories stays out though it could be missed.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeSet<ImagePath>);

impl LeftOut {
    /// Whether what a walk found comes along.
    fn wants(&mut self, files: &Files<'_>, path: &ImagePath, item: &Item) -> bool {
        let name = path.file_name().map_or("", text);
        if item.is_directory() {
            if UNWANTED.contains(&name) {
                return false;
            }
            let is_environment = || files.is_file(path.as_path().join(CONFIGURATION));
            if name == "node_modules" || is_output(name) {
                self.0.insert(path.clone());
                return false;
            }
            return !is_environment();
        }
        let is_secret = name == ".env" || name == ".envrc" || name.starts_with(".env.");
        if is_secret || is_output(name) {
            self.0.insert(path.clone());
            return false;
        }
        name != ".DS_Store" && name != ".coverage"
    }

    /// A sentence about it.
    pub(super) fn notice(&self, files: &Files<'_>) -> Option<String> {
        let shown: Vec<String> = self
            .0
            .iter()
            .map(|path| files.shown(path).display().to_string())
            .collect();
        (!shown.is_empty()).then(|| {
            format!(
                "left out of the app's directory: {} (`--include` brings it)",
                shown.join(", ")
            )
        })
    }
}

/// Whether the name is that of an image that was built.
fn is_output(name: &str) -> bool {
    name.ends_with(".oci") || name.ends_with(".oci.tar")
}

/// The sources that the app starts with.
pub(super) fn roots(files: &Files<'_>, entry: &mut Entry) -> Result<Vec<Root>, PythonError> {
    match entry {
        Entry::Script(script) => Ok(vec![Root {
            package: String::new(),
            text: Text::File(script.file.clone()),
        }]),
        Entry::Zipapp { sources, .. } => Ok(std::mem::take(sources)
            .into_iter()
            .map(|(package, text)| Root {
                package,
                text: Text::Bytes(text),
            })
            .collect()),
        Entry::Package { top, .. } => {
            let name = top.file_name().map_or("", text).to_owned();
            sources_below(files, top, &name)
        }
        Entry::Directory { directory, .. } => sources_below(files, directory, ""),
    }
}

/// All sources of a package but its tests: which of them it imports by a name that it works out
/// cannot be told.
fn sources_below(
    files: &Files<'_>,
    directory: &ImagePath,
    package: &str,
) -> Result<Vec<Root>, PythonError> {
    let mut ignored = LeftOut::default();
    let walked = files.walk(directory, |_, path, item| {
        let name = path.file_name().map_or("", text);
        !matches!(name, "test" | "tests") && ignored.wants(files, path, item)
    })?;
    let roots = walked.into_iter().filter_map(|found| {
        let WalkedKind::File(file, _) = found.kind else {
            return None;
        };
        if found.relative.extension()? != "py" {
            return None;
        }
        let above = found.relative.parent()?.iter().map(text);
        let package = [package]
            .into_iter()
            .filter(|package| !package.is_empty())
            .chain(above)
            .collect::<Vec<_>>()
            .join(".");
        Some(Root {
            package,
            text: Text::File(file),
        })
    });
    Ok(roots.collect())
}

/// Takes the app.
pub(super) fn gather(
    view: &View<'_>,
    layout: &Layout,
    entry: &Entry,
    choice: &Choice,
    graph: &Graph,
    gathered: &mut Gathered<'_>,
    left_out: &mut LeftOut,
) -> Result<(), PythonError> {
    match entry {
        Entry::Script(script) | Entry::Zipapp { script, .. } => {
            gather_script(view, layout, script, choice, gathered)?;
        }
        Entry::Package { top, .. } => {
            let name = top.file_name().map_or("", text);
            let group = Group::app(format!("the package {name} of the app"));
            gather_tree(view, &group, top, gathered, left_out)?;
        }
        Entry::Directory { directory, .. } => {
            let name = directory.file_name().map_or("", text);
            let group = Group::app(format!("the directory {name} of the app"));
            gather_tree(view, &group, directory, gathered, left_out)?;
        }
    }
    if let Some(search) = &layout.search {
        let group = Group::app("modules beside the app that it imports");
        gather_reached(view, &group, search, graph, gathered, left_out)?;
    }
    for external in &layout.externals {
        gather_external(view, external, graph, gathered, left_out)?;
    }
    Ok(())
}

fn gather_script(
    view: &View<'_>,
    layout: &Layout,
    script: &Script,
    choice: &Choice,
    gathered: &mut Gathered<'_>,
) -> Result<(), PythonError> {
    let Some(path) = view.places.image(&script.file) else {
        return Ok(());
    };
    let name = script.file.file_name().map_or("", text);
    let environment = choice.environment.as_ref();
    if environment.is_some_and(|environment| is_program_of(environment, script)) {
        let group = Group::app(format!("the program {name}"));
        if let Some(content) = program(view.files, &script.file, &layout.environment)? {
            gathered.made(&group, path, content, Executable::Yes, &script.file);
            return Ok(());
        }
    }
    let group = Group::app(format!("the script {name}"));
    gathered.file(&group, path, &script.file, &script.facts, Role::Data)
}

/// Takes a directory as a whole.
fn gather_tree(
    view: &View<'_>,
    group: &Group,
    directory: &ImagePath,
    gathered: &mut Gathered<'_>,
    left_out: &mut LeftOut,
) -> Result<(), PythonError> {
    let Some(place) = view.places.image(directory) else {
        return Ok(());
    };
    let walked = view.files.walk(directory, |_, path, item| {
        let loads =
            item.is_directory() || view.interpreter.loads(path.file_name().map_or("", text));
        loads && left_out.wants(view.files, path, item)
    })?;
    for found in &walked {
        let mode = match &found.kind {
            WalkedKind::File(_, facts) => facts.mode,
            WalkedKind::Link(_) => 0,
        };
        let role = role_of(&found.relative, mode);
        gathered.walked(group, &place, directory, found, role)?;
    }
    Ok(())
}

/// Takes what of a directory is imported: modules as files, packages with all that is in them.
fn gather_reached(
    view: &View<'_>,
    group: &Group,
    directory: &ImagePath,
    graph: &Graph,
    gathered: &mut Gathered<'_>,
    left_out: &mut LeftOut,
) -> Result<(), PythonError> {
    let mut tops = BTreeSet::new();
    for module in graph.modules.values() {
        let places = module.file.iter().chain(&module.directories);
        tops.extend(places.filter_map(|place| {
            let relative = place.as_path().strip_prefix(directory).ok()?;
            let top = relative.iter().next()?;
            (!is_elsewhere(view, place, directory)).then(|| top.to_os_string())
        }));
    }
    for top in tops {
        let Ok(path) = directory.join(&top) else {
            continue;
        };
        gather_top(view, group, directory, &path, gathered, left_out)?;
    }
    Ok(())
}

/// Whether a file below `directory` is a part of something else that lies there, such as a virtual
/// environment.
fn is_elsewhere(view: &View<'_>, file: &ImagePath, directory: &ImagePath) -> bool {
    let nearest = view.places.nearest(file);
    nearest.is_some_and(|it| it != directory && it != file && it.starts_with(directory))
        || view.installed.iter().any(|place| file.starts_with(place))
}

fn gather_top(
    view: &View<'_>,
    group: &Group,
    directory: &ImagePath,
    path: &ImagePath,
    gathered: &mut Gathered<'_>,
    left_out: &mut LeftOut,
) -> Result<(), PythonError> {
    let listing = view.files.names(directory);
    let item = path.file_name().and_then(|name| listing.get(name));
    if item.is_some_and(Item::is_directory) {
        return gather_tree(view, group, path, gathered, left_out);
    }
    let Some((from, facts)) = view.files.file(path) else {
        return Ok(());
    };
    match view.places.image(path) {
        Some(place) => {
            let role = role_of(Path::new(path.file_name().unwrap_or_default()), facts.mode);
            gathered.file(group, place, &from, &facts, role)
        }
        None => Ok(()),
    }
}

/// Takes a project that is installed in place: its packages, and what else is imported of it.
fn gather_external(
    view: &View<'_>,
    external: &External,
    graph: &Graph,
    gathered: &mut Gathered<'_>,
    left_out: &mut LeftOut,
) -> Result<(), PythonError> {
    let group = Group::app(format!(
        "the project {}, installed in place",
        external.project
    ));
    let Some(directory) = view.files.directory(&external.path) else {
        if let Some((from, facts)) = view.files.file(&external.path)
            && let Some(place) = view.places.image(&external.path)
        {
            gathered.file(&group, place, &from, &facts, Role::Data)?;
        }
        return Ok(());
    };
    if !external.is_root {
        return gather_tree(view, &group, &directory, gathered, left_out);
    }
    for (name, item) in view.files.list(&directory)?.iter() {
        let Ok(path) = directory.join(name) else {
            continue;
        };
        let is_package = item.is_directory()
            && !BESIDE.contains(&text(name))
            && view.files.is_file(path.as_path().join("__init__.py"));
        // `setup.py develop` leaves the metadata here.
        let is_metadata = item.is_directory() && text(name).ends_with(".egg-info");
        if is_package || is_metadata {
            gather_tree(view, &group, &path, gathered, left_out)?;
        }
    }
    gather_reached(view, &group, &directory, graph, gathered, left_out)
}
