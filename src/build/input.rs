//! What a build reads: the sysroot, the app in it, what comes along and what is included.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::along::Along;
use super::ground::{Ground, search_path};
use super::{Builder, Error, blame};
use crate::ImagePath;
use crate::app::{App, AppError, Companion, Companions, Host, Provenance, Role, Scene, recognise};
use crate::elf::{Closure, Machine, Object, ObjectKind, Root};
use crate::rootfs::{
    AssembleError, Content, Entry, EntryKind, Included, Origin, Rootfs, same_bytes,
};
use crate::sysroot::{Directory, Node, Overlay, Sysroot, trace};

/// Everything that the closure is computed from.
pub(super) struct Input<'a> {
    ground: &'a Ground<'a>,
    system: System<'a>,
    /// The app, recognised in it.
    pub(super) app: App,
    /// The included files, every one.
    pub(super) includes: Vec<Included>,
    /// What else comes along.
    pub(super) companions: Along,
    /// The libraries that this machine lends to a base that is an image.
    lent: Rootfs,
    /// Files of this machine that only the base's own files would load.
    strays: Vec<ImagePath>,
    /// Programs and libraries among all these, for the app's machine.
    pub(super) further_roots: Vec<Root>,
    /// What the user should know.
    pub(super) notices: Vec<String>,
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
    AsIs(&'a dyn Sysroot),
    /// With included files, companions that move, or an app from outside, at their places over it.
    Overlaid(Overlay<'a>),
}

impl<'a> Input<'a> {
    /// Expands the includes and recognises the app on `ground`.
    pub(super) fn gather(
        builder: &Builder,
        ground: &'a Ground<'a>,
        host: Option<&Host>,
    ) -> Result<Self, Error> {
        let mut notices = Vec::new();
        let mut includes = Vec::new();
        for include in &builder.includes {
            includes.extend(include.expand()?);
        }
        if ground.outside.is_none() {
            keep_app(&ground.app, ground.sysroot(), &includes)?;
        }
        let mut companions = Along::new(&includes);
        let lent = Rootfs::new();
        let system = system(ground, &includes, &companions, &lent, &[])?;
        let app = recognise(
            &Scene {
                sysroot: system.as_sysroot(),
                search: &search_path(builder),
                runtime: builder.runtime,
                shell: builder.shell,
                host,
                ground: ground.other(),
            },
            &ground.app,
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
            false => self::system(ground, &includes, &companions, &lent, &hidden)?,
        };
        let mut input = Self {
            ground,
            system,
            app,
            includes,
            companions,
            lent,
            strays: Vec::new(),
            further_roots: Vec::new(),
            notices,
            machine: None,
            known: RefCell::default(),
        };
        input.machine = input.machine_of_app();
        ground.check_machine(&input.app.path, input.machine)?;
        let mut notices = Vec::new();
        input.further_roots = input.roots_among_all(&mut notices);
        input.notices.append(&mut notices);
        Ok(input)
    }

    /// The system, with what is not in its place there laid over it.
    pub(super) fn sysroot(&self) -> &dyn Sysroot {
        self.system.as_sysroot()
    }

    /// The path in the sysroot of a file of this machine that lies in it.
    pub(super) fn path_of(&self, file: &Path) -> Option<ImagePath> {
        let inside = file.strip_prefix(self.ground.root()?).ok()?;
        ImagePath::new(Path::new("/").join(inside)).ok()
    }

    /// Adds what comes along, too; says whether the closure may have grown by that.
    pub(super) fn add(&mut self, groups: Vec<Companions>) -> Result<bool, Error> {
        if !self.companions.add(groups) {
            return Ok(false);
        }
        self.renew()
    }

    /// Lays files of this machine, at their places in the image, over the system: a library that
    /// a base lacks.
    pub(super) fn lend(&mut self, files: Vec<(ImagePath, Entry)>) -> Result<(), Error> {
        for (path, entry) in files {
            let from = match &entry.kind {
                EntryKind::File(Content::Host { path, .. }) => path.clone(),
                _ => path.clone().into(),
            };
            self.lent
                .insert(path, entry)
                .map_err(|conflict| AssembleError::Conflict { conflict, from })?;
        }
        self.renew()?;
        Ok(())
    }

    /// Hides the strays of `closure`; says whether there are new ones.
    pub(super) fn hide_strays(&mut self, closure: &Closure) -> Result<bool, Error> {
        let mut found = self.ground.strays(closure);
        found.retain(|path| !self.strays.contains(path));
        if found.is_empty() {
            return Ok(false);
        }
        self.strays.append(&mut found);
        self.renew()?;
        Ok(true)
    }

    /// Where on this machine the file at `path` comes from that was included or comes along.
    pub(super) fn source_of(&self, path: &Path) -> Option<&Path> {
        let included = self.includes.iter().map(|it| (&it.path, &it.source));
        let groups = self.companions.groups().iter();
        let along = groups
            .flat_map(|group| &group.files)
            .map(|it| (&it.path, &it.source));
        let mut all = included.chain(along);
        all.find(|(at, _)| at.as_path() == path)
            .map(|it| it.1.as_path())
    }

    /// What the app runs on.
    pub(super) fn machine(&self) -> Option<Machine> {
        self.machine
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
            // What a base cannot load of its own it has all the same, and no app asks for it.
            if !self.is_of_base(path) {
                self.notices
                    .push(format!("{path} is left out, because {why}"));
            }
        }
        self.companions.leave_out(shown.into_keys());
        self.renew()?;
        Ok(true)
    }

    /// Whether the file that comes along at `path` is one of the base.
    fn is_of_base(&self, path: &ImagePath) -> bool {
        let mut files = self.companions.groups().iter().flat_map(|it| &it.files);
        files.any(|file| file.path == *path && self.ground.base_holds(path, &file.entry.kind))
    }

    /// Lays all anew over the system; says whether there are other roots now.
    fn renew(&mut self) -> Result<bool, Error> {
        let hosted = self.app.hosted().into_iter();
        let hidden = hosted.flat_map(|hosted| &hosted.hidden);
        let hidden: Vec<ImagePath> = hidden.chain(&self.strays).cloned().collect();
        self.system = system(
            self.ground,
            &self.includes,
            &self.companions,
            &self.lent,
            &hidden,
        )?;
        let roots = self.roots_among_all(&mut Vec::new());
        let grew = roots != self.further_roots;
        self.further_roots = roots;
        Ok(grew)
    }

    /// What comes along, for people: of what rules bring, only what the base does not have, since
    /// that is there with or without a rule.
    pub(super) fn groups(&self) -> Vec<Companions> {
        let mut groups = self.companions.groups().to_vec();
        groups.retain_mut(|group| {
            let is_rule = matches!(group.by, Provenance::Rule(_));
            if !is_rule || group.files.is_empty() {
                return true;
            }
            group
                .files
                .retain(|file| !self.ground.base_holds(&file.path, &file.entry.kind));
            !group.files.is_empty()
        });
        groups
    }

    /// All that lands in the image beside the app's own file and the libraries.
    pub(super) fn brought(&self) -> Vec<Included> {
        let companions = self
            .companions
            .groups()
            .iter()
            .flat_map(|group| &group.files);
        let mut brought: Vec<Included> = companions
            // What the base has lands in the image anyway.
            .filter(|file| !self.ground.base_holds(&file.path, &file.entry.kind))
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
            Self::AsIs(ground) => *ground,
            Self::Overlaid(overlay) => overlay,
        }
    }
}

/// The ground with everything that is not in its place there laid over it.
fn system<'a>(
    ground: &'a Ground<'a>,
    includes: &[Included],
    companions: &Along,
    lent: &Rootfs,
    hidden: &[ImagePath],
) -> Result<System<'a>, Error> {
    Ok(match upper(ground, includes, companions, lent)? {
        None if hidden.is_empty() => System::AsIs(ground.sysroot()),
        upper => {
            let upper = upper.unwrap_or_default();
            System::Overlaid(Overlay::new(&upper, ground.sysroot()).hiding(hidden.to_vec()))
        }
    })
}

/// Refuses an include that would take the place of the app: the image would silently run another
/// program.
fn keep_app(app: &Path, sysroot: &dyn Sysroot, includes: &[Included]) -> Result<(), Error> {
    // What is wrong with the app is said when it is recognised.
    let Ok(trace) = trace(sysroot, app) else {
        return Ok(());
    };
    let Ok((own, _)) = sysroot.content(&trace.target) else {
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

/// The tree that stands over the ground: included files that are not where they are
/// on this machine anyway, companions that move, and an app from outside.
fn upper(
    ground: &Ground<'_>,
    includes: &[Included],
    companions: &Along,
    lent: &Rootfs,
) -> Result<Option<Rootfs>, Error> {
    let in_place = ground.is_here()
        && includes.iter().all(|included| match &included.entry.kind {
            EntryKind::File(Content::Host { path, .. }) => path == included.path.as_path(),
            _ => ground.sysroot().node(&included.path).is_ok(),
        });
    let moved: Vec<&Companion> = companions
        .groups()
        .iter()
        .flat_map(|group| &group.files)
        .filter(|companion| is_moved(companion, ground))
        .collect();
    if ground.outside.is_none() && in_place && moved.is_empty() && lent.is_empty() {
        return Ok(None);
    }
    let mut upper = lent.clone();
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
    if let Some((file, place)) = &ground.outside {
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
fn is_moved(companion: &Companion, ground: &Ground<'_>) -> bool {
    match &companion.entry.kind {
        EntryKind::File(content) => {
            companion.role != Role::Data && !ground.has(&companion.path, content)
        }
        EntryKind::Symlink(said) => {
            let there = ground.sysroot().node(&companion.path);
            !matches!(there, Ok(Node::Symlink(there)) if there == *said)
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
