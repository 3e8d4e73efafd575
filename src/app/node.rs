//! Node.js apps: a file, or a project with a package.json.
//!
//! Nothing of the app is executed. Which packages come along is told by a walk through the real
//! node_modules by Node.js's own rules, and the lock file says whether that is what was meant. All
//! of it moves below `/app`, with everything at the same distance from everything else, so that each
//! name leads to the same file as before.

mod disk;
mod entry;
mod error;
mod gather;
mod ignore;
mod image;
mod imports;
mod interpreter;
mod layout;
mod lock;
mod looks;
mod manifest;
mod needs;
mod options;
mod package;
mod project;
mod sources;
mod strings;
#[cfg(test)]
mod tests;
mod tree;
mod version;
mod words;

use std::ffi::OsStr;
use std::path::Path;

use self::disk::{Disk, upward};
use self::entry::Launch;
use self::looks::Looks;
use self::manifest::Manifest;
use self::needs::Needs;
use super::hosted::{Hosted, Runtime, RuntimeChoice, Scene};
use crate::ImagePath;
use crate::sysroot::{Node, TraceError, trace};

pub use error::NodeError;

/// An app of Node.js, recognised.
#[derive(Debug, Clone)]
struct App {
    /// The real directory of the project; that of the file, where there is no package.json.
    directory: ImagePath,
    /// Its package.json.
    manifest: Option<Manifest>,
    /// The directory of the workspace that the project belongs to.
    workspace: Option<ImagePath>,
    /// The directory that none of its own files lies outside of.
    reach: ImagePath,
    launch: Launch,
}

/// Takes the file or directory at the absolute `path` for an app of Node.js, or says that it is
/// none (`Ok(None)`) where the user did not ask for Node.js by name.
///
/// # Errors
/// When it is one that cannot run, or was asked for by name and is none.
pub(super) fn recognise(scene: &Scene<'_>, path: &Path) -> Result<Option<Hosted>, NodeError> {
    if !scene.allows(Runtime::Node) {
        return Ok(None);
    }
    let mut disk = Disk::new(scene.sysroot);
    let Some(app) = App::recognise(scene, &mut disk, path)? else {
        return Ok(None);
    };
    let named = app.launch.interpreter.as_deref();
    let interpreter =
        interpreter::find(scene, &mut disk, &app.launch.entry, &app.directory, named)?;
    if looks::is_typescript(&app.launch.entry) && !interpreter.version.runs_typescript() {
        return Err(NodeError::TypeScript {
            path: disk.shown(app.launch.entry.as_path()),
            node: disk.shown(interpreter.file.as_path()),
            version: interpreter.version.to_string(),
        });
    }
    let needs = Needs::of(&mut disk, &app, interpreter.platform)?;
    image::hosted(&mut disk, &app, &interpreter, needs).map(Some)
}

impl App {
    fn recognise(
        scene: &Scene<'_>,
        disk: &mut Disk<'_>,
        path: &Path,
    ) -> Result<Option<Self>, NodeError> {
        let asked = scene.runtime == RuntimeChoice::Only(Runtime::Node);
        let walked = match trace(scene.sysroot, path) {
            Ok(walked) => walked,
            // Who looks at it next says what is wrong with the path.
            Err(_) if !asked => return Ok(None),
            Err(error) => return Err(unreadable(disk, path, error)),
        };
        let shown = disk.shown(path);
        let not_node = |what: &'static str| match asked {
            true => Err(NodeError::NotNode {
                path: shown.clone(),
                what,
            }),
            false => Ok(None),
        };
        match walked.node {
            Node::Directory { .. } => match Manifest::read(disk, &walked.target)? {
                Some(manifest) => Self::of_project(scene, disk, walked.target, manifest).map(Some),
                None => {
                    let index = walked.target.as_path().join("index.js");
                    match disk.file(&index).filter(|_| asked) {
                        Some(file) => {
                            Self::of_file(scene, disk, file, &Looks::Node(None)).map(Some)
                        }
                        None => not_node("a directory without package.json and index.js"),
                    }
                }
            },
            Node::File(_) => match looks::looks(disk, &walked.target, path)? {
                Looks::Other(what) => not_node(what),
                Looks::Text if !asked => Ok(None),
                looks => Self::of_file(scene, disk, walked.target, &looks).map(Some),
            },
            Node::Symlink(_) | Node::Other => not_node("a device, socket or pipe"),
        }
    }

    fn of_project(
        scene: &Scene<'_>,
        disk: &mut Disk<'_>,
        directory: ImagePath,
        manifest: Manifest,
    ) -> Result<Self, NodeError> {
        let launch = entry::of_project(disk, &directory, &manifest)?;
        Self::new(scene, disk, directory, Some(manifest), launch)
    }

    fn of_file(
        scene: &Scene<'_>,
        disk: &mut Disk<'_>,
        file: ImagePath,
        looks: &Looks,
    ) -> Result<Self, NodeError> {
        let launch = entry::of_file(disk, file.clone(), looks);
        let directory = file.parent().unwrap_or_else(ImagePath::root);
        match project_of(scene, disk, &directory)? {
            Some((directory, manifest)) => {
                Self::new(scene, disk, directory, Some(manifest), launch)
            }
            None => Self::new(scene, disk, directory, None, launch),
        }
    }

    fn new(
        scene: &Scene<'_>,
        disk: &mut Disk<'_>,
        directory: ImagePath,
        manifest: Option<Manifest>,
        launch: Launch,
    ) -> Result<Self, NodeError> {
        let home = home(scene, disk);
        let mut workspace = None;
        let mut repository = None;
        for above in upward(&directory) {
            if above.is_root() || home.as_ref() == Some(&above) {
                break;
            }
            if workspace.is_none() && is_workspace(disk, &above)? {
                workspace = Some(above.clone());
            }
            if is_repository(disk, &above) {
                repository = Some(above);
                break;
            }
        }
        let reach = repository.or_else(|| workspace.clone()).unwrap_or_else(|| {
            match (&manifest, home) {
                (Some(_), _) => directory.clone(),
                (None, Some(home)) if directory.starts_with(&home) => home,
                // The first component: a file of the system's is none of the app's.
                (None, _) => directory
                    .ancestors()
                    .next()
                    .unwrap_or_else(|| directory.clone()),
            }
        });
        Ok(Self {
            directory,
            manifest,
            workspace,
            reach,
            launch,
        })
    }
}

/// The project that a file in `directory` belongs to: the nearest package.json that says more than
/// the type of modules, up to the repository or the home directory.
fn project_of(
    scene: &Scene<'_>,
    disk: &mut Disk<'_>,
    directory: &ImagePath,
) -> Result<Option<(ImagePath, Manifest)>, NodeError> {
    let home = home(scene, disk);
    let mut marker = None;
    for above in upward(directory) {
        let is_home = home.as_ref() == Some(&above) && above != *directory;
        if above.is_root() || is_home || above.file_name() == Some(OsStr::new("node_modules")) {
            break;
        }
        match Manifest::read(disk, &above)? {
            Some(manifest) if manifest.is_marker() => {
                marker.get_or_insert((above.clone(), manifest));
            }
            Some(manifest) => return Ok(Some((above, manifest))),
            None => {}
        }
        if is_repository(disk, &above) {
            break;
        }
    }
    Ok(marker)
}

fn home(scene: &Scene<'_>, disk: &mut Disk<'_>) -> Option<ImagePath> {
    disk.directory(scene.home()?).filter(|home| !home.is_root())
}

fn is_repository(disk: &mut Disk<'_>, directory: &ImagePath) -> bool {
    disk.find(&directory.as_path().join(".git")).is_some()
}

fn is_workspace(disk: &mut Disk<'_>, directory: &ImagePath) -> Result<bool, NodeError> {
    let marks = ["pnpm-workspace.yaml", "lerna.json"];
    if marks
        .iter()
        .any(|mark| disk.file(&directory.as_path().join(mark)).is_some())
    {
        return Ok(true);
    }
    Ok(Manifest::read(disk, directory)?.is_some_and(|manifest| manifest.workspaces))
}

fn unreadable(disk: &Disk<'_>, path: &Path, error: TraceError) -> NodeError {
    disk.failed(path, error.into())
}
