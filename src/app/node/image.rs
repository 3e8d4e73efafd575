//! The app as an image has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::disk::{Disk, upward};
use super::entry::word;
use super::gather::{Gatherer, Pick, is_node_modules, some};
use super::interpreter::Interpreter;
use super::layout::Layout;
use super::manifest::Manifest;
use super::needs::Needs;
use super::package::Rules;
use super::project::{Selection, Verdict, is_layout};
use super::tree::Package;
use super::{App, NodeError};
use crate::ImagePath;
use crate::app::hosted::{Hosted, Runtime};
use crate::app::{Companion, Companions, Provenance, Role};
use crate::elf::Root;
use crate::rootfs::{Entry, EntryKind, Origin, is_system};

/// Puts `app` together with all that it needs.
pub(super) fn hosted(
    disk: &mut Disk<'_>,
    app: &App,
    interpreter: &Interpreter,
    needs: Needs,
) -> Result<Hosted, NodeError> {
    let layout = layout(app, &needs);
    let mut made = Image {
        app,
        needs: &needs,
        gatherer: Gatherer::new(disk, &layout),
        companions: Vec::new(),
        secrets: BTreeSet::new(),
        unbuilt: BTreeSet::new(),
        unloadable: 0,
        decisions: Vec::new(),
        notices: app.launch.notices.clone(),
    };
    made.decide(interpreter);
    made.interpreter(interpreter)?;
    made.packages(interpreter)?;
    made.project()?;
    made.tell(interpreter);
    let place = |path: &ImagePath| {
        layout.place(path).ok_or_else(|| NodeError::EntryOutside {
            manifest: path.as_path().to_path_buf(),
            field: "the command".to_owned(),
            entry: word(path),
        })
    };
    let entry = place(&app.launch.entry)?;
    let workdir = place(&app.directory)?;
    let Image {
        companions,
        mut decisions,
        mut notices,
        ..
    } = made;
    decisions.extend(needs.decisions);
    notices.extend(needs.notices);
    let mut command = vec![interpreter.path.to_string_lossy().into_owned()];
    command.extend(app.launch.options.iter().cloned());
    command.push(word(&entry));
    command.extend(app.launch.arguments.iter().cloned());
    Ok(Hosted {
        runtime: Runtime::Node,
        version: interpreter.version.to_string(),
        command,
        env: env(app),
        workdir: Some(workdir),
        roots: vec![Root::Program {
            path: interpreter.path.clone(),
        }],
        companions,
        library_path: interpreter.library_path.clone(),
        hidden: hidden(&layout, interpreter),
        moved: moved(&layout, interpreter),
        decisions,
        notices,
    })
}

/// Where everything lands.
fn layout(app: &App, needs: &Needs) -> Layout {
    let mut project = app.directory.clone();
    // A file's own directory goes up to where the files that it requires have one in common.
    let reached = needs.sources.files.iter().filter_map(ImagePath::parent);
    let reached: Vec<ImagePath> = reached.filter(|file| !file.starts_with(&project)).collect();
    for directory in reached {
        let common = upward(&project).find(|above| directory.starts_with(above));
        project = common.unwrap_or_else(ImagePath::root);
    }
    let found = needs.tree.edges.iter().filter_map(|edge| edge.to.as_ref());
    let needed: Vec<ImagePath> = found
        .flat_map(|found| [found.holder.clone(), found.directory.clone()])
        .collect();
    Layout::new(&project, app.workspace.as_ref(), &needed)
}

fn env(app: &App) -> Vec<(String, String)> {
    let mut env = BTreeMap::from([("NODE_ENV".to_owned(), "production".to_owned())]);
    env.extend(app.launch.env.iter().cloned());
    env.into_iter().collect()
}

/// The directories that moved, unless they hold more than the app: a system's, or node's own
/// libraries.
fn hidden(layout: &Layout, interpreter: &Interpreter) -> Vec<ImagePath> {
    let holds_libraries = |directory: &ImagePath| {
        interpreter
            .library_path
            .iter()
            .any(|path| path.starts_with(directory.as_path()))
    };
    let moved = layout.moved().into_iter();
    moved
        .filter_map(|(directory, _)| ImagePath::new(directory).ok())
        .filter(|directory| {
            !directory.is_root() && !is_system(directory.as_path()) && !holds_libraries(directory)
        })
        .collect()
}

fn moved(layout: &Layout, interpreter: &Interpreter) -> Vec<(PathBuf, ImagePath)> {
    let mut moved = layout.moved();
    let place = ImagePath::new(&interpreter.path).ok();
    if interpreter.moves()
        && let Some(place) = place
    {
        moved.push((interpreter.file.as_path().to_path_buf(), place));
    }
    moved.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_os_str().len()));
    moved
}

/// An image in the making.
struct Image<'i, 'd, 'a> {
    app: &'i App,
    needs: &'i Needs,
    gatherer: Gatherer<'d, 'a>,
    companions: Vec<Companions>,
    /// What may be secret and was left out.
    secrets: BTreeSet<PathBuf>,
    /// Packages with native code that was not compiled.
    unbuilt: BTreeSet<String>,
    /// How many files of packages were left out.
    unloadable: usize,
    decisions: Vec<String>,
    notices: Vec<String>,
}

impl Image<'_, '_, '_> {
    fn add(&mut self, by: Provenance, reason: String, files: Vec<Companion>) {
        if !files.is_empty() {
            self.companions.push(Companions { by, reason, files });
        }
    }

    fn decide(&mut self, interpreter: &Interpreter) {
        let launch = &self.app.launch;
        let file = self.gatherer.disk.shown(interpreter.file.as_path());
        self.decisions.push(format!(
            "it is an app of Node.js, started by {}; `--runtime none` takes it for a plain program",
            launch.why
        ));
        self.decisions.push(format!(
            "Node.js is {} at {} ({}); {}",
            interpreter.version,
            file.display(),
            interpreter.how,
            interpreter.otherwise
        ));
        if !launch.env.iter().any(|(name, _)| name == "NODE_ENV") {
            let text = "NODE_ENV is production; `--env NODE_ENV=VALUE` sets another";
            self.decisions.push(text.to_owned());
        }
    }

    fn interpreter(&mut self, interpreter: &Interpreter) -> Result<(), NodeError> {
        let place = ImagePath::new(&interpreter.path).ok();
        if interpreter.moves()
            && let Some(place) = place
        {
            let disk = &*self.gatherer.disk;
            let (content, _) = disk
                .sysroot()
                .content(&interpreter.file)
                .map_err(|source| disk.failed(interpreter.file.as_path(), source))?;
            let companion = Companion {
                path: place,
                entry: Entry::file(content, 0o755, Origin::Runtime),
                source: disk.shown(interpreter.file.as_path()),
                // It is a root of its own.
                role: Role::Data,
            };
            let reason = format!("Node.js {}", interpreter.version);
            self.add(Provenance::Runtime, reason, vec![companion]);
        }
        let mut files = BTreeMap::new();
        for path in &interpreter.beside {
            self.at_its_place(path, &mut files)?;
        }
        let files = files.into_values().collect();
        let reason = "JavaScript that node reads when it starts".to_owned();
        self.add(Provenance::Runtime, reason, files);
        Ok(())
    }

    /// A file that stays where it is, with the links that lead to it.
    fn at_its_place(
        &mut self,
        path: &Path,
        files: &mut BTreeMap<ImagePath, Companion>,
    ) -> Result<(), NodeError> {
        let disk = &mut *self.gatherer.disk;
        let Some(walked) = disk.find(path) else {
            return Ok(());
        };
        let (content, _) = disk
            .sysroot()
            .content(&walked.target)
            .map_err(|source| disk.failed(path, source))?;
        let links = walked.links.into_iter().map(|(link, says)| {
            let kind = EntryKind::Symlink(says);
            (link, kind, 0o777)
        });
        let file = (walked.target, EntryKind::File(content), 0o644);
        for (place, kind, mode) in links.chain([file]) {
            let entry = Entry {
                kind,
                mode,
                uid: 0,
                gid: 0,
                origin: Origin::Runtime,
            };
            let companion = Companion {
                source: disk.shown(place.as_path()),
                path: place.clone(),
                entry,
                role: Role::Data,
            };
            files.insert(place, companion);
        }
        Ok(())
    }

    /// The packages, each with the links that lead to it.
    fn packages(&mut self, interpreter: &Interpreter) -> Result<(), NodeError> {
        let needs = self.needs;
        let rules = Rules {
            platform: interpreter.platform,
            declarations: needs.tree.has("typescript"),
        };
        let mut links: BTreeMap<&ImagePath, BTreeSet<(&ImagePath, &str)>> = BTreeMap::new();
        for edge in &needs.tree.edges {
            if let Some(found) = &edge.to {
                let link = (&found.holder, edge.name.as_str());
                links.entry(&found.directory).or_default().insert(link);
            }
        }
        let nothing = BTreeSet::new();
        // In the order of the image, which does not depend on where the app lies on this machine.
        let mut packages: Vec<_> = needs.tree.packages.iter().collect();
        packages.sort_by_cached_key(|(directory, _)| self.gatherer.layout.place(directory));
        for (directory, package) in packages {
            let mut files = match is_installed(directory) {
                true => self.installed(directory, rules)?,
                false => self.own(directory, &package.manifest)?,
            };
            for (holder, name) in links.get(directory).unwrap_or(&nothing) {
                files.extend(self.gatherer.package_link(holder, name, directory)?);
            }
            if is_unbuilt(directory, package, &files) {
                self.unbuilt.insert(package.name.clone());
            }
            self.add(Provenance::Packages, reason(package), files);
        }
        // A workspace may name itself or the project.
        let mut files = Vec::new();
        for (directory, links) in &links {
            if !needs.tree.packages.contains_key(*directory) {
                for (holder, name) in links {
                    files.extend(self.gatherer.package_link(holder, name, directory)?);
                }
            }
        }
        self.add(
            Provenance::Packages,
            "links to the project itself".to_owned(),
            files,
        );
        if self
            .app
            .manifest
            .as_ref()
            .is_some_and(|manifest| !manifest.scripts.is_empty())
        {
            let programs = self.gatherer.programs(&self.app.directory)?;
            let reason = "programs of packages, which scripts start by name".to_owned();
            self.add(Provenance::Packages, reason, programs);
        }
        Ok(())
    }

    /// A package that was installed.
    fn installed(
        &mut self,
        directory: &ImagePath,
        rules: Rules,
    ) -> Result<Vec<Companion>, NodeError> {
        let unloadable = &mut self.unloadable;
        self.gatherer
            .directory(directory, Origin::Runtime, |_, path, is_directory| {
                if path == Path::new("node_modules") {
                    Pick::Leave
                } else if rules.keeps(path, is_directory) {
                    // An empty directory of a package holds what was left out.
                    if is_directory {
                        Pick::Enter
                    } else {
                        Pick::Take
                    }
                } else {
                    *unloadable += 1;
                    Pick::Leave
                }
            })
    }

    /// A directory of sources: the project's, or a package's that is linked.
    fn own(
        &mut self,
        directory: &ImagePath,
        manifest: &Manifest,
    ) -> Result<Vec<Companion>, NodeError> {
        let selection = Selection::read(self.gatherer.disk, directory, manifest)?;
        let bad = selection.bad_patterns().map(str::to_owned);
        let bad = some(bad);
        if !bad.is_empty() {
            let shown = self.gatherer.disk.shown(directory.as_path());
            self.notices.push(format!(
                "{}: patterns in .dockerignore or `files` are not understood and count as nothing: {bad}",
                shown.display()
            ));
        }
        let secrets = &mut self.secrets;
        let files =
            self.gatherer
                .directory(directory, Origin::App, |disk, path, is_directory| {
                    if is_node_modules(disk, directory, path) {
                        return Pick::Leave;
                    }
                    if is_directory {
                        let is_output = directory
                            .join(path)
                            .is_ok_and(|place| is_layout(disk, &place));
                        if is_output {
                            return Pick::Leave;
                        }
                    }
                    match selection.verdict(path, is_directory) {
                        Verdict::Take => Pick::Take,
                        Verdict::Enter => Pick::Enter,
                        Verdict::Leave => Pick::Leave,
                        Verdict::Secret => {
                            secrets.insert(path.to_path_buf());
                            Pick::Leave
                        }
                    }
                })?;
        Ok(files)
    }

    /// The project itself.
    fn project(&mut self) -> Result<(), NodeError> {
        let app = self.app;
        let mut files = Vec::new();
        if let Some(manifest) = &app.manifest {
            files = self.own(&app.directory, manifest)?;
        }
        let mut required = Vec::new();
        required.extend(self.gatherer.file(&app.launch.entry, Origin::App, 1)?);
        for file in &self.needs.sources.files {
            required.extend(self.gatherer.file(file, Origin::App, 1)?);
            // What says how the modules in a directory are to be taken.
            for directory in upward(file).skip(1) {
                let Ok(manifest) = directory.join("package.json") else {
                    continue;
                };
                if self.gatherer.disk.file(manifest.as_path()).as_ref() == Some(&manifest)
                    && self.gatherer.layout.place(&manifest).is_some()
                {
                    files.extend(self.gatherer.file(&manifest, Origin::App, 1)?);
                }
            }
        }
        if app.manifest.is_some() && !required.is_empty() {
            let paths = required.iter().map(|file| file.path.to_string());
            self.decisions.push(format!(
                "files come along though .dockerignore, `files` or the project's directory leave them out, \
                 because the app requires them: {}",
                some(paths)
            ));
        }
        files.extend(required);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let reason = match &app.manifest {
            Some(manifest) => match &manifest.name {
                Some(name) => format!("the project {name} {}", manifest.version()),
                None => "the project".to_owned(),
            },
            None => "the app, and the files that it requires".to_owned(),
        };
        self.add(Provenance::App, reason, files);
        Ok(())
    }

    /// What the user should know.
    fn tell(&mut self, interpreter: &Interpreter) {
        if let Some(range) = self
            .app
            .manifest
            .as_ref()
            .and_then(|manifest| manifest.engine.as_ref())
            && interpreter.version.is_in(range) == Some(false)
        {
            self.notices.push(format!(
                "package.json wants Node.js {range} (`engines`), and the one found is {}; {}",
                interpreter.version, interpreter.otherwise
            ));
        }
        if !self.unbuilt.is_empty() {
            self.notices.push(format!(
                "packages have native code that is not compiled (were install scripts skipped?): {}; \
                 `npm rebuild NAME` compiles it, if the app needs it",
                some(self.unbuilt.iter().cloned())
            ));
        }
        if !self.secrets.is_empty() {
            let paths = self.secrets.iter().map(|path| path.display().to_string());
            self.notices.push(format!(
                "files that may hold secrets are left out: {}; `--include` adds one",
                some(paths)
            ));
        }
        if !self.gatherer.outside.is_empty() {
            let paths = self
                .gatherer
                .outside
                .iter()
                .map(|path| path.display().to_string());
            self.notices.push(format!(
                "links that lead out of the app are left out: {}; `--include` adds what they lead to",
                some(paths)
            ));
        }
        if self.unloadable > 0 {
            self.decisions.push(format!(
                "{} files and directories of packages are left out that Node.js never loads (type \
                 declarations, object files, builds for other platforms); `--include` adds one",
                self.unloadable
            ));
        }
        if self.app.manifest.is_none() {
            self.decisions.push(
                "there is no package.json, so only what the sources require by name comes along; \
                 `--include` or `--trace` adds what they open"
                    .to_owned(),
            );
            let computed = &self.needs.sources.computed;
            if !computed.is_empty() {
                let names = computed.iter().filter_map(|file| file.file_name());
                self.notices.push(format!(
                    "sources compute the names of what they load: {}; `--trace` finds what that is",
                    some(names.map(|name| name.to_string_lossy().into_owned()))
                ));
            }
        }
    }
}

/// Whether the package stands in a node_modules, and not where it is worked on.
fn is_installed(directory: &ImagePath) -> bool {
    directory
        .as_path()
        .iter()
        .any(|part| part == "node_modules")
}

/// Whether the package has a recipe for native code, and no native code. Those with optional
/// dependencies have it in one of them.
fn is_unbuilt(directory: &ImagePath, package: &Package, files: &[Companion]) -> bool {
    let ends = |file: &Companion, end: &str| file.path.as_path().extension() == Some(end.as_ref());
    let recipe = || {
        let name = std::ffi::OsStr::new("binding.gyp");
        files.iter().any(|file| {
            let parent = file.source.parent().and_then(Path::file_name);
            file.path.file_name() == Some(name) && parent == directory.file_name()
        })
    };
    package.manifest.optional.is_empty() && recipe() && !files.iter().any(|file| ends(file, "node"))
}

fn reason(package: &Package) -> String {
    let Package {
        manifest,
        name,
        why,
    } = package;
    let name = manifest.name.as_deref().unwrap_or(name);
    format!("the package {name} {}, {why}", manifest.version())
}
