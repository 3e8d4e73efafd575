//! Where everything stands in the image.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::Choice;
use super::entry::{Entry, is_program_of};
use super::files::{Files, text};
use super::gather::Places;
use super::installed::Installed;
use crate::ImagePath;
use crate::rootfs::{APP_DIRECTORY, is_system};

/// What makes a directory the root of a project.
const PROJECT: [&str; 4] = ["pyproject.toml", "setup.py", "setup.cfg", ".git"];

/// The places of an app's parts.
pub(super) struct Layout {
    pub(super) places: Places,
    /// The app's own directory, the first on `sys.path`; none for a zipapp.
    pub(super) search: Option<ImagePath>,
    /// Where the virtual environment stands in the image.
    pub(super) environment: ImagePath,
    /// What editable installs and `.pth` files lead to.
    pub(super) externals: Vec<External>,
    /// Directories that moved as a whole.
    pub(super) hidden: Vec<ImagePath>,
}

/// A directory, or a module's file, that a hook among the packages leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct External {
    pub(super) path: ImagePath,
    /// The name of its project.
    pub(super) project: String,
    /// Whether it is the root of the project: then much in it is no part of what is imported.
    pub(super) is_root: bool,
}

impl Layout {
    pub(super) fn of(
        files: &Files<'_>,
        entry: &Entry,
        choice: &Choice,
        installed: &Installed,
    ) -> Self {
        let app = directory(APP_DIRECTORY);
        let mut layout = Self {
            places: Places::default(),
            search: None,
            environment: app.join("venv").unwrap_or_else(|_| app.clone()),
            externals: Vec::new(),
            hidden: Vec::new(),
        };
        let interpreter = &choice.interpreter;
        if interpreter.moves() {
            layout.moves(&interpreter.prefix, interpreter.image_prefix.clone());
        }
        if let Some(environment) = &choice.environment {
            layout.moves(&environment.root, layout.environment.clone());
        }
        layout.place_app(files, entry, choice, &app);
        layout.place_externals(files, choice, installed, &app);
        layout
    }

    /// The directory stands elsewhere as a whole.
    fn moves(&mut self, here: &ImagePath, there: ImagePath) {
        if *here != there && !here.is_root() {
            self.hidden.push(here.clone());
        }
        self.places.add(here.clone(), there);
    }

    /// What lies in the root directory moves one by one.
    fn place_beside_root(&mut self, files: &Files<'_>, app: &ImagePath) {
        let root = ImagePath::root();
        for (name, item) in files.names(&root).iter() {
            let (Ok(here), Ok(there)) = (root.join(name), app.join(name)) else {
                continue;
            };
            let is_module = item.is_file() && text(name).ends_with(".py");
            let is_package = item.is_directory()
                && !is_system(&here)
                && files.is_file(here.as_path().join("__init__.py"));
            if is_module || is_package {
                self.places.add(here, there);
            }
        }
    }

    fn place_app(&mut self, files: &Files<'_>, entry: &Entry, choice: &Choice, app: &ImagePath) {
        let (search, whole) = match entry {
            Entry::Script(script) | Entry::Zipapp { script, .. } => {
                let parent = script.file.parent().unwrap_or_else(ImagePath::root);
                if parent.is_root()
                    && let Some(name) = script.file.file_name()
                    && let Ok(path) = app.join(name)
                {
                    self.places.add(script.file.clone(), path);
                }
                (parent, None)
            }
            Entry::Package { top, .. } => (
                top.parent().unwrap_or_else(ImagePath::root),
                Some(top.clone()),
            ),
            Entry::Directory { directory, .. } => (directory.clone(), Some(directory.clone())),
        };
        let environment = choice.environment.as_ref();
        let in_environment = matches!(
            (entry, environment),
            (Entry::Script(script), Some(environment)) if is_program_of(environment, script)
        );
        let in_interpreter =
            choice.interpreter.moves() && search.starts_with(&choice.interpreter.prefix);
        if in_environment || in_interpreter {
            // It moves with them.
        } else if is_system(&search) {
            self.places.add(search.clone(), search.clone());
        } else if let Some(whole) = &whole
            && let Some(name) = whole.file_name()
            && let Ok(place) = app.join(name)
        {
            self.moves(whole, place);
            if matches!(entry, Entry::Package { .. }) && !search.is_root() {
                self.places.add(search.clone(), app.clone());
            }
        } else if !search.is_root() {
            self.places.add(search.clone(), app.clone());
        }
        if search.is_root() {
            self.place_beside_root(files, app);
        }
        self.search = (!matches!(entry, Entry::Zipapp { .. })).then_some(search);
    }

    fn place_externals(
        &mut self,
        files: &Files<'_>,
        choice: &Choice,
        installed: &Installed,
        app: &ImagePath,
    ) {
        let environment = choice.environment.as_ref();
        // A name that the app's own directory has stays its own.
        let mut names: BTreeSet<String> = BTreeSet::from(["venv".to_owned()]);
        if let Some(search) = &self.search {
            names.extend(files.names(search).keys().map(|name| text(name).to_owned()));
        }
        let mut projects: BTreeMap<ImagePath, ImagePath> = BTreeMap::new();
        for lead in installed.leads() {
            let is_within = environment.is_some_and(|it| lead.starts_with(&it.root))
                || lead.starts_with(&choice.interpreter.prefix)
                || is_system(lead);
            if is_within || lead.is_root() {
                continue;
            }
            let root = project_of(files, lead);
            let project = root.file_name().map_or("", text).to_owned();
            self.externals.push(External {
                path: lead.clone(),
                is_root: *lead == root,
                project: project.clone(),
            });
            let is_apps = self.search.as_ref().is_some_and(|search| {
                lead.starts_with(search) && self.places.image(search).is_some()
            });
            if is_apps {
                continue;
            }
            let place = projects.entry(root.clone()).or_insert_with(|| {
                let name = free_name(&names, &project);
                names.insert(name.clone());
                app.join(&name).unwrap_or_else(|_| app.clone())
            });
            let relative = lead.as_path().strip_prefix(&root).unwrap_or(lead.as_path());
            if let Ok(place) = place.join(relative) {
                match files.directory(lead) {
                    Some(_) => self.moves(lead, place),
                    None => self.places.add(lead.clone(), place),
                }
            }
        }
        // An app that stays where it is must not vanish with what it lies in.
        if let Some(search) = self.search.clone()
            && self.places.image(&search).as_ref() == Some(&search)
        {
            self.hidden.retain(|hidden| !search.starts_with(hidden));
        }
    }
}

fn free_name(taken: &BTreeSet<String>, wanted: &str) -> String {
    let wanted = if wanted.is_empty() { "project" } else { wanted };
    let mut name = wanted.to_owned();
    let mut number = 1;
    while taken.contains(&name) {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}

/// The nearest directory at or above `path` that is the root of a project; else its own, or that
/// of the module's file.
fn project_of(files: &Files<'_>, path: &ImagePath) -> ImagePath {
    let start = match files.directory(path) {
        Some(_) => path.clone(),
        None => path.parent().unwrap_or_else(ImagePath::root),
    };
    let mut at = Some(start.clone());
    while let Some(directory) = at {
        let names = files.names(&directory);
        let is_root = PROJECT
            .iter()
            .any(|name| names.contains_key(std::path::Path::new(name).as_os_str()));
        if is_root && !directory.is_root() {
            return directory;
        }
        at = directory.parent();
    }
    start
}

#[expect(clippy::expect_used, reason = "a constant that a test reads")]
fn directory(path: &str) -> ImagePath {
    ImagePath::new(path).expect("an absolute path without `..`")
}
