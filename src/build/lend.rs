//! Libraries of this machine that a base lacks which is an image.
//!
//! The app's libraries are looked up in the base. What it does not have is looked up here, as the
//! loader of this machine would, and laid where the base's loader finds it. What that needs in its
//! turn is looked up in the base first. The parts of a libc belong together and are never lent:
//! but a base without any loader, such as one for static programs, gets all from here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::ground::{self, Ground};
use super::input::Input;
use super::{Builder, Error};
use crate::ImagePath;
use crate::elf::{
    Closure, Finding, Loader, Machine, MissingLibrary, Object, ObjectKind, Resolver, Root,
};
use crate::image::Platform;
use crate::rootfs::{AssembleError, Base, Entry, EntryKind, Origin};
use crate::sysroot::{Directory, Sysroot};

/// A library, or a loader, of this machine in an image on a base that lacks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// The name that was asked for; of a loader its path.
    pub name: String,
    /// The file of this machine.
    pub from: PathBuf,
    /// Where it stands in the image.
    pub at: ImagePath,
}

/// What the user is told of what was lent.
pub(super) fn notice(lent: &[Lent], base: &str) -> Option<String> {
    if lent.is_empty() {
        return None;
    }
    let files: Vec<String> = lent
        .iter()
        .map(|lent| match lent.from == lent.at.as_path() {
            true => lent.from.display().to_string(),
            false => format!("{} ({})", lent.name, lent.from.display()),
        })
        .collect();
    Some(format!(
        "from this machine, as the base {base} lacks them: {}",
        files.join(", ")
    ))
}

/// Whose needs are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Those of the app, of what comes along with it, and of what was lent.
    App,
    /// Also those of the base's own files that the app loads.
    All,
}

/// Lends to one base.
pub(super) struct Lender<'a> {
    builder: &'a Builder,
    base: &'a Base,
    /// This machine, where it can lend anything.
    host: Option<Directory>,
    machine: Machine,
    /// The roots as this machine has them.
    roots: Vec<Root>,
    /// Whether the base has neither a loader nor a libc.
    is_bare: bool,
    /// What this machine has, by the name that is asked for; its path there.
    known: Option<BTreeMap<OsString, PathBuf>>,
    /// What was looked for here already.
    tried: BTreeSet<OsString>,
    lent: Vec<Lent>,
}

impl<'a> Lender<'a> {
    /// One for the base of `builder`; `None` where that is no image.
    pub(super) fn of(
        builder: &'a Builder,
        ground: &Ground<'_>,
        input: &Input<'_>,
    ) -> Result<Option<Self>, Error> {
        let base = &builder.base;
        let (Some(_), Some(machine)) = (base.parent(), input.machine()) else {
            return Ok(None);
        };
        let host = Directory::host().map_err(|source| AssembleError::Read {
            path: PathBuf::from("/"),
            source,
        })?;
        let architecture = machine.platform().map(|(architecture, _)| architecture);
        let is_of_host = architecture == Some(Platform::host().architecture.as_str());
        let has_libc = base.rootfs().iter().any(|(path, entry)| {
            let name = path.file_name().map_or(&b""[..], OsStr::as_bytes);
            (name == b"libc.so.6" || name.starts_with(b"libc.musl-"))
                && entry.kind != EntryKind::Directory
        });
        let is_bare = !has_libc && ground::loaders(base).is_empty();
        let mut lender = Self {
            builder,
            base,
            host: is_of_host.then_some(host),
            machine,
            roots: Vec::new(),
            is_bare,
            known: None,
            tried: BTreeSet::new(),
            lent: Vec::new(),
        };
        let roots = input.app.roots.iter().chain(&input.further_roots);
        lender.roots = roots
            .filter_map(|root| lender.here(root, ground, input))
            .collect();
        Ok(Some(lender))
    }

    /// A root as this machine has it.
    fn here(&self, root: &Root, ground: &Ground<'_>, input: &Input<'_>) -> Option<Root> {
        let host = self.host.as_ref()?;
        let place = |path: &PathBuf| {
            let from = match input.source_of(path) {
                Some(source) => source.to_path_buf(),
                None => ground.found(path),
            };
            let is_of_base = from == *path && self.base.rootfs().follow(path).is_some();
            let file = (!is_of_base).then(|| host.open(&from).ok())??;
            Object::read(&file).ok().map(|_| from)
        };
        Some(match root {
            Root::Program { path } => Root::Program { path: place(path)? },
            Root::Plugin { path } => Root::Plugin { path: place(path)? },
            Root::Dlopen { name } => Root::Dlopen { name: name.clone() },
        })
    }

    /// Lends what `closure` misses; says whether there was any.
    pub(super) fn lend(
        &mut self,
        closure: &Closure,
        input: &mut Input<'_>,
        needs: For,
    ) -> Result<bool, Error> {
        self.check_libc(closure, input)?;
        let Some(host) = self.host.take() else {
            return Ok(false);
        };
        let wanted: Vec<&MissingLibrary> = (closure.missing.iter())
            .filter(|missing| self.is_wanted(closure, missing, needs))
            .collect();
        // Where a loader looks is known when it is there.
        let loader = wanted.iter().find(|it| it.finding == Finding::Interpreter);
        let now = match loader {
            Some(loader) => vec![*loader],
            None => wanted,
        };
        let mut files = Vec::new();
        for missing in &now {
            self.tried.insert(missing.name.clone());
        }
        for missing in &now {
            if let Some(from) = self.find(&host, &missing.name, &now)
                && let Some(file) = self.place(&host, closure, missing, &from)
            {
                files.push(file);
            }
        }
        self.host = Some(host);
        let is_any = !files.is_empty();
        if is_any {
            input.lend(files)?;
        }
        Ok(is_any)
    }

    /// What of it the closure has: what was lent for something that was then left out is not
    /// in the image.
    pub(super) fn used(self, closure: &Closure) -> Vec<Lent> {
        let traces = closure.objects.iter().flat_map(|object| {
            let aliases = object.aliases.iter().map(|(_, trace)| trace);
            std::iter::once(&object.trace).chain(aliases)
        });
        let used: BTreeSet<&ImagePath> = traces.map(|trace| &trace.target).collect();
        let mut lent = self.lent;
        lent.retain(|lent| used.contains(&lent.at));
        lent
    }

    fn is_wanted(&self, closure: &Closure, missing: &MissingLibrary, needs: For) -> bool {
        let is_of_base = |index: &usize| {
            let object = closure.objects.get(*index);
            object.is_some_and(|object| self.base.rootfs().get(&object.trace.target).is_some())
        };
        let is_loader = missing.finding == Finding::Interpreter;
        let is_libc = is_loader || missing.name.to_str().is_some_and(is_of_libc);
        !self.tried.contains(&missing.name)
            && (self.is_bare || !is_libc)
            && (needs == For::All || !missing.needed_by.iter().all(is_of_base))
    }

    /// Refuses an app for another libc than that of the base: its loader is missing there, and
    /// would not help either.
    fn check_libc(&self, closure: &Closure, input: &Input<'_>) -> Result<(), Error> {
        let missing = closure.missing.iter();
        let Some(loader) = missing
            .filter(|it| it.finding == Finding::Interpreter)
            .find(|it| !self.is_bare && !self.tried.contains(&it.name))
        else {
            return Ok(());
        };
        let wanted = libc_of(&loader.name);
        let loaders = ground::loaders(self.base);
        let kind = |machine: &Machine| (machine.number, machine.class, machine.order);
        let mut found = loaders
            .iter()
            .filter(|(_, machine)| kind(machine) == kind(&self.machine))
            .map(|(path, _)| libc_of(path.as_path().as_os_str()));
        let Some(other) = found.next().filter(|found| *found != wanted) else {
            return Ok(());
        };
        if found.any(|found| found == wanted) {
            return Ok(());
        }
        let asker = loader.needed_by.first();
        let asker = asker.and_then(|index| closure.objects.get(*index));
        let app = asker.map_or(input.app.path.as_path(), |object| object.path.as_path());
        Err(Error::OtherLibc {
            app: input.sysroot().display(app),
            loader: loader.name.clone().into(),
            wanted,
            base: self.base.name.clone(),
            found: other,
        })
    }

    /// Where this machine has `name`; all that is wanted `now` is looked up at once.
    fn find(&mut self, host: &Directory, name: &OsStr, now: &[&MissingLibrary]) -> Option<PathBuf> {
        if Path::new(name).is_absolute() {
            return host.is_file(Path::new(name)).then(|| name.into());
        }
        if self.known.is_none() {
            let dlopen = self.builder.dlopen.iter();
            let dlopen = dlopen.map(|name| Root::Dlopen { name: name.clone() });
            let roots = self.roots.iter().cloned().chain(dlopen).collect();
            self.known = Some(self.look_up(host, roots));
        }
        let known = self.known.get_or_insert_default();
        if let Some(path) = known.get(name) {
            return Some(path.clone());
        }
        let others: Vec<Root> = now
            .iter()
            .filter(|it| !known.contains_key(&it.name) && !it.name.as_bytes().contains(&b'/'))
            .map(|it| Root::Dlopen {
                name: it.name.clone(),
            })
            .collect();
        let found = self.look_up(host, others);
        let known = self.known.get_or_insert_default();
        for (name, path) in found {
            known.entry(name).or_insert(path);
        }
        known.get(name).cloned()
    }

    /// What the loader of this machine finds for `roots`, by name.
    fn look_up(&self, host: &Directory, mut roots: Vec<Root>) -> BTreeMap<OsString, PathBuf> {
        // A program of the system tells where its loader looks where the app is none here.
        let is_dynamic = |path: &Path| {
            let file = host.open(path).ok();
            let object = file.and_then(|file| Object::read(&file).ok());
            object.is_some_and(|it| {
                it.kind == ObjectKind::Dynamic
                    && (it.machine.number, it.machine.class)
                        == (self.machine.number, self.machine.class)
            })
        };
        let programs = roots
            .iter()
            .chain(&self.roots)
            .filter_map(|root| match root {
                Root::Program { path } => Some(path.clone()),
                _ => None,
            });
        let usual = ["/usr/bin/env", "/bin/sh", "/bin/ls"].map(PathBuf::from);
        let first = programs.chain(usual).find(|path| is_dynamic(path));
        let Some(first) = first.map(|path| Root::Program { path }) else {
            return BTreeMap::new();
        };
        roots.retain(|root| *root != first);
        roots.insert(0, first);
        let resolver = Resolver {
            library_path: self.builder.library_path.clone(),
            ..Resolver::default()
        };
        // What is wrong with a root is told by the resolution that counts.
        let Ok(closure) = crate::elf::resolve(host, &roots, &resolver) else {
            return BTreeMap::new();
        };
        let mut known: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for object in &closure.objects {
            // Variants for newer CPUs do not run on all.
            let is_variant = object.path.iter().any(|name| name == "glibc-hwcaps");
            for request in object.requests.iter().filter(|_| !is_variant) {
                let path = || object.path.clone();
                known.entry(request.name.clone()).or_insert_with(path);
            }
        }
        known
    }

    /// The file at `from` of this machine as an entry where the base's loader finds it.
    fn place(
        &mut self,
        host: &Directory,
        closure: &Closure,
        missing: &MissingLibrary,
        from: &Path,
    ) -> Option<(ImagePath, Entry)> {
        let at = match Path::new(&missing.name).is_absolute() {
            true => {
                let at = ImagePath::new(&missing.name).ok()?;
                self.free(&at)?
            }
            false => self.library_place(host, closure, &missing.name, from)?,
        };
        let target = crate::sysroot::trace(host, from).ok()?.target;
        let (content, mode) = host.content(&target).ok()?;
        self.lent.push(Lent {
            name: missing.name.to_string_lossy().into_owned(),
            from: from.to_path_buf(),
            at: at.clone(),
        });
        Some((at, Entry::file(content, mode & 0o777, Origin::Library)))
    }

    /// Where a library stands: in the directory in which it is here, if the loader looks there
    /// without being told, else in that of the base's libc, else in the first.
    fn library_place(
        &self,
        host: &Directory,
        closure: &Closure,
        name: &OsStr,
        from: &Path,
    ) -> Option<ImagePath> {
        let kind = |machine: &Machine| (machine.number, machine.class, machine.order);
        let is_ours = |loader: &&Loader| kind(&loader.machine) == kind(&self.machine);
        let loader = closure.loaders.iter().find(is_ours)?;
        let rootfs = self.base.rootfs();
        let here = from.parent()?;
        let real = crate::sysroot::trace(host, here).ok().map(|it| it.target);
        let libc = closure.objects.iter().find(|object| {
            let soname = object.object.soname.as_deref();
            soname.is_some_and(|soname| soname == "libc.so.6")
        });
        let libc = libc.and_then(|object| object.trace.target.parent());
        let leads_to = |directory: &Path, wanted: &Option<ImagePath>| {
            wanted.is_some() && rootfs.follow(directory) == *wanted
        };
        let ranked = |directory: &PathBuf| match directory {
            it if it == here => 0,
            it if leads_to(it, &real) => 1,
            it if leads_to(it, &libc) => 2,
            it if rootfs.follow(it).is_some() => 3,
            _ => 4,
        };
        let mut directories: Vec<&PathBuf> = loader.directories.iter().collect();
        directories.sort_by_key(|directory| ranked(directory));
        let places = directories.into_iter().filter(|it| it.is_absolute());
        places
            .filter_map(|directory| ImagePath::new(directory.join(name)).ok())
            .find_map(|at| self.free(&at))
    }

    /// Where `at` leads in the base, if nothing is there.
    fn free(&self, at: &ImagePath) -> Option<ImagePath> {
        let at = self.base.rootfs().canonical(at).ok()?;
        self.base.rootfs().get(&at).is_none().then_some(at)
    }
}

/// Whether a library is a part of glibc or musl, which fits to the very same build of all others
/// alone.
pub(super) fn is_of_libc(name: &str) -> bool {
    const PARTS: [&str; 13] = [
        "ld.so",
        "libBrokenLocale",
        "libanl",
        "libc",
        "libc_malloc_debug",
        "libdl",
        "libm",
        "libmvec",
        "libpthread",
        "libresolv",
        "librt",
        "libthread_db",
        "libutil",
    ];
    let name = name.rsplit('/').next().unwrap_or(name);
    let stem = name.split(".so").next().unwrap_or(name);
    // Later versions of libnsl are a library of their own.
    PARTS.contains(&stem)
        || name == "libnsl.so.1"
        || ["ld-", "ld.so", "ld64.so", "libnss_", "libc.musl-"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// The libc of a loader, by its name.
fn libc_of(loader: &OsStr) -> &'static str {
    let name = Path::new(loader).file_name().unwrap_or_default();
    match name.as_bytes().starts_with(b"ld-musl") {
        true => "musl",
        false => "glibc",
    }
}
