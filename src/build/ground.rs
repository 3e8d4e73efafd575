//! The system that a build takes everything from, and where the app is in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::{Builder, Error};
use crate::ImagePath;
use crate::app::check_exists;
use crate::elf::{Closure, LoadedObject, Machine, Object, Rule};
use crate::image::Platform;
use crate::rootfs::{APP_DIRECTORY, AssembleError, Base, Content, EntryKind};
use crate::sysroot::{
    Beside, Directory, Held, Node, Sysroot, Window, is_a_systems_own, own_directory, trace,
};

/// This machine, the system of `--sysroot`, or a base that is a system; beside one of the latter
/// those files of this machine that an app of it may see.
pub(super) struct Ground<'b> {
    /// The app's path in it.
    pub(super) app: PathBuf,
    /// A file of this machine that is the app, and its place in the image.
    pub(super) outside: Option<(PathBuf, ImagePath)>,
    /// What it is, for people; `None` for this machine.
    name: Option<String>,
    system: Arc<dyn Sysroot + 'b>,
    /// The system with what is to be seen beside it.
    whole: Arc<dyn Sysroot + 'b>,
    /// Where it is on this machine; `None` for a base.
    root: Option<PathBuf>,
    base: Option<&'b Base>,
    home: Option<PathBuf>,
}

/// Where the app is.
enum Place {
    /// At this path of the other system.
    Inside(PathBuf),
    /// At this path of this machine, with what can be seen through the window.
    Beside(PathBuf, Window),
    /// It is this file of this machine, alone.
    Outside(PathBuf),
}

impl<'b> Ground<'b> {
    /// Opens the system that `builder` names and looks for its app there and here.
    pub(super) fn open(builder: &'b Builder) -> Result<Self, Error> {
        match &builder.sysroot {
            Some(sysroot) if builder.base.is_system() => Err(Error::TwoSystems {
                sysroot: sysroot.clone(),
                base: builder.base.name.clone(),
            }),
            None if builder.base.is_system() => {
                let held = Held::new(builder.base.rootfs(), &builder.base.name);
                let name = format!("the base {}", builder.base.name);
                Self::elsewhere(builder, Arc::new(held), None, name)
            }
            sysroot => {
                let directory = open_sysroot(sysroot.as_deref())?;
                if directory.path() == Path::new("/") {
                    return Self::here(builder, directory);
                }
                let root = directory.path().to_path_buf();
                let name = format!("the system in {}", root.display());
                Self::elsewhere(builder, Arc::new(directory), Some(root), name)
            }
        }
    }

    fn here(builder: &'b Builder, directory: Directory) -> Result<Self, Error> {
        let path = on_path(builder, &directory, &directories_here(builder));
        let app = absolute(&path.unwrap_or_else(|| builder.app.clone()))?;
        let system: Arc<dyn Sysroot + 'b> = Arc::new(directory);
        Ok(Self {
            app,
            outside: None,
            name: None,
            whole: Arc::clone(&system),
            system,
            root: Some(PathBuf::from("/")),
            base: None,
            home: None,
        })
    }

    fn elsewhere(
        builder: &'b Builder,
        system: Arc<dyn Sysroot + 'b>,
        root: Option<PathBuf>,
        name: String,
    ) -> Result<Self, Error> {
        let machine = Directory::host().map_err(|source| AssembleError::Read {
            path: PathBuf::from("/"),
            source,
        })?;
        let app = on_path(builder, &*system, &search_path(builder))
            .or_else(|| on_path(builder, &machine, &directories_here(builder)))
            .unwrap_or_else(|| builder.app.clone());
        let place = locate(&app, &system, root.as_deref(), &machine)?;
        let mut outside = None;
        let (app, mut window) = match place {
            Place::Inside(path) => (path, Window::default()),
            Place::Beside(path, window) => (path, window),
            Place::Outside(file) => {
                let name = file.file_name().unwrap_or_default();
                let place = ImagePath::new(Path::new(APP_DIRECTORY).join(name))
                    .map_err(AssembleError::Path)?;
                outside = Some((file, place.clone()));
                (place.into(), Window::default())
            }
        };
        let base = builder.base.is_system().then_some(&builder.base);
        if base.is_some() {
            // A base cannot have been given more libraries: those are here.
            let libraries = builder.library_path.iter();
            let libraries = libraries.filter(|directory| !system.is_directory(directory));
            window
                .directories
                .extend(libraries.filter_map(|directory| ImagePath::new(directory).ok()));
        }
        let whole = match window.is_empty() {
            true => Arc::clone(&system),
            false => Arc::new(Beside::new(Arc::clone(&system), machine, window)),
        };
        let home = builder.variables.get(OsStr::new("HOME")).map(PathBuf::from);
        Ok(Self {
            app,
            outside,
            name: Some(name),
            system,
            whole,
            root,
            base,
            home: home.filter(|home| home.is_absolute()),
        })
    }

    /// Whether it is this machine.
    pub(super) fn is_here(&self) -> bool {
        self.name.is_none()
    }

    /// The directory of this machine in which the system is, if it is in one.
    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// All that is to be seen.
    pub(super) fn sysroot(&self) -> &(dyn Sysroot + 'b) {
        &*self.whole
    }

    /// The other system alone, for what recognises apps.
    pub(super) fn other(&self) -> Option<crate::app::Ground<'_>> {
        self.name.as_deref().map(|name| crate::app::Ground {
            sysroot: &*self.system,
            name,
            home: self.home.as_deref(),
        })
    }

    /// Where the app was found that is at the path `app` of the system: one from outside on this
    /// machine.
    pub(super) fn found(&self, app: &Path) -> PathBuf {
        match &self.outside {
            Some((file, place)) if place.as_path() == app => file.clone(),
            _ => app.to_path_buf(),
        }
    }

    /// Whether the base has the very same thing at `path`.
    pub(super) fn base_holds(&self, path: &ImagePath, kind: &EntryKind) -> bool {
        self.base.is_some_and(|base| base.holds(path, kind))
    }

    /// Whether a file that has this content stands at `path` anyway.
    pub(super) fn has(&self, path: &ImagePath, content: &Content) -> bool {
        match (content, self.is_here()) {
            (Content::Host { path: from, .. }, true) => from == path.as_path(),
            (Content::Bytes(_), true) => false,
            (content, false) => (self.whole.content(path)).is_ok_and(|(it, _)| it.is_same(content)),
        }
    }

    /// What of this machine is in `closure` only because a file of the base looks for it by its
    /// own `RPATH` or `RUNPATH`: in the image there is nothing at that path, and the base has the
    /// library elsewhere. A base that was built on this machine has such paths.
    pub(super) fn strays(&self, closure: &Closure) -> Vec<ImagePath> {
        let Some(base) = self.base else {
            return Vec::new();
        };
        let is_of_base = |path: &ImagePath| base.rootfs().get(path).is_some();
        let is_asked_by_base = |rule: &Rule| match rule {
            Rule::Rpath { of, .. } | Rule::Runpath { of, .. } => {
                let of = closure.objects.get(*of);
                of.is_some_and(|of| is_of_base(&of.trace.target))
            }
            // Whoever it was first loaded for counts.
            _ => *rule == Rule::AlreadyLoaded,
        };
        let is_stray = |object: &&LoadedObject| {
            let mut rules = object.requests.iter().map(|request| &request.rule);
            let is_first = object.requests.first();
            is_first.is_some_and(|first| first.rule != Rule::AlreadyLoaded)
                && rules.all(is_asked_by_base)
                && !is_of_base(&object.trace.target)
        };
        let strays = closure.objects.iter().filter(is_stray);
        strays.map(|stray| stray.trace.target.clone()).collect()
    }

    /// Refuses an app for another machine than that of the base's libraries.
    pub(super) fn check_machine(&self, app: &Path, machine: Option<Machine>) -> Result<(), Error> {
        let (Some(base), Some(machine)) = (self.base, machine) else {
            return Ok(());
        };
        let kind = |machine: &Machine| (machine.number, machine.class, machine.order);
        let known = machines(base);
        let Some(first) = known.first() else {
            return Ok(());
        };
        if known.iter().any(|known| kind(known) == kind(&machine)) {
            return Ok(());
        }
        let app = match &self.outside {
            Some(_) => self.found(app),
            None => self.whole.display(app),
        };
        if let (Some(parent), Some((architecture, variant))) = (base.parent(), machine.platform()) {
            return Err(Error::OtherBasePlatform {
                app,
                found: Box::new(Platform::linux(architecture, variant)),
                base: base.name.clone(),
                platform: Box::new(parent.platform.clone()),
            });
        }
        Err(Error::OtherMachine {
            app,
            machine: machine.name(),
            base: base.name.clone(),
            found: first.name(),
            architecture: machine.platform().map(|(architecture, _)| architecture),
        })
    }
}

/// The machines that a base has dynamic loaders for.
fn machines(base: &Base) -> Vec<Machine> {
    loaders(base)
        .into_iter()
        .map(|(_, machine)| machine)
        .collect()
}

/// The dynamic loaders that a base has, and what they run on.
pub(super) fn loaders(base: &Base) -> Vec<(ImagePath, Machine)> {
    let held = Held::new(base.rootfs(), &base.name);
    let is_loader = |path: &ImagePath| {
        let name = path.file_name().map_or(&b""[..], OsStr::as_bytes);
        name.starts_with(b"ld-") || name.starts_with(b"ld.so") || name.starts_with(b"ld64.so")
    };
    let loaders = base
        .rootfs()
        .iter()
        .filter(|(path, entry)| matches!(entry.kind, EntryKind::File(_)) && is_loader(path));
    loaders
        .filter_map(|(path, _)| {
            let object = Object::read(&held.open(path.as_path()).ok()?).ok()?;
            Some((path.clone(), object.machine))
        })
        .collect()
}

/// Opens the directory in which everything is looked up.
pub(super) fn open_sysroot(path: Option<&Path>) -> Result<Directory, Error> {
    let path = path.unwrap_or(Path::new("/"));
    Directory::new(path).map_err(|source| Error::Sysroot {
        path: path.to_path_buf(),
        source,
    })
}

/// The directories of the image's `PATH`, in which `env` looks for a script's interpreter.
pub(super) fn search_path(builder: &Builder) -> Vec<PathBuf> {
    const FALLBACK: &str = "/usr/local/bin:/usr/bin:/bin";
    let mut env = builder
        .env
        .iter()
        .rev()
        .chain(builder.base.config.env.iter().rev());
    let path = env
        .find(|(name, _)| name == "PATH")
        .map_or(FALLBACK, |(_, value)| value);
    path.split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// The directories in which a shell of this machine finds programs.
fn directories_here(builder: &Builder) -> Vec<PathBuf> {
    match builder.variables.get(OsStr::new("PATH")) {
        Some(path) => std::env::split_paths(path).collect(),
        None => search_path(builder),
    }
}

/// The program that a bare name means which is no file here: as a shell finds it, in
/// `directories` and those for administrators.
fn on_path(builder: &Builder, sysroot: &dyn Sysroot, directories: &[PathBuf]) -> Option<PathBuf> {
    let name = &builder.app;
    let is_bare = name.components().count() == 1
        && matches!(name.components().next(), Some(Component::Normal(_)))
        && !name.as_os_str().as_bytes().contains(&b'/');
    if !is_bare || name.symlink_metadata().is_ok() {
        return None;
    }
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let places = directories.iter().chain(&more);
    let mut found = places
        .filter(|place| place.is_absolute())
        .map(|place| place.join(name));
    found.find(|path| {
        let file = sysroot.open(path);
        file.is_ok_and(|file| file.mode & 0o111 != 0)
    })
}

fn absolute(app: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(app).map_err(|source| Error::WorkingDirectory {
        path: app.to_path_buf(),
        source,
    })
}

/// Where the app is that is `app` on this machine, or in `system`, which is at `root` of this
/// machine if it is anywhere.
fn locate(
    app: &Path,
    system: &Arc<dyn Sysroot + '_>,
    root: Option<&Path>,
    machine: &Directory,
) -> Result<Place, Error> {
    let here = absolute(app)?;
    let real_parent = here.parent().and_then(|parent| parent.canonicalize().ok());
    let spelled = match (&real_parent, here.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => here.clone(),
    };
    if let Some(inside) = root.and_then(|root| spelled.strip_prefix(root).ok()) {
        return Ok(Place::Inside(Path::new("/").join(inside)));
    }
    if app.is_absolute() && system.is_file(app) {
        return Ok(Place::Inside(app.to_path_buf()));
    }
    let walked = trace(machine, &here);
    // A path that is nowhere was most likely meant inside the system.
    if app.is_absolute() && walked.as_ref().is_err_and(|error| error.is_not_found()) {
        return Ok(Place::Inside(app.to_path_buf()));
    }
    check_exists(machine, &here)?;
    let walked = walked.map_err(AssembleError::Interpreter)?;
    let is_directory = matches!(walked.node, Node::Directory { .. });
    let real = walked.target;
    let mut directories: Vec<ImagePath> = [ImagePath::new(&here).ok(), Some(real.clone())]
        .iter()
        .flatten()
        .filter_map(own_directory)
        .collect();
    if is_directory && is_a_systems_own(real.as_path()) {
        directories.push(real.clone());
    }
    directories.dedup();
    let window = Window {
        projects: true,
        directories,
    };
    let host = Directory::host().map_err(|source| AssembleError::Read {
        path: here.clone(),
        source,
    })?;
    let beside = Beside::new(Arc::clone(system), host, window.clone());
    let is_seen = |path: &Path| trace(&beside, path).is_ok();
    Ok(match (is_seen(&here), is_seen(real.as_path())) {
        (true, _) => Place::Beside(here, window),
        // A link of the system's own leads to it.
        (false, true) => Place::Beside(real.into(), window),
        (false, false) => Place::Outside(here),
    })
}
