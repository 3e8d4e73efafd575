//! What a build reads: the sysroot, the app in it, and what is included.

use std::path::{Path, PathBuf};

use super::{Builder, Error};
use crate::ImagePath;
use crate::app::{App, check_readable, recognise};
use crate::elf::{Object, ObjectKind, Root};
use crate::rootfs::{
    APP_DIRECTORY, AssembleError, Content, Entry, EntryKind, Included, Origin, Rootfs, same_bytes,
};
use crate::sysroot::{Directory, Overlay, Sysroot, trace};

/// Everything that the closure is computed from.
pub(super) struct Input<'a> {
    system: System<'a>,
    /// The app, recognised in it.
    pub(super) app: App,
    /// The included files, every one.
    pub(super) includes: Vec<Included>,
    /// Those of them that are ELF programs and libraries for the app's machine.
    pub(super) included_roots: Vec<Root>,
    /// What the user should know.
    pub(super) notices: Vec<String>,
}

/// The system as the app's processes would see it.
enum System<'a> {
    /// Just as it is.
    AsIs(&'a Directory),
    /// With included files, or an app from outside, at their places over it.
    Overlaid(Overlay<'a>),
}

impl<'a> Input<'a> {
    /// Expands the includes and recognises the app in `directory`.
    pub(super) fn gather(builder: &Builder, directory: &'a Directory) -> Result<Self, Error> {
        let mut notices = Vec::new();
        let mut includes = Vec::new();
        for include in &builder.includes {
            includes.extend(include.expand()?);
        }
        let (path, outside) = locate(&builder.app, directory)?;
        if outside.is_none() {
            keep_app(&path, directory, &includes)?;
        }
        let system = match upper(directory, &includes, outside.as_ref())? {
            Some(upper) => System::Overlaid(Overlay::new(&upper, directory)),
            None => System::AsIs(directory),
        };
        let app = recognise(system.as_sysroot(), &path, &search_path(builder))?;
        let included_roots = elf_roots(system.as_sysroot(), &app, &includes, &mut notices);
        Ok(Self {
            system,
            app,
            includes,
            included_roots,
            notices,
        })
    }

    /// The system, with the included files at their places over it.
    pub(super) fn sysroot(&self) -> &dyn Sysroot {
        self.system.as_sysroot()
    }
}

impl System<'_> {
    fn as_sysroot(&self) -> &dyn Sysroot {
        match self {
            Self::AsIs(directory) => *directory,
            Self::Overlaid(overlay) => overlay,
        }
    }
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
fn search_path(builder: &Builder) -> Vec<PathBuf> {
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

/// The app's path in the sysroot, and, when it lies outside, the file on this machine
/// and its place in the image.
fn locate(
    app: &Path,
    directory: &Directory,
) -> Result<(PathBuf, Option<(PathBuf, ImagePath)>), Error> {
    let here = std::path::absolute(app).map_err(|source| Error::WorkingDirectory {
        path: app.to_path_buf(),
        source,
    })?;
    if directory.path() == Path::new("/") {
        return Ok((here, None));
    }
    let real_parent = here.parent().and_then(|parent| parent.canonicalize().ok());
    let real = match (&real_parent, here.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => here.clone(),
    };
    if let Ok(inside) = real.strip_prefix(directory.path()) {
        return Ok((Path::new("/").join(inside), None));
    }
    if app.is_absolute() && directory.is_file(app) {
        return Ok((app.to_path_buf(), None));
    }
    let host = Directory::host().map_err(|source| AssembleError::Read {
        path: here.clone(),
        source,
    })?;
    // A path that is nowhere was most likely meant inside the sysroot.
    if app.is_absolute() && trace(&host, &here).is_err_and(|error| error.is_not_found()) {
        return Ok((app.to_path_buf(), None));
    }
    check_readable(&host, &here)?;
    let place = ImagePath::new(Path::new(APP_DIRECTORY).join(here.file_name().unwrap_or_default()))
        .map_err(AssembleError::Path)?;
    Ok((place.clone().into(), Some((here, place))))
}

/// Refuses an include that would take the place of the app in `directory`: the image would
/// silently run another program.
fn keep_app(app: &Path, directory: &Directory, includes: &[Included]) -> Result<(), Error> {
    // What is wrong with the app is said when it is recognised.
    let Ok(trace) = trace(directory, app) else {
        return Ok(());
    };
    let Ok((own, _)) = directory.content(&trace.target) else {
        return Ok(());
    };
    for included in includes {
        let place = trace.target == included.path || app == included.path.as_path();
        if let EntryKind::File(content) = &included.entry.kind
            && place
            && !same_bytes(&own, content)?
        {
            return Err(AssembleError::Include {
                path: included.path.clone(),
                include: included.source.clone(),
                taken: "the app".to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

/// The tree that stands over the sysroot: included files that are not where they are
/// on this machine anyway, and an app from outside.
fn upper(
    directory: &Directory,
    includes: &[Included],
    outside: Option<&(PathBuf, ImagePath)>,
) -> Result<Option<Rootfs>, Error> {
    let in_place = directory.path() == Path::new("/")
        && includes.iter().all(|included| match &included.entry.kind {
            EntryKind::File(Content::Host { path, .. }) => path == included.path.as_path(),
            _ => directory.node(&included.path).is_ok(),
        });
    if outside.is_none() && in_place {
        return Ok(None);
    }
    let mut upper = Rootfs::new();
    for included in includes {
        let conflict = |conflict| AssembleError::IncludePlace {
            conflict,
            include: included.source.clone(),
        };
        upper
            .insert(included.path.clone(), included.entry.clone())
            .map_err(conflict)?;
    }
    if let Some((file, place)) = outside {
        let conflict = |conflict| AssembleError::Conflict {
            conflict,
            from: file.clone(),
        };
        upper
            .insert(place.clone(), host_file(file)?)
            .map_err(conflict)?;
    }
    Ok(Some(upper))
}

/// A file of this machine, as an entry of the app.
fn host_file(path: &Path) -> Result<Entry, Error> {
    let unreadable = |source| AssembleError::Read {
        path: path.to_path_buf(),
        source,
    };
    let host = Directory::host().map_err(unreadable)?;
    let target = trace(&host, path)
        .map_err(AssembleError::Interpreter)?
        .target;
    let (content, mode) = host.content(&target).map_err(unreadable)?;
    Ok(Entry::file(content, mode, Origin::App))
}

/// Which of the included files are ELF programs or libraries for the app's machine.
fn elf_roots(
    sysroot: &dyn Sysroot,
    app: &App,
    includes: &[Included],
    notices: &mut Vec<String>,
) -> Vec<Root> {
    let machine = app.roots.first().and_then(|root| match root {
        Root::Program { path } | Root::Plugin { path } => sysroot
            .open(path)
            .ok()
            .and_then(|file| Object::read(&file).ok())
            .map(|object| object.machine),
        Root::Dlopen { .. } => None,
    });
    let mut roots = Vec::new();
    for included in includes {
        if !matches!(included.entry.kind, EntryKind::File(_)) {
            continue;
        }
        let path = included.path.as_path().to_path_buf();
        let Some(object) = sysroot
            .open(&path)
            .ok()
            .and_then(|file| Object::read(&file).ok())
        else {
            continue;
        };
        let same = machine.is_none_or(|machine| {
            (machine.number, machine.class, machine.order)
                == (
                    object.machine.number,
                    object.machine.class,
                    object.machine.order,
                )
        });
        match object.kind {
            ObjectKind::Other => {}
            _ if !same => notices.push(format!(
                "{} is for {}, another machine than the app: it is included, its libraries are not looked for",
                included.path,
                object.machine.name()
            )),
            ObjectKind::Dynamic | ObjectKind::Static => roots.push(Root::Program { path }),
            ObjectKind::Library => roots.push(Root::Plugin { path }),
        }
    }
    roots
}
