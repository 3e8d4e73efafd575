//! Python apps: scripts, packages, zipapps, and the programs of virtual environments.
//!
//! Nothing is run to understand them. What was pointed at ([`entry`]) leads to an interpreter and
//! its virtual environment ([`choice`]); the modules that the app imports are followed through all
//! packages ([`graph`]); each part gets its place in the image ([`layout`]), and what has one and
//! is wanted is gathered ([`library`], [`installed`], [`application`]).

mod application;
mod bytecode;
mod choice;
mod entry;
mod environment;
mod error;
mod files;
mod gather;
mod graph;
mod hooks;
mod imports;
mod installed;
mod interpreter;
mod layout;
mod library;
mod modules;
mod packages;
mod pyenv;
mod shebang;
#[cfg(test)]
mod tests;

use std::path::Path;

use application::LeftOut;
use choice::{Choice, Question};
use entry::Entry;
use files::{Files, text};
use gather::{Executable, Gathered};
use graph::{Graph, Root, Text};
use installed::{Dropped, Installed, View};
use layout::Layout;
use modules::{Finder, Kind};

use super::hosted::{Hosted, Runtime, Scene};
use crate::ImagePath;
use crate::elf;

pub use error::PythonError;

/// Takes the file or directory at the absolute `path` for an app of Python, or says that it is
/// none (`Ok(None)`) where the user did not ask for Python by name.
///
/// # Errors
/// When it is one that cannot run, or was asked for by name and is none.
pub(super) fn recognise(scene: &Scene<'_>, path: &Path) -> Result<Option<Hosted>, PythonError> {
    let files = Files::new(scene.sysroot);
    let Some(mut entry) = Entry::recognise(scene, &files, path)? else {
        return Ok(None);
    };
    let directory = entry.directory();
    let question = Question {
        files: &files,
        scene,
        app: path,
        directory: directory.as_path(),
        shebang: entry.shebang(),
    };
    let choice = question.answer()?;
    let installed = Installed::read(&files, &choice)?;
    settle(&files, &mut entry, &choice, &installed)?;
    let layout = Layout::of(&files, &entry, &choice, &installed);
    let graph = graph(scene, &files, &mut entry, &choice, &installed, &layout)?;
    let app = App {
        scene,
        files: &files,
        path,
        entry: &entry,
        choice: &choice,
        installed: &installed,
        layout: &layout,
        graph: &graph,
        dropped: &installed.unneeded(&files, &graph, &choice.interpreter),
    };
    app.host().map(Some)
}

/// Decides whether a package is run as one.
fn settle(
    files: &Files<'_>,
    entry: &mut Entry,
    choice: &Choice,
    installed: &Installed,
) -> Result<(), PythonError> {
    let Entry::Package { top, .. } = entry else {
        return Ok(());
    };
    let mut path: Vec<ImagePath> = top.parent().into_iter().collect();
    path.extend(search_path(files, choice, installed));
    let mapped = installed.hooks.mapped.clone();
    let mut finder = Finder::new(files, &choice.interpreter, path, mapped);
    entry.settle(files, |name| {
        library::is_built_in(name) || finder.find(name).is_some()
    })
}

/// Where modules are looked for behind the app's own directory.
fn search_path(files: &Files<'_>, choice: &Choice, installed: &Installed) -> Vec<ImagePath> {
    let interpreter = &choice.interpreter;
    let extensions = interpreter.extensions();
    let mut path = vec![interpreter.library.clone()];
    path.extend(extensions.and_then(|place| files.directory(place)));
    path.extend(installed.directories().cloned());
    path.extend(installed.hooks.directories(files));
    path
}

/// Follows what the app and the interpreter import.
fn graph(
    scene: &Scene<'_>,
    files: &Files<'_>,
    entry: &mut Entry,
    choice: &Choice,
    installed: &Installed,
    layout: &Layout,
) -> Result<Graph, PythonError> {
    let interpreter = &choice.interpreter;
    let mut path: Vec<ImagePath> = layout.search.iter().cloned().collect();
    path.extend(search_path(files, choice, installed));
    let mut finder = Finder::new(files, interpreter, path, installed.hooks.mapped.clone());
    let mut roots = application::roots(files, entry)?;
    roots.push(Root {
        package: String::new(),
        text: Text::Bytes(installed.start_code().into_bytes()),
    });
    let is_installed = |file: &ImagePath| {
        file.starts_with(&interpreter.library)
            || installed.directories().any(|site| file.starts_with(site))
    };
    let is_app = |file: &ImagePath| {
        let mut places = layout
            .search
            .iter()
            .chain(layout.externals.iter().map(|it| &it.path));
        places.any(|place| file.starts_with(place)) && !is_installed(file)
    };
    // All of an environment comes along anyway.
    let system = choice.system_sites();
    let extensions = finder.top_extensions(|directory| system.contains(directory));
    let threads = scene.threads();
    Graph::walk(
        files,
        &mut finder,
        roots,
        &library::START,
        extensions,
        &is_app,
        threads,
    )
}

/// An app of which everything is known.
struct App<'a> {
    scene: &'a Scene<'a>,
    files: &'a Files<'a>,
    path: &'a Path,
    entry: &'a Entry,
    choice: &'a Choice,
    installed: &'a Installed,
    layout: &'a Layout,
    graph: &'a Graph,
    dropped: &'a Dropped,
}

impl App<'_> {
    fn host(&self) -> Result<Hosted, PythonError> {
        let interpreter = &self.choice.interpreter;
        let mut gathered = Gathered::new(self.files);
        let mut left_out = LeftOut::default();
        self.gather(&mut gathered, &mut left_out)?;
        let mut library_path = Vec::new();
        if interpreter.moves() && library::gather_libraries(self.files, interpreter, &mut gathered)?
        {
            library_path.push(interpreter.image_prefix.as_path().join("lib"));
        }
        let mut notices = self.installed.hooks.notices.clone();
        notices.extend(left_out.notice(self.files));
        notices.extend(self.missing_notice());
        notices.extend(self.compile(&mut gathered));
        let program = self.program();
        Ok(Hosted {
            runtime: Runtime::Python,
            version: interpreter.full_version.clone(),
            command: self.command(&program)?,
            env: self.env(),
            workdir: self.workdir(),
            roots: vec![elf::Root::Program {
                path: program.into(),
            }],
            companions: gathered.finish(),
            library_path,
            hidden: self.layout.hidden.clone(),
            moved: self.moved(),
            decisions: self.decisions(),
            notices,
        })
    }

    fn gather(
        &self,
        gathered: &mut Gathered<'_>,
        left_out: &mut LeftOut,
    ) -> Result<(), PythonError> {
        let interpreter = &self.choice.interpreter;
        let mut directories: Vec<ImagePath> = self.installed.directories().cloned().collect();
        directories.push(interpreter.library.clone());
        let view = View {
            files: self.files,
            interpreter,
            places: &self.layout.places,
            installed: &directories,
        };
        // The app first: what it brings itself is its own.
        application::gather(
            &view,
            self.layout,
            self.entry,
            self.choice,
            self.graph,
            gathered,
            left_out,
        )?;
        if let Some(environment) = &self.choice.environment {
            self.installed.gather_environment(
                &view,
                environment,
                &self.layout.environment,
                self.dropped,
                gathered,
            )?;
        }
        self.installed
            .gather_imported(&view, self.graph, gathered)?;
        library::gather(self.files, interpreter, self.graph, gathered)
    }

    /// Adds the compiled form of the modules that are imported; returns what there is to say.
    fn compile(&self, gathered: &mut Gathered<'_>) -> Vec<String> {
        let interpreter = &self.choice.interpreter;
        let mut sources: Vec<ImagePath> = self
            .graph
            .modules
            .values()
            .filter(|module| module.kind == Kind::Source)
            .filter_map(|module| module.file.clone())
            .collect();
        if self.graph.has("sysconfig") {
            sources.extend(library::build_data(self.files, interpreter));
        }
        sources.sort_unstable();
        sources.dedup();
        let (major, minor) = interpreter.version;
        let tag = format!("cpython-{major}{minor}.pyc");
        let modules: Vec<bytecode::Module> = sources
            .iter()
            // What was rewritten for the image is not what was compiled here.
            .filter(|source| self.installed.hooks.at(source).is_none())
            .filter_map(|source| {
                let image = self.layout.places.image(source)?;
                gathered.group_of_file(&image)?;
                let stem = text(image.file_name()?).strip_suffix(".py")?;
                let name = format!("{stem}.{tag}");
                let caches = source.parent()?.join("__pycache__").ok()?;
                let is_cached = self.files.is_cached(&caches, &name);
                Some(bytecode::Module {
                    source: source.as_path().to_path_buf(),
                    cached: is_cached.then(|| caches.as_path().join(&name)),
                    image,
                })
            })
            .collect();
        let program = self.files.shown(&interpreter.program);
        let compiled = bytecode::compile(self.scene, &program, interpreter.version, &modules);
        for (path, bytes) in compiled.pycs {
            let source = source_of(&path);
            let found = source.and_then(|source| {
                let group = gathered.group_of_file(&source)?.clone();
                Some((source, group))
            });
            if let Some((source, group)) = found {
                gathered.made(&group, path, bytes, Executable::No, &source);
            }
        }
        compiled.notices
    }

    /// The program of the image's command.
    fn program(&self) -> ImagePath {
        let own = || self.layout.environment.join("bin/python").ok();
        let environment = self.choice.environment.as_ref().and_then(|_| own());
        environment.unwrap_or_else(|| self.choice.interpreter.image_program.clone())
    }

    fn command(&self, program: &ImagePath) -> Result<Vec<String>, PythonError> {
        let utf8 = |path: &ImagePath| {
            let text = path.as_path().to_str().map(str::to_owned);
            text.ok_or_else(|| PythonError::NotUtf8 {
                path: self.files.shown(self.path),
            })
        };
        let mut command = vec![utf8(program)?];
        if let Some(shebang) = self.entry.shebang() {
            command.extend(shebang.options.iter().cloned());
        }
        let place = |path: &ImagePath| {
            let image = self.layout.places.image(path);
            utf8(&image.unwrap_or_else(|| path.clone()))
        };
        match self.entry {
            Entry::Script(script) | Entry::Zipapp { script, .. } => {
                command.push(place(&script.file)?);
            }
            Entry::Directory { directory, .. } => command.push(place(directory)?),
            Entry::Package { module, .. } => {
                command.extend(["-m".to_owned(), module.clone()]);
            }
        }
        Ok(command)
    }

    /// `python -m` finds the package in the directory that it is started in.
    fn workdir(&self) -> Option<ImagePath> {
        match self.entry {
            Entry::Package { top, .. } => self.layout.places.image(top)?.parent(),
            _ => None,
        }
    }

    fn env(&self) -> Vec<(String, String)> {
        let mut env = vec![
            // A container's log shows a line when it is written.
            ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
            // The image's user may not write there, and the root is often read-only.
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
        ];
        if self.choice.environment.is_some() {
            let mut path = format!("{}/bin", self.layout.environment);
            for directory in self.scene.search {
                path.push(':');
                path.push_str(&directory.to_string_lossy());
            }
            env.push(("PATH".to_owned(), path));
        }
        if let Some(shebang) = self.entry.shebang() {
            env.extend(shebang.variables.iter().cloned());
        }
        env
    }

    fn moved(&self) -> Vec<(std::path::PathBuf, ImagePath)> {
        self.layout
            .places
            .moved()
            .map(|(here, there)| (self.files.shown(here), there.clone()))
            .collect()
    }

    fn decisions(&self) -> Vec<String> {
        let instead = match self.entry {
            Entry::Script(script) if script.shebang.is_some() => {
                " (--runtime none for the script alone)"
            }
            _ if self.choice.environment.is_none() => {
                " (a virtual environment in .venv beside it would be taken)"
            }
            _ => " (another environment in its place would be taken)",
        };
        let interpreter = &self.choice.interpreter;
        let mut decisions = vec![format!(
            "Python {} {} runs it{instead}",
            interpreter.full_version, self.choice.whence
        )];
        if let Entry::Directory {
            directory,
            beside: Some(name),
        } = self.entry
        {
            let package = directory.file_name().map_or("", text);
            decisions.push(format!(
                "`python {package}` runs it, not `python -m {package}`, because its __main__.py \
                 imports {name} from beside it (`from . import {name}` decides otherwise)"
            ));
        }
        if interpreter.moves() {
            decisions.push(format!(
                "{} stands at {} in the image, where all users find and may read it",
                self.files.shown(&interpreter.prefix).display(),
                interpreter.image_prefix
            ));
        }
        let dropped = self.installed.names(self.dropped);
        if let Some((last, first)) = dropped.split_last() {
            decisions.push(match first {
                [] => format!(
                    "{last} stays out, because nothing imports it (`import` it in the app, or --include)"
                ),
                first => format!(
                    "{} and {last} stay out, because nothing imports them (`import` them in the app, \
                     or --include)",
                    first.join(", ")
                ),
            });
        }
        decisions
    }

    /// Modules of the app's own imports that nobody has.
    fn missing_notice(&self) -> Option<String> {
        let is_archived = |name: &str| match self.entry {
            Entry::Zipapp { modules, .. } => modules.contains(name),
            _ => false,
        };
        let missing: Vec<&str> = self
            .graph
            .missing
            .iter()
            .map(String::as_str)
            .filter(|name| !library::is_built_in(name) && !is_archived(name))
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "imported by the app and not found: {}; where it is needed, install it in a virtual \
                 environment beside the app",
                missing.join(", ")
            )
        })
    }
}

/// The source of a compiled module: `x/__pycache__/a.cpython-311.pyc` is of `x/a.py`.
fn source_of(compiled: &ImagePath) -> Option<ImagePath> {
    let name = text(compiled.file_name()?);
    let (stem, _) = name.rsplit_once(".cpython-")?;
    compiled.parent()?.parent()?.join(format!("{stem}.py")).ok()
}
