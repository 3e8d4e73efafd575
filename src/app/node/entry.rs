//! What to run: the file, its arguments and the options of node.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::NodeError;
use super::disk::{Disk, normal};
use super::looks::{Looks, Shebang, looks};
use super::manifest::Manifest;
use super::options::{Options, PRELOADS, compile_advice, compiler};
use super::sources::{as_file, module};
use super::tree::find;
use super::words::{assignment, plain};
use crate::ImagePath;

/// How often a script may only start another one (`npm run start:prod`).
const MAX_SCRIPTS: usize = 8;

/// How the app is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    /// The real file.
    pub(super) entry: ImagePath,
    /// Options of node.
    pub(super) options: Vec<String>,
    pub(super) arguments: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    /// The absolute path of node in a `#!` line.
    pub(super) interpreter: Option<PathBuf>,
    /// What says so, for people.
    pub(super) why: String,
    pub(super) notices: Vec<String>,
}

impl Launch {
    fn new(entry: ImagePath, why: String) -> Self {
        Self {
            entry,
            options: Vec::new(),
            arguments: Vec::new(),
            env: Vec::new(),
            interpreter: None,
            why,
            notices: Vec::new(),
        }
    }

    /// The modules that options load before the app.
    pub(super) fn preloaded(&self) -> impl Iterator<Item = &str> {
        let follows = self.options.iter().zip(self.options.iter().skip(1));
        let apart = follows
            .filter(|(option, _)| PRELOADS.contains(&option.as_str()))
            .map(|(_, value)| value.as_str());
        let joined = self.options.iter().filter_map(|option| {
            let (name, value) = option.split_once('=')?;
            PRELOADS.contains(&name).then_some(value)
        });
        apart.chain(joined)
    }

    /// Takes the options and variables of a `#!` line.
    fn take_interpreter(&mut self, line: Shebang) {
        self.interpreter = line.path;
        self.env = line.env;
        let kept = Options::of(&line.options);
        self.options = kept.kept;
        self.notices.extend(kept.notices);
    }
}

/// How to start a file that was given itself.
pub(super) fn of_file(disk: &Disk<'_>, entry: ImagePath, looks: &Looks) -> Launch {
    let why = format!("the file {}", disk.shown(entry.as_path()).display());
    let mut launch = Launch::new(entry, why);
    if let Looks::Node(Some(line)) = looks {
        launch.take_interpreter(line.clone());
    }
    launch
}

/// How to start the project in `directory`: the program that it is called after or its only one,
/// what `npm start` would run, its `main`, index.js.
pub(super) fn of_project(
    disk: &mut Disk<'_>,
    directory: &ImagePath,
    manifest: &Manifest,
) -> Result<Launch, NodeError> {
    let mut project = Project {
        manifest_path: disk.shown(&directory.as_path().join("package.json")),
        disk,
        directory,
        manifest,
    };
    if let Some(launch) = project.program()? {
        return Ok(launch);
    }
    let start = project.start();
    if let Ok(Some(launch)) = start {
        return Ok(launch);
    }
    match (project.main(), start) {
        (Ok(Some(launch)), Err(NodeError::Start { script, why, .. })) => {
            Ok(launch.instead_of(&script, &why))
        }
        (Ok(Some(launch)), Ok(_)) => Ok(launch),
        // What npm would start says more than a `main` that is not there; a file that it names and
        // that does not exist has to be built.
        (_, Err(unusable)) => Err(unusable),
        (Err(error), _) => Err(error),
        (Ok(None), Ok(_)) => {
            let many: Vec<String> = manifest.bin.keys().cloned().collect();
            let manifest = project.manifest_path;
            Err(match many.is_empty() {
                true => NodeError::NoEntry { manifest },
                false => NodeError::ManyPrograms {
                    manifest,
                    names: many,
                },
            })
        }
    }
}

impl Launch {
    fn instead_of(mut self, script: &str, why: &str) -> Self {
        self.notices.push(format!(
            "{} is run, and not `scripts.start`, which is `{script}`, {why}; give another file to run that",
            self.why
        ));
        self
    }
}

struct Project<'p, 'a> {
    disk: &'p mut Disk<'a>,
    directory: &'p ImagePath,
    manifest: &'p Manifest,
    manifest_path: PathBuf,
}

impl Project<'_, '_> {
    fn program(&mut self) -> Result<Option<Launch>, NodeError> {
        let programs = &self.manifest.bin;
        let own = self.manifest.name.as_deref().unwrap_or_default();
        let own = own.rsplit('/').next().unwrap_or_default();
        let only = programs.iter().next().filter(|_| programs.len() == 1);
        let Some((name, file)) = programs.get_key_value(own).or(only) else {
            return Ok(None);
        };
        let field = match name.as_str() {
            "" => "`bin`".to_owned(),
            name => format!("`bin.{name}`"),
        };
        let entry = self.inside(&field, file)?;
        let mut launch = Launch::new(entry.clone(), field);
        if let Looks::Node(Some(line)) = looks(self.disk, &entry, entry.as_path())? {
            launch.take_interpreter(line);
        }
        Ok(Some(launch))
    }

    fn main(&mut self) -> Result<Option<Launch>, NodeError> {
        let index = |project: &mut Self| {
            let path = project.directory.as_path().join("index");
            as_file(project.disk, &path).filter(|file| file.starts_with(project.directory))
        };
        let Some(main) = &self.manifest.main else {
            let entry = index(self);
            return Ok(entry
                .map(|entry| Launch::new(entry, "index.js, as nothing else is named".to_owned())));
        };
        match self.inside("`main`", main) {
            Ok(entry) => Ok(Some(Launch::new(entry, "`main`".to_owned()))),
            // Node.js does so, too.
            Err(error @ NodeError::EntryMissing { .. }) => match index(self) {
                Some(entry) => {
                    let why = format!("index.js, as {main}, which `main` names, does not exist");
                    Ok(Some(Launch::new(entry, why)))
                }
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The file of the project that a field names.
    fn inside(&mut self, field: &str, entry: &str) -> Result<ImagePath, NodeError> {
        let outside = || NodeError::EntryOutside {
            manifest: self.manifest_path.clone(),
            field: field.to_owned(),
            entry: entry.to_owned(),
        };
        let path = normal(&self.directory.as_path().join(entry.trim_start_matches('/')));
        if !path.starts_with(self.directory.as_path()) || entry.contains('\0') {
            return Err(outside());
        }
        match module(self.disk, &path)? {
            Some(file) if file.starts_with(self.directory) => Ok(file),
            Some(_) => Err(outside()),
            None => Err(NodeError::EntryMissing {
                manifest: self.manifest_path.clone(),
                field: field.to_owned(),
                entry: entry.to_owned(),
                build: Some("build".to_owned())
                    .filter(|name| self.manifest.scripts.contains_key(name)),
            }),
        }
    }

    /// What `npm start` runs, where that needs no shell.
    fn start(&mut self) -> Result<Option<Launch>, NodeError> {
        let Some(script) = self.manifest.scripts.get("start") else {
            return Ok(None);
        };
        let manifest = self.manifest_path.clone();
        let unusable = |why: &str| NodeError::Start {
            manifest: manifest.clone(),
            script: script.clone(),
            why: why.to_owned(),
        };
        let mut text = script;
        let mut env = Vec::new();
        for _ in 0..MAX_SCRIPTS {
            let words = plain(text)
                .ok_or_else(|| unusable("which needs a shell, and the image has none"))?;
            let mut words = words.as_slice();
            while let [word, rest @ ..] = words {
                if let Some((name, value)) = assignment(word) {
                    env.push((name.to_owned(), value.to_owned()));
                } else if !matches!(word.as_str(), "cross-env" | "npx" | "exec") {
                    break;
                }
                words = rest;
            }
            let [program, rest @ ..] = words else {
                return Err(unusable("which starts nothing"));
            };
            if let Some(next) = self.script_of(program, rest) {
                text = next;
                continue;
            }
            let mut launch = match program.rsplit('/').next() {
                Some("node" | "nodejs") => self.node(rest, &unusable)?,
                _ => self.installed(program, rest, &unusable)?,
            };
            launch.env = env;
            return Ok(Some(launch));
        }
        Err(unusable("which starts itself"))
    }

    /// The script that `npm run NAME` and the like run.
    fn script_of(&self, program: &str, rest: &[String]) -> Option<&String> {
        let name = match (program, rest) {
            ("npm" | "yarn" | "pnpm" | "bun", [run, name])
                if matches!(run.as_str(), "run" | "run-script") =>
            {
                name
            }
            ("yarn" | "pnpm", [name]) => name,
            _ => return None,
        };
        self.manifest.scripts.get(name)
    }

    /// `node [options] FILE [arguments]`.
    fn node(
        &mut self,
        words: &[String],
        unusable: &dyn Fn(&str) -> NodeError,
    ) -> Result<Launch, NodeError> {
        let options = Options::of(words);
        if let Some(loader) = options.kept.iter().find_map(|word| compiler(word)) {
            return Err(unusable(&compile_advice(loader)));
        }
        if let Some(option) = options.refused {
            return Err(unusable(&format!(
                "where `{option}` leaves nothing to put into an image"
            )));
        }
        let [file, arguments @ ..] = words.get(options.length..).unwrap_or_default() else {
            return Err(unusable("which names no file"));
        };
        let entry = self.inside("`scripts.start`", file)?;
        let mut launch = Launch::new(entry, "`scripts.start`".to_owned());
        launch.options = options.kept;
        launch.notices = options.notices;
        launch.arguments = arguments.to_vec();
        Ok(launch)
    }

    /// `X [arguments]`, where X is a program of a package: what stands in node_modules/.bin.
    fn installed(
        &mut self,
        name: &str,
        arguments: &[String],
        unusable: &dyn Fn(&str) -> NodeError,
    ) -> Result<Launch, NodeError> {
        if let Some(compiler) = compiler(name) {
            return Err(unusable(&compile_advice(compiler)));
        }
        if matches!(
            name,
            "nodemon"
                | "node-dev"
                | "supervisor"
                | "forever"
                | "pm2"
                | "concurrently"
                | "npm-run-all"
        ) {
            return Err(unusable(&format!(
                "where {name} watches over the app, which the container's runtime does"
            )));
        }
        let manifest = self.manifest;
        let declared = manifest.dependencies.keys().chain(manifest.optional.keys());
        let mut packages: Vec<&String> = declared.collect();
        // The package of the same name is the likeliest.
        packages.sort_by_key(|package| (package.as_str() != name, package.as_str()));
        for package in packages {
            if let Some(entry) = self.program_of(package, name)? {
                let why = format!("`scripts.start`, which runs `{name}` of the package {package}");
                let mut launch = Launch::new(entry.clone(), why);
                if let Looks::Node(Some(line)) = looks(self.disk, &entry, entry.as_path())? {
                    launch.take_interpreter(line);
                }
                launch.arguments = arguments.to_vec();
                return Ok(launch);
            }
        }
        Err(unusable(&match manifest.dev.contains(name) {
            true => format!("and {name} is a dev dependency, which stays out of the image"),
            false => format!("and no installed dependency has a program `{name}`"),
        }))
    }

    /// The file of the program `name` of an installed package.
    fn program_of(&mut self, package: &str, name: &str) -> Result<Option<ImagePath>, NodeError> {
        let Some(found) = find(self.disk, self.directory, package) else {
            return Ok(None);
        };
        let Some(manifest) = Manifest::read(self.disk, &found.directory)? else {
            return Ok(None);
        };
        let Some(file) = manifest.bin.get(name) else {
            return Ok(None);
        };
        let path = normal(&found.directory.as_path().join(file.trim_start_matches('/')));
        let file = self.disk.file(&path);
        Ok(file.filter(|file| file.starts_with(&found.directory)))
    }
}

/// The bytes of a path as they go into a command.
pub(super) fn word(path: &ImagePath) -> String {
    String::from_utf8_lossy(path.as_path().as_os_str().as_bytes()).into_owned()
}
