//! The story of a build: from what the user pointed at to an image in a store.
//!
//! | stage | function | gives |
//! |---|---|---|
//! | recognise, resolve | [`Builder::resolve`] | [`Resolved`]: the app and its closure |
//! | trace, where asked for | [`Builder::trace`] | what a run of the app opens |
//! | assemble, check | [`Builder::plan`] | [`Plan`]: all that lands in the image |
//! | prove, where asked for | [`Plan::smoke`] | how the image started in a sandbox |
//! | pack, describe, write | [`Plan::write`] | [`Built`]: the image, where it is, its layers |
//!
//! Each stage takes the former one's value; nothing is written before the last.

mod along;
mod below;
mod blame;
mod check;
mod error;
mod ground;
mod input;
mod launch;
mod lend;
mod parts;
mod records;
mod run;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

pub use check::Difference;
pub use error::{Error, Unresolved};
pub use lend::Lent;
pub use parts::LayerPart;
pub use write::{Built, Observer, Output, Phase, Silent};

use crate::ImagePath;
use crate::app::{App, Companions, Host, RuntimeChoice};
use crate::elf::{Closure, Notice, Resolver, Root};
use crate::image::{Platform, Settings};
use crate::packages::Owners;
use crate::parent::Parent;
use crate::plugins::{Applied, Choice, Rules};
use crate::rootfs::{APP_DIRECTORY, Assembly, Base, Include, Origin, Rootfs};
use crate::trace::Profile;

/// What to build, and how. The fields are what the flags of `distrobuild build` set.
///
/// ```no_run
/// use distrobuild::rootfs::Base;
/// use distrobuild::{Builder, Output};
///
/// let mut builder = Builder::new("/usr/bin/jq", Base::named("static")?);
/// builder.env.push(("LANG".into(), "C.UTF-8".into()));
/// let built = builder.plan()?.write(&Output::layout("jq.oci"))?;
/// println!("{}", built.image.descriptor.digest());
/// # Ok::<(), distrobuild::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    /// The program: a path on this machine, or in the system that everything is taken from.
    pub app: PathBuf,
    /// The directory that stands for `/` in every look-up; `None` for this system, or that of
    /// [`base`](Self::base).
    pub sysroot: Option<PathBuf>,
    /// What the image starts from. One that [is a system](Base::is_system) has all that the app
    /// needs beside its own files.
    pub base: Base,
    /// What runs the app.
    pub runtime: RuntimeChoice,
    /// Let a shell into the image, where a script needs one.
    pub shell: bool,
    /// Which rules of `bases/plugins.toml` apply beside those that do by themselves, and which not.
    pub rules: Choice,
    /// The files that a run of the app opened.
    pub profile: Option<Profile>,
    /// Further files.
    pub includes: Vec<Include>,
    /// Names of libraries that the app opens by `dlopen`.
    pub dlopen: Vec<OsString>,
    /// Directories searched as if they were in `LD_LIBRARY_PATH`.
    pub library_path: Vec<PathBuf>,
    /// Refuse to build for another platform than this.
    pub platform: Option<Platform>,
    /// Drop debug sections of ELF files.
    pub strip: bool,
    /// Record the packages of the system that files come from, for vulnerability scanners: see
    /// [`packages::records`](crate::packages::records).
    pub records: bool,
    /// How entries are divided into layers.
    pub layers: LayerSplit,
    /// The command; the app alone when `None`.
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments; those of a rule of `bases/plugins.toml` when there are none.
    pub cmd: Vec<String>,
    /// Environment, added to the base's; a name given again replaces the base's value.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub workdir: Option<ImagePath>,
    /// `USER[:GROUP]`; the base's user when `None`.
    pub user: Option<String>,
    /// Ports, `8080` or `53/udp`.
    pub ports: Vec<String>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Time of every file and of the image, in seconds since the epoch (`SOURCE_DATE_EPOCH`).
    pub epoch: u64,
    /// The environment in which runtimes are looked for (`PATH`, `VIRTUAL_ENV`, `JAVA_HOME`): this
    /// process's own, unless set otherwise. With another system only `HOME` counts, and `PATH`
    /// for an app that is named without a directory.
    pub variables: BTreeMap<OsString, OsString>,
    /// Where files are made on the way, such as a smaller Java runtime, and found again by the
    /// next build; `None` for a directory that goes with the [`Plan`].
    pub scratch: Option<PathBuf>,
}

/// How the entries of an image are divided into layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerSplit {
    /// Base, libraries, runtime, and the app with what was included: what changes seldom is below.
    #[default]
    ByOrigin,
    /// One layer.
    Single,
}

/// The app and the objects that its processes load.
#[derive(Debug)]
pub struct Resolved {
    /// What the user pointed at.
    pub app: App,
    /// Its closure, complete or not.
    pub closure: Closure,
    /// What else comes along.
    pub companions: Vec<Companions>,
    /// What this machine lends to a base that is an image and lacks it.
    pub lent: Vec<Lent>,
    /// What the user should know, beside the closure's notices.
    pub notices: Vec<String>,
}

/// An image that is decided, to the last path, and not yet written.
#[derive(Debug)]
pub struct Plan {
    /// What the user pointed at.
    pub app: App,
    /// Where it was found: on this machine, or in the system that everything is taken from.
    pub found: PathBuf,
    /// Its closure, complete.
    pub closure: Closure,
    /// What else comes along.
    pub companions: Vec<Companions>,
    /// What this machine lends to a base that is an image and lacks it.
    pub lent: Vec<Lent>,
    /// All that lands in the image.
    pub rootfs: Rootfs,
    /// The layers that are packed, lowest first, each with its part of the tree. Those of a base
    /// that is an image are below them, and not among them.
    pub parts: Vec<LayerPart>,
    /// The platform, as the app's ELF header tells it.
    pub platform: Platform,
    /// What the config and the manifest say.
    pub settings: Settings,
    /// Which packages of the system the files belong to.
    pub owners: Owners,
    /// What the user should know, beside the closure's notices.
    pub notices: Vec<String>,
    /// Time of every file, in seconds since the epoch.
    pub epoch: u64,
    /// Whether all is taken from this machine.
    is_here: bool,
    /// The image that it stands on.
    parent: Option<Arc<Parent>>,
    /// Holds the files that were made on the way.
    _scratch: Scratch,
}

/// The directory for files that are made on the way.
#[derive(Debug, Clone)]
enum Scratch {
    /// It stays.
    Kept(PathBuf),
    /// It goes with the last that uses it.
    Temporary(Arc<tempfile::TempDir>),
}

impl Scratch {
    fn path(&self) -> PathBuf {
        match self {
            Self::Kept(path) => path.clone(),
            Self::Temporary(directory) => directory.path().to_path_buf(),
        }
    }
}

impl Builder {
    /// A build of `app` on `base`, with no further wishes.
    pub fn new(app: impl Into<PathBuf>, base: Base) -> Self {
        Self {
            app: app.into(),
            sysroot: None,
            base,
            runtime: RuntimeChoice::Auto,
            shell: false,
            rules: Choice::default(),
            profile: None,
            includes: Vec::new(),
            dlopen: Vec::new(),
            library_path: Vec::new(),
            platform: None,
            strip: false,
            records: true,
            layers: LayerSplit::default(),
            entrypoint: None,
            cmd: Vec::new(),
            env: Vec::new(),
            workdir: None,
            user: None,
            ports: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            epoch: 0,
            variables: std::env::vars_os().collect(),
            scratch: None,
        }
    }

    /// Recognises the app and resolves its closure, which may turn out incomplete.
    ///
    /// # Errors
    /// When the app, an included file or the sysroot cannot be used.
    pub fn resolve(&self) -> Result<Resolved, Error> {
        let ground = ground::Ground::open(self)?;
        let scratch = self.scratch()?;
        let host = self.host(&ground, &scratch);
        let mut input = input::Input::gather(self, &ground, host.as_ref())?;
        let (closure, applied, lent) = self.whole_closure(&ground, &mut input)?;
        Ok(Resolved {
            companions: input.groups(),
            closure,
            lent,
            notices: [input.notices, applied.notices].concat(),
            app: input.app,
        })
    }

    /// Decides the whole image: resolves, assembles, and resolves once more inside what
    /// was assembled to prove that the loader will find the same files there.
    ///
    /// # Errors
    /// When something is missing or unfit; all of it is named at once.
    pub fn plan(&self) -> Result<Plan, Error> {
        let ground = ground::Ground::open(self)?;
        let scratch = self.scratch()?;
        let host = self.host(&ground, &scratch);
        let mut input = input::Input::gather(self, &ground, host.as_ref())?;
        let (closure, applied, lent) = self.whole_closure(&ground, &mut input)?;
        let platform = self.platform_of(&input, &closure)?;
        Unresolved::check(&closure, input.sysroot())
            .map_err(|unresolved| unresolved.on(&self.base))?;
        let mut assembled = crate::rootfs::assemble(&Assembly {
            sysroot: input.sysroot(),
            base: &self.base,
            app: &input.app,
            closure: &closure,
            includes: input.brought(),
            strip: self.strip.then_some(strip),
        })?;
        let hosted = input.app.hosted();
        if hosted.is_none()
            && self.entrypoint.is_none()
            && assembled.entrypoint.as_path().to_str().is_none()
        {
            return Err(Error::NotUnicode(input.sysroot().display(&input.app.path)));
        }
        let settings = self.settings(&input.app, &assembled.entrypoint, &applied);
        check::same_closure(&closure, &assembled, &input, &self.dlopen, &settings.env)?;
        let taken = records::taken(&input, &assembled);
        // A base of packages has its own records, of all that it holds.
        let of_base = self.base.is_system().then(|| self.base.rootfs().iter());
        let system_paths: Vec<ImagePath> = match of_base {
            Some(entries) => entries.map(|(path, _)| path.clone()).collect(),
            None => taken.keys().cloned().collect(),
        };
        let mut owners = crate::packages::owners(input.sysroot(), &system_paths);
        if self.records && !self.base.is_system() {
            records::add(input.sysroot(), &taken, &mut owners, &mut assembled.rootfs);
        }
        let parent = self.base.parent();
        let parts = match parent {
            None => parts::of(&assembled.rootfs, self.layers),
            Some(_) => parts::above(&assembled.rootfs, self.base.rootfs(), self.layers),
        };
        let launch = launch::notices(&assembled.rootfs, &settings);
        let companions = input.groups();
        let found = ground.found(&input.app.path);
        let of_base = below::notices(self, &lent);
        let notices = [
            of_base,
            input.notices,
            applied.notices,
            assembled.notices,
            launch,
        ]
        .concat();
        let (app, rootfs, epoch) = (input.app, assembled.rootfs, self.epoch);
        Ok(Plan {
            app,
            found,
            closure,
            companions,
            lent,
            rootfs,
            parts,
            platform,
            settings,
            owners,
            notices,
            epoch,
            is_here: ground.is_here(),
            parent: parent.cloned(),
            _scratch: scratch,
        })
    }

    fn scratch(&self) -> Result<Scratch, Error> {
        // Where it cannot be made, this build has its own.
        if let Some(path) = &self.scratch
            && std::fs::create_dir_all(path).is_ok()
        {
            return Ok(Scratch::Kept(path.clone()));
        }
        let made = tempfile::Builder::new().prefix("distrobuild-").tempdir();
        let directory = made.map_err(|source| Error::Scratch {
            path: std::env::temp_dir(),
            source,
        })?;
        Ok(Scratch::Temporary(Arc::new(directory)))
    }

    /// This machine, where it is the system that everything is taken from.
    fn host(&self, ground: &ground::Ground<'_>, scratch: &Scratch) -> Option<Host> {
        ground.is_here().then(|| Host {
            variables: self.variables.clone(),
            scratch: scratch.path(),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        })
    }

    /// Resolves until no rule brings anything more, nothing is left that may be left out, and
    /// this machine has lent what the base lacks.
    fn whole_closure(
        &self,
        ground: &ground::Ground<'_>,
        input: &mut input::Input,
    ) -> Result<(Closure, Applied, Vec<Lent>), Error> {
        let mut lender = lend::Lender::of(self, ground, input)?;
        let rules = Rules::built_in()?;
        let mut application = rules.application(&self.rules)?;
        let mut is_profile_due = true;
        loop {
            let closure = self.closure(input)?;
            if input.hide_strays(&closure)? {
                continue;
            }
            if let Some(lender) = &mut lender
                && lender.lend(&closure, input, lend::For::App)?
            {
                continue;
            }
            if input.leave_out_optional(&closure)? {
                continue;
            }
            if let Some(lender) = &mut lender
                && lender.lend(&closure, input, lend::For::All)?
            {
                continue;
            }
            let applied = application.apply(input.sysroot(), &closure)?;
            let mut grew = input.add(applied.companions.clone())?;
            if std::mem::take(&mut is_profile_due)
                && let Some(profile) = &self.profile
            {
                grew |= self.add_profile(input, &closure, profile)?;
            }
            if !grew {
                let lent = lender.map_or(Vec::new(), |lender| lender.used(&closure));
                return Ok((closure, applied, lent));
            }
        }
    }

    fn add_profile(
        &self,
        input: &mut input::Input,
        closure: &Closure,
        profile: &Profile,
    ) -> Result<bool, Error> {
        let here = std::env::current_dir().map_err(|source| Error::WorkingDirectory {
            path: self.app.clone(),
            source,
        })?;
        let workdir = self.workdir_of(&input.app).unwrap_or_else(ImagePath::root);
        let moved = run::moved(&input.app, closure);
        let files = closure.objects.iter().map(|object| &object.trace.target);
        let known: BTreeSet<ImagePath> = files
            .chain(std::iter::once(&input.app.trace.target))
            .map(|path| run::place(&moved, path))
            .collect();
        let brought = profile.companions(input.sysroot(), &here, &moved, &workdir, &|path| {
            input.companions.holds(path) || known.contains(path)
        })?;
        input.add(brought)
    }

    /// The working directory of the image: what the user says, what the runtime wants, or where
    /// the files lie that the app named relative to its own.
    fn workdir_of(&self, app: &App) -> Option<ImagePath> {
        let runtime = || app.hosted().and_then(|hosted| hosted.workdir.clone());
        let relative = || {
            let profile = self.profile.as_ref()?;
            let is_relative = profile.files.iter().any(|file| file.path.is_relative());
            is_relative.then(|| ImagePath::new(APP_DIRECTORY).ok())?
        };
        self.workdir.clone().or_else(runtime).or_else(relative)
    }

    fn closure(&self, input: &input::Input) -> Result<Closure, Error> {
        let dlopen = self
            .dlopen
            .iter()
            .map(|name| Root::Dlopen { name: name.clone() });
        let roots: Vec<Root> = input
            .app
            .roots
            .iter()
            .chain(&input.further_roots)
            .cloned()
            .chain(dlopen)
            .collect();
        let mut library_path = self.library_path.clone();
        if let Some(hosted) = input.app.hosted() {
            library_path.extend(hosted.library_path.iter().cloned());
        }
        let resolver = Resolver {
            library_path,
            ..Resolver::default()
        };
        let mut closure = crate::elf::resolve(input.sysroot(), &roots, &resolver)?;
        let absent = self
            .library_path
            .iter()
            .filter(|directory| !input.sysroot().is_directory(directory));
        closure.notices.extend(absent.map(|directory| {
            Notice::Warning(format!(
                "--library-path {}: there is no such directory, so nothing was found in it",
                input.sysroot().display(directory).display()
            ))
        }));
        Ok(closure)
    }

    fn platform_of(&self, input: &input::Input, closure: &Closure) -> Result<Platform, Error> {
        let app = || input.sysroot().display(&input.app.path);
        let Some(first) = closure.objects.first() else {
            return Err(Error::NoProgram(app()));
        };
        let machine = first.object.machine;
        let Some((architecture, variant)) = machine.platform() else {
            return Err(Error::UnknownMachine {
                app: input.sysroot().display(&first.path),
                machine: machine.name(),
            });
        };
        let found = Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        };
        match &self.platform {
            Some(wanted) if !wanted.matches(&found) => Err(Error::OtherPlatform {
                app: app(),
                wanted: Box::new(wanted.clone()),
                found: Box::new(found),
                machine: machine.name(),
            }),
            _ => below::platform(&self.base, found, app),
        }
    }

    fn settings(&self, app: &App, file: &ImagePath, rules: &Applied) -> Settings {
        let hosted = app.hosted();
        let by_runtime = hosted.map_or(&[][..], |hosted| &hosted.env);
        let mut env = self.base.config.env.clone();
        for (name, value) in by_runtime.iter().chain(&rules.env).chain(&self.env) {
            match env.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => old.clone_from(value),
                None => env.push((name.clone(), value.clone())),
            }
        }
        let mut annotations = BTreeMap::from([
            (
                "org.opencontainers.image.created".to_owned(),
                crate::image::rfc3339(self.epoch),
            ),
            ("org.opencontainers.image.title".to_owned(), self.title()),
        ]);
        let parent = self.base.parent();
        annotations.extend(
            parent
                .into_iter()
                .flat_map(|parent| below::annotations(parent)),
        );
        annotations.extend(self.annotations.clone());
        Settings {
            user: self
                .user
                .clone()
                .unwrap_or_else(|| self.base.config.user.clone()),
            entrypoint: self
                .entrypoint
                .clone()
                .or_else(|| hosted.map(|hosted| hosted.command.clone()))
                .unwrap_or_else(|| vec![file.to_string()]),
            cmd: match self.entrypoint.is_none() && self.cmd.is_empty() {
                true => rules.arguments.clone(),
                false => self.cmd.clone(),
            },
            env,
            workdir: self
                .workdir_of(app)
                .map(|directory| directory.to_string())
                .or_else(|| parent.map(|parent| parent.text("WorkingDir")))
                .unwrap_or_default(),
            ports: below::ports(parent, &self.ports),
            labels: below::labels(parent, &self.labels),
            annotations,
            created: self.epoch,
        }
    }

    /// The app's name, without its directories and the end that tells its language: `server` for
    /// `./server.js`, the directory's name for `.`.
    pub fn title(&self) -> String {
        let name = match self.app.file_name() {
            Some(name) => Some(name.to_os_string()),
            // `.` and `..` have no name of their own.
            None => (self.app.canonicalize().ok())
                .and_then(|path| path.file_name().map(OsStr::to_os_string)),
        };
        let name = name.map_or_else(|| "app".into(), |name| name.to_string_lossy().into_owned());
        match name.rsplit_once('.') {
            Some((stem, end)) if !stem.is_empty() && LANGUAGES.contains(&end) => stem.to_owned(),
            _ => name,
        }
    }
}

/// What the names of apps end in that tells only what runs them.
const LANGUAGES: [&str; 15] = [
    "cjs", "class", "jar", "js", "lua", "mjs", "mts", "php", "pl", "py", "pyz", "rb", "tcl", "ts",
    "war",
];

fn strip(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(crate::elf::strip::strip(bytes)?)
}

impl LayerSplit {
    /// The number of the layer that holds entries of this origin.
    fn layer_of(self, origin: Origin) -> usize {
        match (self, origin) {
            (Self::Single, _) | (Self::ByOrigin, Origin::Base) => 0,
            (Self::ByOrigin, Origin::Library) => 1,
            (Self::ByOrigin, Origin::Runtime) => 2,
            (Self::ByOrigin, Origin::App | Origin::Include) => 3,
        }
    }
}

#[cfg(test)]
mod tests;
