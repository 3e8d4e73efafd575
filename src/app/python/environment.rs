//! Virtual environments (PEP 405), made by venv, virtualenv or uv.

use std::path::{Path, PathBuf};

use super::error::PythonError;
use super::files::{Files, text};
use crate::ImagePath;

/// The file that makes a directory a virtual environment.
pub(super) const CONFIGURATION: &str = "pyvenv.cfg";
/// The names that environments beside an app have.
const NAMES: [&str; 2] = [".venv", "venv"];
/// What makes a directory the root of a project.
const PROJECT: [&str; 2] = ["pyproject.toml", ".git"];

/// A virtual environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Environment {
    /// Its directory, no link on the way.
    pub(super) root: ImagePath,
    /// The directory as it was found, for people.
    pub(super) found: PathBuf,
    pub(super) configuration: Configuration,
}

/// What `pyvenv.cfg` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Configuration {
    /// The directory of the interpreter that it was made from.
    pub(super) home: Option<PathBuf>,
    /// That interpreter (since Python 3.11).
    pub(super) executable: Option<PathBuf>,
    /// Its version, such as `3.11.7`.
    pub(super) version: Option<String>,
    /// Whether the packages of that interpreter are importable, too.
    pub(super) system_packages: bool,
}

impl Environment {
    /// The environment in this directory, if it is one.
    pub(super) fn at(files: &Files<'_>, directory: &Path) -> Result<Option<Self>, PythonError> {
        let file = directory.join(CONFIGURATION);
        if !files.is_file(&file) {
            return Ok(None);
        }
        let Some(root) = files.directory(directory) else {
            return Ok(None);
        };
        let bytes = files.read(&file)?;
        let configuration = Configuration::parse(&String::from_utf8_lossy(&bytes));
        if configuration.home.is_none() {
            return Err(PythonError::BadConfiguration {
                path: files.shown(&file),
                problem: "it has no line `home = DIRECTORY` with the absolute path of the \
                          interpreter's directory"
                    .to_owned(),
            });
        }
        Ok(Some(Self {
            root,
            found: files.shown(directory),
            configuration,
        }))
    }

    /// The environment that the program `DIRECTORY/bin/NAME` belongs to, links not followed.
    pub(super) fn of_program(
        files: &Files<'_>,
        program: &Path,
    ) -> Result<Option<Self>, PythonError> {
        match program.parent().and_then(Path::parent) {
            Some(directory) => Self::at(files, directory),
            None => Ok(None),
        }
    }

    /// The environment beside an app in `directory`: there, or above it up to the root of the
    /// project.
    pub(super) fn beside(files: &Files<'_>, directory: &Path) -> Result<Option<Self>, PythonError> {
        let is_project = |directory: &Path| {
            files.locate(directory).is_some_and(|directory| {
                let names = files.names(&directory);
                PROJECT
                    .iter()
                    .any(|name| names.contains_key(Path::new(name).as_os_str()))
            })
        };
        // Without such a root, environments above the app are somebody else's.
        let up = directory
            .ancestors()
            .position(is_project)
            .map_or(1, |at| at + 1);
        for ancestor in directory.ancestors().take(up) {
            for name in NAMES {
                if let Some(environment) = Self::at(files, &ancestor.join(name))? {
                    return Ok(Some(environment));
                }
            }
        }
        Ok(None)
    }

    /// Major and minor version of the Python that it was made for: what its `pyvenv.cfg` says, or
    /// the directory of its packages shows.
    pub(super) fn release(&self, files: &Files<'_>) -> Option<(u32, u32)> {
        let by_directory = || {
            let lib = files.directory(self.root.as_path().join("lib"))?;
            let names = files.names(&lib);
            names.keys().find_map(|name| {
                let (major, minor) = text(name).strip_prefix("python")?.split_once('.')?;
                let minor = minor.trim_end_matches('t');
                Some((major.parse().ok()?, minor.parse().ok()?))
            })
        };
        self.configuration.release().or_else(by_directory)
    }

    /// Names under which the interpreter may stand in the environment and in `home`.
    fn interpreter_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let executable = self.configuration.executable.as_deref();
        names.extend(
            executable
                .and_then(Path::file_name)
                .map(|name| text(name).to_owned()),
        );
        if let Some((major, minor)) = self.configuration.release() {
            names.push(format!("python{major}.{minor}"));
        }
        names.extend(["python3", "python"].map(str::to_owned));
        names
    }

    /// The interpreter that the environment was made from: what its `bin/python` leads to, or,
    /// where that is a copy, the one in `home`.
    pub(super) fn base(&self, files: &Files<'_>) -> Result<ImagePath, PythonError> {
        let bin = self.root.as_path().join("bin");
        let linked = ["python", "python3"]
            .iter()
            .filter_map(|name| files.file(bin.join(name)))
            .map(|(target, _)| target)
            .find(|target| !target.starts_with(&self.root));
        if let Some(interpreter) = linked {
            return Ok(interpreter);
        }
        let home = self.configuration.home.clone().unwrap_or_default();
        let names = self.interpreter_names();
        let in_home = names.iter().find_map(|name| files.file(home.join(name)));
        in_home.map(|(target, _)| target).ok_or_else(|| {
            let name = names.first().map_or("python3", String::as_str);
            PythonError::BaseGone {
                environment: self.found.clone(),
                base: files.shown(home.join(name)),
            }
        })
    }
}

impl Configuration {
    /// Parses as `site.py` does: `key = value` lines, keys in any case.
    pub(super) fn parse(text: &str) -> Self {
        let mut configuration = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let value = value.trim();
            let path = || Some(PathBuf::from(value)).filter(|path| path.is_absolute());
            match key.trim().to_ascii_lowercase().as_str() {
                "home" => configuration.home = path(),
                "executable" | "base-executable" => configuration.executable = path(),
                "version" => configuration.version = Some(value.to_owned()),
                "version_info" if configuration.version.is_none() => {
                    // 3.11.7.final.0
                    let numbers: Vec<&str> = value.split('.').take(3).collect();
                    configuration.version = Some(numbers.join("."));
                }
                "include-system-site-packages" => {
                    configuration.system_packages = value.eq_ignore_ascii_case("true");
                }
                _ => {}
            }
        }
        configuration
    }

    /// Major and minor version.
    pub(super) fn release(&self) -> Option<(u32, u32)> {
        let mut numbers = self.version.as_deref()?.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// What the image's `pyvenv.cfg` says. Paths of this machine stay out.
    pub(super) fn for_image(&self, home: &ImagePath, version: &str) -> String {
        format!(
            "home = {}\ninclude-system-site-packages = {}\nversion = {version}\n",
            home.as_path().display(),
            self.system_packages
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_files_of_venv_virtualenv_and_uv_are_understood() {
        let venv = Configuration::parse(
            "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n\
             executable = /usr/bin/python3.11\ncommand = /usr/bin/python3 -m venv /x\n",
        );
        assert_eq!(venv.home.as_deref(), Some(Path::new("/usr/bin")));
        assert_eq!(venv.release(), Some((3, 11)));
        assert!(!venv.system_packages);
        let virtualenv = Configuration::parse(
            "home = /opt/py/bin\nimplementation = CPython\nversion_info = 3.12.1.final.0\n\
             include-system-site-packages = true\nbase-executable = /opt/py/bin/python3.12\n",
        );
        assert_eq!(virtualenv.version.as_deref(), Some("3.12.1"));
        assert!(virtualenv.system_packages);
        let uv = Configuration::parse("home = /py/bin\nuv = 0.5\nversion_info = 3.13.0\n");
        assert_eq!(uv.release(), Some((3, 13)));
    }

    #[test]
    fn the_file_for_the_image_names_nothing_of_this_machine() {
        let text = "home = /root/.pyenv/versions/3.11.7/bin\nversion = 3.11.7\n\
                    command = /root/x -m venv /root/y\nprompt = me\n";
        let home = ImagePath::new("/usr/local/bin").unwrap();
        assert_eq!(
            Configuration::parse(text).for_image(&home, "3.11.7"),
            "home = /usr/local/bin\ninclude-system-site-packages = false\nversion = 3.11.7\n"
        );
    }
}
