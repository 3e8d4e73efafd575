//! What a build reads: the sysroot, the app in it, what comes along and what is included.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::along::Along;
use super::{Builder, Error, blame};
use crate::ImagePath;
use crate::app::{
    App, AppError, Companion, Companions, Host, Role, Scene, check_exists, recognise,
};
use crate::elf::{Closure, Machine, Object, ObjectKind, Root};
use crate::rootfs::{
    APP_DIRECTORY, AssembleError, Content, Entry, EntryKind, Included, Origin, Rootfs, same_bytes,
};
use crate::sysroot::{Directory, Node, Overlay, Sysroot, trace};

/// Everything that the closure is computed from.
pub(super) struct Input<'a> {
    directory: &'a Directory,
    system: System<'a>,
    /// The app, recognised in it.
    pub(super) app: App,
    /// The included files, every one.
    pub(super) includes: Vec<Included>,
    /// What else comes along.
    pub(super) companions: Along,
    /// Programs and libraries among all these, for the app's machine.
    pub(super) further_roots: Vec<Root>,
    /// What the user should know.
    pub(super) notices: Vec<String>,
    outside: Option<(PathBuf, ImagePath)>,
    machine: Option<Machine>,
    /// What the files at these paths are, which come from these places: each is read once,
    /// however often what comes along grows.
    known: RefCell<HashMap<(ImagePath, PathBuf), Found>>,
}

/// A program or library; `Err` with its machine when that is not the app's.
type Found = Option<Result<Root, String>>;

/// The system as the app's processes would see it.
enum System<'a> {
    /// Just as it is.
    AsIs(&'a Directory),
    /// With included files, companions that move, or an app from outside, at their places over it.
    Overlaid(Overlay<'a>),
}

impl<'a> Input<'a> {
    /// Expands the includes and recognises the app in `directory`.
    pub(super) fn gather(
        builder: &Builder,
        directory: &'a Directory,
        host: Option<&Host>,
    ) -> Result<Self, Error> {
        let mut notices = Vec::new();
        let mut includes = Vec::new();
        for include in &builder.includes {
            includes.extend(include.expand()?);
        }
        let app = by_name(builder, directory).unwrap_or_else(|| builder.app.clone());
        let (path, outside) = locate(&app, directory)?;
        if outside.is_none() {
            keep_app(&path, directory, &includes)?;
        }
        let mut companions = Along::new(&includes);
        let system = system(directory, &includes, &companions, outside.as_ref(), &[])?;
        let app = recognise(
            &Scene {
                sysroot: system.as_sysroot(),
                search: &search_path(builder),
                runtime: builder.runtime,
                shell: builder.shell,
                host,
            },
            &path,
        )?;
        let (mut hidden, mut brought) = (Vec::new(), Vec::new());
        if let Some(hosted) = app.hosted() {
            notices.extend(hosted.notices.iter().cloned());
            hidden.clone_from(&hosted.hidden);
            brought.clone_from(&hosted.companions);
        }
        companions.add(brought);
        let system = match companions.groups().is_empty() {
            true => system,
            false => self::system(directory, &includes, &companions, outside.as_ref(), &hidden)?,
        };
        let mut input = Self {
            directory,
            system,
            app,
            includes,
            companions,
            further_roots: Vec::new(),
            notices,
            outside,
            machine: None,
            known: RefCell::default(),
        };
        input.machine = input.machine_of_app();
        let mut notices = Vec::new();
        input.further_roots = input.roots_among_all(&mut notices);
        input.notices.append(&mut notices);
        Ok(input)
    }

    /// The system, with what is not in its place there laid over it.
    pub(super) fn sysroot(&self) -> &dyn Sysroot {
        self.system.as_sysroot()
    }

    /// Adds what comes along, too; says whether the closure may have grown by that.
    pub(super) fn add(&mut self, groups: Vec<Companions>) -> Result<bool, Error> {
        if !self.companions.add(groups) {
            return Ok(false);
        }
        self.renew()
    }

    /// Leaves out those companions that can be missed and are to blame that `closure` is not
    /// complete; says whether there were any.
    pub(super) fn leave_out_optional(&mut self, closure: &Closure) -> Result<bool, Error> {
        let optional = self.companions.optional();
        if closure.is_complete() || optional.is_empty() {
            return Ok(false);
        }
        let shown: BTreeMap<ImagePath, String> =
            blame::to_blame(closure, |target| optional.contains(target));
        if shown.is_empty() {
            return Ok(false);
        }
        for (path, why) in &shown {
            self.notices
                .push(format!("{path} is left out, because {why}"));
        }
        self.companions.leave_out(shown.into_keys());
        self.renew()?;
        Ok(true)
    }

    /// Lays all anew over the system; says whether there are other roots now.
    fn renew(&mut self) -> Result<bool, Error> {
        let hidden = self.app.hosted().map(|hosted| hosted.hidden.clone());
        self.system = system(
            self.directory,
            &self.includes,
            &self.companions,
            self.outside.as_ref(),
            &hidden.unwrap_or_default(),
        )?;
        let roots = self.roots_among_all(&mut Vec::new());
        let grew = roots != self.further_roots;
        self.further_roots = roots;
        Ok(grew)
    }

    /// All that lands in the image beside the app's own file and the libraries.
    pub(super) fn brought(&self) -> Vec<Included> {
        let companions = self
            .companions
            .groups()
            .iter()
            .flat_map(|group| &group.files);
        let mut brought: Vec<Included> = companions
            .map(|companion| Included {
                path: companion.path.clone(),
                entry: companion.entry.clone(),
                source: companion.source.clone(),
                notice: None,
            })
            .collect();
        brought.extend(self.includes.iter().cloned());
        brought
    }

    fn machine_of_app(&self) -> Option<Machine> {
        match self.app.roots.first()? {
            Root::Program { path } | Root::Plugin { path } => {
                let file = self.sysroot().open(path).ok()?;
                Some(Object::read(&file).ok()?.machine)
            }
            Root::Dlopen { .. } => None,
        }
    }

    fn roots_among_all(&self, notices: &mut Vec<String>) -> Vec<Root> {
        let mut roots = Vec::new();
        for included in &self.includes {
            if matches!(included.entry.kind, EntryKind::File(_)) {
                let found = self.root_at(&included.path, &included.source);
                if let Some(Err(machine)) = &found {
                    notices.push(format!(
                        "{} is for {machine}, another machine than the app: it is included, its libraries are not looked for",
                        included.path,
                    ));
                }
                roots.extend(found.and_then(Result::ok));
            }
        }
        for companion in self
            .companions
            .groups()
            .iter()
            .flat_map(|group| &group.files)
        {
            if companion.role != Role::Data && matches!(companion.entry.kind, EntryKind::File(_)) {
                // Packages hold objects for other machines beside those for this one.
                let found = self.root_at(&companion.path, &companion.source);
                roots.extend(found.and_then(Result::ok));
            }
        }
        roots.retain(|root| !self.app.roots.contains(root));
        roots
    }

    /// The ELF program or library at `path`, which comes from `source`.
    fn root_at(&self, path: &ImagePath, source: &Path) -> Found {
        let key = (path.clone(), source.to_path_buf());
        let known = self.known.borrow().get(&key).cloned();
        known.unwrap_or_else(|| {
            let found = self.read_root(path);
            self.known.borrow_mut().insert(key, found.clone());
            found
        })
    }

    fn read_root(&self, path: &ImagePath) -> Found {
        let path = path.as_path().to_path_buf();
        let file = self.sysroot().open(&path).ok()?;
        let object = Object::read(&file).ok()?;
        let same = self.machine.as_ref().is_none_or(|machine| {
            (machine.number, machine.class, machine.order)
                == (
                    object.machine.number,
                    object.machine.class,
                    object.machine.order,
                )
        });
        match object.kind {
            ObjectKind::Other => None,
            _ if !same => Some(Err(object.machine.name())),
            ObjectKind::Dynamic | ObjectKind::Static => Some(Ok(Root::Program { path })),
            ObjectKind::Library => Some(Ok(Root::Plugin { path })),
        }
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

/// The directory with everything that is not in its place there laid over it.
fn system<'a>(
    directory: &'a Directory,
    includes: &[Included],
    companions: &Along,
    outside: Option<&(PathBuf, ImagePath)>,
    hidden: &[ImagePath],
) -> Result<System<'a>, Error> {
    Ok(match upper(directory, includes, companions, outside)? {
        None if hidden.is_empty() => System::AsIs(directory),
        upper => {
            let upper = upper.unwrap_or_default();
            System::Overlaid(Overlay::new(&upper, directory).hiding(hidden.to_vec()))
        }
    })
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

/// The program that a bare name means which is no file here: as a shell finds it, in the
/// directories of `PATH` and those for administrators.
fn by_name(builder: &Builder, directory: &Directory) -> Option<PathBuf> {
    let name = &builder.app;
    let is_bare = name.components().count() == 1
        && matches!(name.components().next(), Some(Component::Normal(_)))
        && !name.as_os_str().as_bytes().contains(&b'/');
    if !is_bare || name.symlink_metadata().is_ok() {
        return None;
    }
    let here = (directory.path() == Path::new("/"))
        .then(|| builder.variables.get(OsStr::new("PATH")))
        .flatten();
    let mut directories: Vec<PathBuf> = here.map_or_else(
        || search_path(builder),
        |path| std::env::split_paths(path).collect(),
    );
    directories.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut found = directories
        .into_iter()
        .filter(|place| place.is_absolute())
        .map(|place| place.join(name));
    found.find(|path| {
        let file = directory.open(path);
        file.is_ok_and(|file| file.mode & 0o111 != 0)
    })
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
    check_exists(&host, &here)?;
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
/// on this machine anyway, companions that move, and an app from outside.
fn upper(
    directory: &Directory,
    includes: &[Included],
    companions: &Along,
    outside: Option<&(PathBuf, ImagePath)>,
) -> Result<Option<Rootfs>, Error> {
    let in_place = directory.path() == Path::new("/")
        && includes.iter().all(|included| match &included.entry.kind {
            EntryKind::File(Content::Host { path, .. }) => path == included.path.as_path(),
            _ => directory.node(&included.path).is_ok(),
        });
    let moved: Vec<&Companion> = companions
        .groups()
        .iter()
        .flat_map(|group| &group.files)
        .filter(|companion| is_moved(companion, directory))
        .collect();
    if outside.is_none() && in_place && moved.is_empty() {
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
    for companion in moved {
        // What stands in each other's way is told by what assembles the image.
        let _ = upper.insert(companion.path.clone(), companion.entry.clone());
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

/// Whether a companion matters for the closure and is not where it lands anyway.
fn is_moved(companion: &Companion, directory: &Directory) -> bool {
    match &companion.entry.kind {
        EntryKind::File(Content::Host { path, .. }) => {
            companion.role != Role::Data && *path != directory.display(companion.path.as_path())
        }
        EntryKind::File(Content::Bytes(_)) => companion.role != Role::Data,
        EntryKind::Symlink(said) => {
            !matches!(directory.node(&companion.path), Ok(Node::Symlink(there)) if there == *said)
        }
        EntryKind::Directory | EntryKind::HardLink(_) => false,
    }
}

/// A file of this machine, as an entry of the app.
fn host_file(path: &Path) -> Result<Entry, Error> {
    let unreadable = |source| AssembleError::Read {
        path: path.to_path_buf(),
        source,
    };
    let host = Directory::host().map_err(unreadable)?;
    let found = trace(&host, path).map_err(AssembleError::Interpreter)?;
    if matches!(found.node, Node::Directory { .. }) {
        let path = path.to_path_buf();
        return Err(AppError::Directory { path }.into());
    }
    let (content, mode) = host.content(&found.target).map_err(unreadable)?;
    Ok(Entry::file(content, mode, Origin::App))
}
