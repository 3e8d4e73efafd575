//! What an app needs beside node: its own sources, and the packages that these name.

use std::collections::BTreeMap;

use super::disk::{Disk, upward};
use super::gather::some;
use super::lock::{Lock, Manager};
use super::manifest::{Manifest, Need};
use super::sources::{Sources, local};
use super::tree::{Edge, Platform, Tree, find, package_of};
use super::{App, NodeError};
use crate::ImagePath;

/// What an app needs.
#[derive(Debug, Clone)]
pub(super) struct Needs {
    pub(super) sources: Sources,
    pub(super) tree: Tree,
    pub(super) decisions: Vec<String>,
    pub(super) notices: Vec<String>,
}

impl Needs {
    /// Those of `app` on `platform`, all of them installed.
    pub(super) fn of(
        disk: &mut Disk<'_>,
        app: &App,
        platform: Platform,
    ) -> Result<Self, NodeError> {
        let sources = sources(disk, app)?;
        let mut needs = Self {
            sources,
            tree: Tree::default(),
            decisions: Vec::new(),
            notices: Vec::new(),
        };
        let root = app.workspace.as_ref().unwrap_or(&app.directory);
        let lock = Lock::find(disk, &app.directory, root)?;
        if let Some(manifest) = &app.manifest {
            needs.declared(disk, app, manifest, lock.as_ref(), platform)?;
        }
        needs.undeclared(disk, app, lock.as_ref(), platform)?;
        needs.tree.settle(disk);
        needs.notices.extend(outside_notice(disk, &needs.sources));
        Ok(needs)
    }

    /// The packages that package.json names.
    fn declared(
        &mut self,
        disk: &mut Disk<'_>,
        app: &App,
        manifest: &Manifest,
        lock: Option<&Lock>,
        platform: Platform,
    ) -> Result<(), NodeError> {
        let names = manifest.needs();
        let project = &app.directory;
        let path = disk.shown(&project.as_path().join("package.json"));
        let install = lock.map_or(Manager::Npm, |lock| lock.manager).install();
        let required = names
            .values()
            .filter(|need| **need == Need::Required)
            .count();
        if required > 0 && !is_installed(disk, project) {
            for directory in upward(project) {
                let archive = directory.as_path().join(".pnp.cjs");
                if disk.file(&archive).is_some() {
                    let path = disk.shown(&archive);
                    return Err(NodeError::PlugAndPlay { path });
                }
            }
            return Err(NodeError::NotInstalled {
                manifest: path,
                count: required,
                install,
            });
        }
        self.tree
            .grow(disk, platform, project, project, &names, "a dependency")?;
        if let Some(lock) = lock {
            let differences = lock.differences(&self.tree);
            if !differences.phrases.is_empty() {
                return Err(NodeError::Lock {
                    lock: lock.path.clone(),
                    install: if differences.stale {
                        "npm install"
                    } else {
                        install
                    },
                    differences: differences.phrases,
                });
            }
        }
        let (required, peers): (Vec<&Edge>, Vec<&Edge>) = self
            .tree
            .missing()
            .partition(|edge| edge.need == Need::Required);
        if !required.is_empty() {
            return Err(NodeError::Missing {
                manifest: path,
                missing: required
                    .iter()
                    .map(|edge| self.phrase(edge, project))
                    .collect(),
                install,
            });
        }
        if !peers.is_empty() {
            let phrases = peers.iter().map(|edge| self.phrase(edge, project));
            self.notices.push(format!(
                "peers are not installed: {}; `npm install` adds those that the app needs",
                some(phrases)
            ));
        }
        if !manifest.dev.is_empty() {
            self.decisions.push(format!(
                "the dev dependencies are left out ({}); `--include node_modules/NAME` adds one",
                some(manifest.dev.iter().cloned())
            ));
        }
        Ok(())
    }

    fn phrase(&self, edge: &Edge, project: &ImagePath) -> String {
        let by = self.tree.packages.get(&edge.from);
        match by {
            Some(package) if edge.from != *project => format!("{} for {}", edge.name, package.name),
            _ => edge.name.clone(),
        }
    }

    /// Packages that the sources name and package.json does not.
    fn undeclared(
        &mut self,
        disk: &mut Disk<'_>,
        app: &App,
        lock: Option<&Lock>,
        platform: Platform,
    ) -> Result<(), NodeError> {
        let nothing = Manifest::default();
        let manifest = app.manifest.as_ref().unwrap_or(&nothing);
        let declared = manifest.needs();
        let (mut brought, mut dev, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for (name, file) in &self.sources.packages {
            if declared.contains_key(name.as_str()) || manifest.name.as_ref() == Some(name) {
                continue;
            }
            let directory = file.parent().unwrap_or_else(ImagePath::root);
            let by = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let phrase = format!("{name} (in {by})");
            let found = find(disk, &directory, name);
            let is_dev = |directory: &ImagePath| lock.is_some_and(|lock| lock.is_dev(directory));
            match found {
                None => absent.push(phrase),
                Some(found) if manifest.dev.contains(name) || is_dev(&found.directory) => {
                    dev.push(phrase);
                }
                Some(_) => {
                    let names = BTreeMap::from([(name.as_str(), Need::Required)]);
                    let why = format!("which {by} requires");
                    self.tree
                        .grow(disk, platform, &app.directory, &directory, &names, &why)?;
                    brought.push(phrase);
                }
            }
        }
        if app.manifest.is_some() && !brought.is_empty() {
            self.notices.push(format!(
                "the sources require packages that package.json does not name, and they come along: \
                 {}; `npm install NAME` names them",
                some(brought)
            ));
        }
        if !dev.is_empty() {
            self.notices.push(format!(
                "the sources require dev dependencies, which are left out: {}; name them in \
                 `dependencies` if the app needs them when it runs",
                some(dev)
            ));
        }
        if !absent.is_empty() {
            self.notices.push(format!(
                "the sources require packages that are not installed: {}; `npm install NAME` adds \
                 those that the app needs",
                some(absent)
            ));
        }
        Ok(())
    }
}

/// The app's own files that are required from its entry on.
fn sources(disk: &mut Disk<'_>, app: &App) -> Result<Sources, NodeError> {
    let mut start = Vec::new();
    let entry = &app.launch.entry;
    let own = entry.as_path().strip_prefix(app.directory.as_path());
    // The program of a package comes along with that.
    if own.is_ok_and(|own| !own.iter().any(|part| part == "node_modules")) {
        start.push(entry.clone());
    }
    for specifier in app.launch.preloaded() {
        start.extend(local(disk, &app.directory, specifier)?);
    }
    let mut sources = Sources::follow(disk, &start, &app.directory, &app.reach)?;
    for specifier in app.launch.preloaded() {
        if let Some(name) = package_of(specifier) {
            sources
                .packages
                .entry(name.to_owned())
                .or_insert_with(|| entry.clone());
        }
    }
    Ok(sources)
}

fn outside_notice(disk: &Disk<'_>, sources: &Sources) -> Option<String> {
    if sources.outside.is_empty() {
        return None;
    }
    let files = sources.outside.iter();
    Some(format!(
        "the sources require files that lie outside of the app or may hold secrets, and they are \
         left out: {}; `--include` adds one",
        some(files.map(|file| disk.shown(file.as_path()).display().to_string()))
    ))
}

/// Whether there is any node_modules for the project.
fn is_installed(disk: &mut Disk<'_>, project: &ImagePath) -> bool {
    upward(project).any(|directory| {
        disk.directory(&directory.as_path().join("node_modules"))
            .is_some()
    })
}
