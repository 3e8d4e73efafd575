//! Which interpreter runs an app, and in which virtual environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::PythonError;
use super::files::{Files, text};
use super::interpreter::Interpreter;
use super::pyenv;
use super::shebang::{Asked, Shebang};
use crate::ImagePath;
use crate::app::hosted::{Ground, Scene};
use crate::sysroot::Node;

/// The name that is looked for when nothing names an interpreter.
const DEFAULT: &str = "python3";

/// The names of CPython with a version, newest first.
fn numbered() -> impl Iterator<Item = String> {
    (OLDEST..=NEWEST)
        .rev()
        .map(|minor| format!("python3.{minor}"))
}

/// The minor versions of CPython 3 that are looked for by name.
const OLDEST: u32 = 6;
const NEWEST: u32 = 40;

/// What runs the app.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) interpreter: Interpreter,
    pub(super) environment: Option<Environment>,
    /// Where it was found, to go on behind `Python 3.11.7`.
    pub(super) whence: String,
}

/// What the choice goes by.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) files: &'a Files<'a>,
    pub(super) scene: &'a Scene<'a>,
    /// The app's path, links not followed.
    pub(super) app: &'a Path,
    /// The directory beside which environments are looked for.
    pub(super) directory: &'a Path,
    pub(super) shebang: Option<&'a Shebang>,
}

impl Question<'_> {
    /// The interpreter and its environment: that in whose `bin` the app is or that its `#!` line
    /// names, one beside the app, the one that is active, the `#!` line's, and `python3`.
    pub(super) fn answer(&self) -> Result<Choice, PythonError> {
        if let Some(environment) = self.environment()? {
            return self.within(environment.0, environment.1);
        }
        let (program, whence) = self.program()?;
        // An interpreter that was found by its name may belong to an environment, too.
        if let Some(environment) = Environment::of_program(self.files, &program)? {
            return self.within(environment, whence);
        }
        let Some((target, _)) = self.files.file(&program) else {
            return Err(self.missing(format!("{} is no file", self.shown(&program))));
        };
        let mut interpreter = Interpreter::at(self.files, &self.shown_app(), &target)?;
        interpreter.complete_version(self.files, None);
        Ok(Choice {
            interpreter,
            environment: None,
            whence,
        })
    }

    /// The virtual environment that the app belongs to, and why it is the one.
    fn environment(&self) -> Result<Option<(Environment, String)>, PythonError> {
        let own = match self.shebang {
            Some(_) => Environment::of_program(self.files, self.app)?,
            None => None,
        };
        if let Some(environment) = own {
            return Ok(Some((environment, String::new())));
        }
        if let Some(Asked::Path(program)) = self.asked()
            && let Some(environment) = Environment::of_program(self.files, program)?
        {
            return Ok(Some((environment, "that its `#!` line names".to_owned())));
        }
        let parent = self.directory.parent().filter(|_| self.is_directory());
        for directory in [Some(self.directory), parent].into_iter().flatten() {
            if let Some(environment) = Environment::beside(self.files, directory)? {
                return Ok(Some((environment, "beside it".to_owned())));
            }
        }
        let Some(active) = self.variable("VIRTUAL_ENV") else {
            return Ok(None);
        };
        let active = PathBuf::from(active);
        if !active.is_absolute() {
            return Ok(None);
        }
        let environment = Environment::at(self.files, &active)?;
        Ok(
            environment
                .map(|environment| (environment, "that is active ($VIRTUAL_ENV)".to_owned())),
        )
    }

    /// Whether the app is a directory: what is beside it may be in it, or stand next to it.
    fn is_directory(&self) -> bool {
        self.files.directory(self.app).is_some()
    }

    fn within(&self, environment: Environment, why: String) -> Result<Choice, PythonError> {
        if let Some(ground) = self.scene.ground {
            return self.within_other(ground, environment, &why);
        }
        let base = environment.base(self.files)?;
        let mut interpreter = Interpreter::at(self.files, &self.shown_app(), &base)?;
        let made = environment.configuration.release();
        if made.is_some_and(|made| made != interpreter.version) {
            return Err(PythonError::VersionDiffers {
                made: environment.configuration.version.unwrap_or_default(),
                environment: environment.found,
                interpreter: self.files.shown(&base),
                found: format!("{}.{}", interpreter.version.0, interpreter.version.1),
            });
        }
        let hint = environment.configuration.version.as_deref();
        interpreter.complete_version(self.files, hint);
        Ok(Choice {
            whence: format!("of {}", named(&environment, &why)),
            interpreter,
            environment: Some(environment),
        })
    }

    /// The interpreter of another system for an environment that may have been made on this
    /// machine: that of the same version, whose packages it finds.
    fn within_other(
        &self,
        ground: Ground<'_>,
        environment: Environment,
        why: &str,
    ) -> Result<Choice, PythonError> {
        let own = environment.base(self.files).ok();
        let own = own.filter(|program| self.scene.may_run(program.as_path()));
        let made = environment.release(self.files);
        let mut names: Vec<String> = Vec::new();
        names.extend(made.map(|(major, minor)| format!("python{major}.{minor}")));
        names.extend([DEFAULT, "python"].map(str::to_owned));
        let installed = names
            .iter()
            .cloned()
            .chain(numbered())
            .flat_map(|name| self.scene.search.iter().map(move |it| it.join(&name)))
            .filter(|program| self.runs(program))
            .filter_map(|program| Some(self.files.file(&program)?.0));
        let mut others: Option<Interpreter> = None;
        let mut failure = None;
        for program in own.clone().into_iter().chain(installed) {
            let mut interpreter = match Interpreter::at(self.files, &self.shown_app(), &program) {
                Ok(interpreter) => interpreter,
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            if made.is_some_and(|made| made != interpreter.version) {
                others.get_or_insert(interpreter);
                continue;
            }
            // What the environment says is of the interpreter that it was made by.
            let hint = environment.configuration.version.as_deref();
            let hint = hint.filter(|_| own.as_ref() == Some(&program));
            interpreter.complete_version(self.files, hint);
            return Ok(Choice {
                whence: format!("of {}, for {}", ground.name, named(&environment, why)),
                interpreter,
                environment: Some(environment),
            });
        }
        Err(match (others, made, failure) {
            (Some(other), Some((major, minor)), _) => PythonError::OtherVersion {
                environment: environment.found,
                made: format!("{major}.{minor}"),
                ground: ground.name.to_owned(),
                found: format!("{}.{}", other.version.0, other.version.1),
            },
            (_, _, Some(failure)) => failure,
            _ => self.missing(format!(
                "no {} in {}",
                names.join(" or "),
                self.shown_list(self.scene.search)
            )),
        })
    }

    /// The program outside of any environment, and where it was found.
    fn program(&self) -> Result<(PathBuf, String), PythonError> {
        let name = match self.asked() {
            // One of this machine: another system has it under its name, if it has it.
            Some(Asked::Path(path)) if self.scene.ground.is_some() && !self.scene.may_run(path) => {
                path.file_name().map_or(DEFAULT, text)
            }
            Some(Asked::Path(path)) => {
                let shown = self.shown(path);
                if !self.files.is_file(path) {
                    self.refuse_two(path)?;
                    let problem = format!("{shown} of its `#!` line does not exist");
                    return Err(self.missing(problem));
                }
                let path = match self.behind_shim(path) {
                    Shim::None => path.clone(),
                    Shim::For(program) => program,
                    Shim::Unset => return Err(self.missing(unset(&shown))),
                };
                return Ok((path, format!("of its `#!` line ({shown})")));
            }
            Some(Asked::Beside(name)) if self.scene.ground.is_none() => {
                let path = self.app.with_file_name(name);
                let shown = self.shown(&path);
                return Ok((path, format!("beside it ({shown})")));
            }
            Some(Asked::Name(name) | Asked::Beside(name)) => name.as_str(),
            None => DEFAULT,
        };
        let mut directories = self.host_path();
        directories.extend(self.scene.search.iter().cloned());
        let mut names = vec![name];
        // Many systems have no `python`, and mean the same.
        if name == "python" {
            names.push(DEFAULT);
        }
        // An image that holds just what one app needs may have the program, and no link to it.
        let numbered = match self.scene.ground {
            Some(_) if names.contains(&DEFAULT) => numbered().collect(),
            _ => Vec::new(),
        };
        for name in names
            .iter()
            .copied()
            .chain(numbered.iter().map(String::as_str))
        {
            for directory in &directories {
                let path = directory.join(name);
                if !self.runs(&path) {
                    continue;
                }
                let found = match self.behind_shim(&path) {
                    Shim::None => path,
                    Shim::For(program) => program,
                    Shim::Unset => continue,
                };
                let whence = format!("that is {name} on the PATH ({})", self.shown(&found));
                return Ok((found, whence));
            }
        }
        self.refuse_two(Path::new(name))?;
        Err(self.missing(format!(
            "no {} in {}",
            names.join(" or "),
            self.shown_list(&directories)
        )))
    }

    /// A Python 2 that is not installed need not be.
    fn refuse_two(&self, interpreter: &Path) -> Result<(), PythonError> {
        let name = interpreter.file_name().map_or("", text);
        match name.starts_with("python2") {
            true => Err(PythonError::PythonTwo {
                app: self.shown_app(),
                interpreter: interpreter.to_path_buf(),
            }),
            false => Ok(()),
        }
    }

    fn asked(&self) -> Option<&Asked> {
        self.shebang.map(|shebang| &shebang.interpreter)
    }

    fn behind_shim(&self, path: &Path) -> Shim {
        let Some(root) = pyenv::root_of_shim(self.files, path) else {
            return Shim::None;
        };
        let name = path.file_name().map_or("", text);
        let wanted = self
            .variable("PYENV_VERSION")
            .map(|value| value.to_string_lossy());
        match pyenv::program(self.files, &root, name, self.directory, wanted.as_deref()) {
            Some(program) => Shim::For(program),
            None => Shim::Unset,
        }
    }

    /// As in execvp(3), what may not be run is passed over.
    fn runs(&self, path: &Path) -> bool {
        crate::sysroot::trace(self.files.sysroot(), path)
            .is_ok_and(|walked| matches!(walked.node, Node::File(facts) if facts.mode & 0o111 != 0))
            && self.scene.may_run(path)
    }

    fn host_path(&self) -> Vec<PathBuf> {
        let path = self.variable("PATH").unwrap_or_default();
        std::env::split_paths(path)
            .filter(|directory| directory.is_absolute())
            .collect()
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        let variables: &BTreeMap<OsString, OsString> = &self.scene.host?.variables;
        variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    fn missing(&self, sought: String) -> PythonError {
        let app = self.shown_app();
        match self.scene.ground {
            Some(ground) => PythonError::NotOnGround {
                app,
                ground: ground.name.to_owned(),
                sought,
            },
            None => PythonError::InterpreterMissing { app, sought },
        }
    }

    /// A search path for a message, which names another system than this machine once and for all.
    fn shown_list(&self, directories: &[PathBuf]) -> String {
        let shown = |path: &PathBuf| match self.scene.ground {
            Some(_) => path.display().to_string(),
            None => self.shown(path),
        };
        let shown: Vec<String> = directories.iter().map(shown).collect();
        shown.join(":")
    }

    fn shown(&self, path: &Path) -> String {
        self.files.shown(path).display().to_string()
    }

    fn shown_app(&self) -> PathBuf {
        self.files.shown(self.app)
    }
}

/// What stands behind a file that may be a shim of pyenv.
enum Shim {
    /// It is none.
    None,
    /// This program.
    For(PathBuf),
    /// pyenv has no version chosen that has the program.
    Unset,
}

/// The environment and why it is the one, for people.
fn named(environment: &Environment, why: &str) -> String {
    let space = if why.is_empty() { "" } else { " " };
    let found = environment.found.display();
    format!("the virtual environment {found}{space}{why}")
}

fn unset(shim: &str) -> String {
    format!("{shim} is a shim of pyenv, for which no installed version is chosen (`pyenv global`)")
}

impl Choice {
    /// The directories of packages: the environment's, and the interpreter's where they count.
    pub(super) fn environment_sites(
        &self,
        files: &Files<'_>,
    ) -> Result<Vec<ImagePath>, PythonError> {
        let Some(environment) = &self.environment else {
            return Ok(Vec::new());
        };
        let mut sites = Vec::new();
        for lib in ["lib64", "lib"] {
            let place = environment.root.as_path().join(lib);
            let place = place
                .join(&self.interpreter.library_name)
                .join("site-packages");
            if let Some(site) = files.directory(place)
                && !sites.contains(&site)
            {
                sites.push(site);
            }
        }
        if sites.is_empty() {
            return Err(PythonError::BadConfiguration {
                path: environment.found.clone(),
                problem: format!(
                    "has no lib/{}/site-packages, where its interpreter looks for packages",
                    self.interpreter.library_name
                ),
            });
        }
        Ok(sites)
    }

    /// The directories of packages of the interpreter itself, where the app sees them.
    pub(super) fn system_sites(&self) -> &[ImagePath] {
        match &self.environment {
            Some(environment) if !environment.configuration.system_packages => &[],
            _ => &self.interpreter.sites,
        }
    }
}
