//! What the user pointed at: a script, a package, a directory or a zipapp.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use super::environment::{CONFIGURATION, Environment};
use super::error::PythonError;
use super::files::{Files, Item, text};
use super::imports::imports;
use super::shebang::{self, Shebang, is_python};
use crate::ImagePath;
use crate::app::hosted::{Runtime, RuntimeChoice, Scene};
use crate::sysroot::{FileFacts, Node, trace};

/// The file that `python DIRECTORY`, `python ARCHIVE` and `python -m PACKAGE` run.
const MAIN: &str = "__main__.py";
/// The largest zipapp, in bytes.
const ZIPAPP_LIMIT: u64 = 256 << 20;
/// The most that is read of the sources in a zipapp, in bytes.
const ZIPAPP_TEXT_LIMIT: u64 = 64 << 20;

/// The sources in a zipapp: the package that the relative imports of each start from, and its text.
pub(super) type Sources = Vec<(String, Vec<u8>)>;

/// An app of Python.
#[derive(Debug)]
pub(super) enum Entry {
    Script(Script),
    Zipapp {
        script: Script,
        sources: Sources,
        /// The modules and packages at its top, which no file of the system has.
        modules: BTreeSet<String>,
    },
    /// `python -m MODULE`: the package at the top, links not followed, that with the
    /// `__main__.py`, and its dotted name.
    Package {
        top: ImagePath,
        directory: ImagePath,
        module: String,
    },
    /// `python DIRECTORY`.
    Directory {
        directory: ImagePath,
        /// Why it is not run as the package that it is: a module in it that its `__main__.py`
        /// imports as one at the top.
        beside: Option<String>,
    },
}

/// A file that Python runs.
#[derive(Debug)]
pub(super) struct Script {
    /// No link on the way.
    pub(super) file: ImagePath,
    pub(super) facts: FileFacts,
    /// What its first line says, if it names a Python.
    pub(super) shebang: Option<Shebang>,
}

impl Entry {
    /// What stands at `path`, if it is an app of Python, or the user says that it is.
    pub(super) fn recognise(
        scene: &Scene<'_>,
        files: &Files<'_>,
        path: &Path,
    ) -> Result<Option<Self>, PythonError> {
        let demanded = scene.runtime == RuntimeChoice::Only(Runtime::Python);
        let walked = match trace(scene.sysroot, path) {
            Ok(walked) => walked,
            Err(error) if demanded => return Err(files.failed(path, error.into())),
            // Whoever looks next has more to say about it.
            Err(_) => return Ok(None),
        };
        let entry = match walked.node {
            Node::File(facts) => Self::of_file(scene, files, path, walked.target, facts)?,
            Node::Directory { .. } => Self::of_directory(files, path, &walked.target, demanded)?,
            Node::Symlink(_) | Node::Other => None,
        };
        match entry {
            None if demanded => Err(PythonError::NotPython {
                path: files.shown(path),
            }),
            entry => Ok(entry),
        }
    }

    fn of_file(
        scene: &Scene<'_>,
        files: &Files<'_>,
        path: &Path,
        file: ImagePath,
        facts: FileFacts,
    ) -> Result<Option<Self>, PythonError> {
        let demanded = scene.runtime == RuntimeChoice::Only(Runtime::Python);
        let head = match files.head(path, shebang::HEAD) {
            Ok(head) => head,
            Err(error) if demanded => return Err(error),
            Err(_) => return Ok(None),
        };
        let extension = path.extension().map_or("", text);
        let is_archive = matches!(extension, "pyz" | "pyzw" | "zip");
        if head.starts_with(b"PK\x03\x04") && !is_archive && !demanded {
            return Ok(None);
        }
        let first = shebang::parse(&head);
        let is_script = head.starts_with(b"#!");
        let shebang = first.filter(|first| is_python(first.interpreter.name()));
        let is_source = matches!(extension, "py" | "pyw") && (shebang.is_some() || !is_script);
        let is_zip = head.starts_with(b"PK\x03\x04")
            || is_archive
            || shebang.is_some() && !is_source && ends_as_archive(files, path, facts.size);
        let script = Script {
            file,
            facts,
            shebang,
        };
        if is_zip {
            return match sources(files, path)? {
                Some((sources, modules)) => Ok(Some(Self::Zipapp {
                    script,
                    sources,
                    modules,
                })),
                None if extension == "zip" && !demanded => Ok(None),
                None => Err(PythonError::Zipapp {
                    path: files.shown(path),
                    problem: format!("it holds no {MAIN}"),
                }),
            };
        }
        let is_text = !head.contains(&0);
        let is_app = is_source || script.shebang.is_some() || demanded;
        Ok((is_app && is_text).then_some(Self::Script(script)))
    }

    fn of_directory(
        files: &Files<'_>,
        path: &Path,
        directory: &ImagePath,
        demanded: bool,
    ) -> Result<Option<Self>, PythonError> {
        let listing = files.list(directory)?;
        let has = |name: &str| {
            listing
                .get(Path::new(name).as_os_str())
                .is_some_and(|i| i.is_file())
        };
        if has(CONFIGURATION) {
            return Err(PythonError::Environment {
                path: files.shown(path),
                scripts: programs(files, path)?,
            });
        }
        if !has(MAIN) {
            return match demanded {
                true => Err(PythonError::NoMain {
                    path: files.shown(path),
                }),
                false => Ok(None),
            };
        }
        if !has("__init__.py") {
            return Ok(Some(Self::Directory {
                directory: directory.clone(),
                beside: None,
            }));
        }
        let mut top = directory.clone();
        let mut names = Vec::new();
        loop {
            let name = top.file_name().unwrap_or_default().to_os_string();
            match name.to_str().filter(|name| is_identifier(name)) {
                Some(name) => names.push(name.to_owned()),
                // Whoever needs no package can be run by its path.
                None if names.is_empty() && !imports_itself(files, directory)? => {
                    return Ok(Some(Self::Directory {
                        directory: directory.clone(),
                        beside: None,
                    }));
                }
                None => {
                    return Err(PythonError::BadPackageName {
                        path: files.shown(&top),
                        name,
                    });
                }
            }
            match top.parent() {
                Some(parent) if files.is_file(parent.as_path().join("__init__.py")) => top = parent,
                _ => break,
            }
        }
        names.reverse();
        Ok(Some(Self::Package {
            top,
            directory: directory.clone(),
            module: names.join("."),
        }))
    }

    /// Runs a package as a directory when its `__main__.py` can only work so: it imports modules
    /// that lie beside it by their bare names, of which nobody else knows (`is_found`), and nothing
    /// by the package's name or a dot.
    pub(super) fn settle(
        &mut self,
        files: &Files<'_>,
        mut is_found: impl FnMut(&str) -> bool,
    ) -> Result<(), PythonError> {
        let Self::Package {
            top,
            directory,
            module,
        } = self
        else {
            return Ok(());
        };
        let source = files.read(directory.as_path().join(MAIN))?;
        let imported = imports(&source, module);
        let mut tops = imported.iter().filter_map(|name| name.split('.').next());
        let own = top.file_name().map_or("", text);
        if tops.clone().any(|name| name == own) {
            return Ok(());
        }
        let listing = files.list(directory)?;
        let has = |name: &str| listing.get(Path::new(name).as_os_str());
        let is_beside = |name: &str| {
            has(&format!("{name}.py")).is_some_and(Item::is_file)
                || has(name).is_some_and(Item::is_directory)
        };
        if let Some(name) = tops.find(|name| is_beside(name) && !is_found(name)) {
            *self = Self::Directory {
                directory: directory.clone(),
                beside: Some(name.to_owned()),
            };
        }
        Ok(())
    }

    /// What its first line says.
    pub(super) fn shebang(&self) -> Option<&Shebang> {
        match self {
            Self::Script(script) | Self::Zipapp { script, .. } => script.shebang.as_ref(),
            Self::Package { .. } | Self::Directory { .. } => None,
        }
    }

    /// The directory beside which its environment is looked for.
    pub(super) fn directory(&self) -> ImagePath {
        match self {
            Self::Script(script) | Self::Zipapp { script, .. } => script.file.parent(),
            Self::Package { top, .. } => Some(top.clone()),
            Self::Directory { directory, .. } => Some(directory.clone()),
        }
        .unwrap_or_else(ImagePath::root)
    }
}

/// Whether the `__main__.py` of a package imports by a dot.
fn imports_itself(files: &Files<'_>, package: &ImagePath) -> Result<bool, PythonError> {
    // No module has this name, so that nothing else is found below it.
    const NAME: &str = "__package__";
    let source = files.read(package.as_path().join(MAIN))?;
    let mut imported = imports(&source, NAME).into_iter();
    Ok(imported.any(|name| name.split('.').next() == Some(NAME)))
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c == '_' || c.is_alphanumeric())
}

/// The programs in an environment that its packages brought.
fn programs(files: &Files<'_>, environment: &Path) -> Result<Vec<PathBuf>, PythonError> {
    let bin = environment.join("bin");
    let Some(directory) = files.directory(&bin) else {
        return Ok(Vec::new());
    };
    let mut programs = Vec::new();
    for (name, item) in files.list(&directory)?.iter() {
        let of_tool = ["pip", "easy_install", "wheel", "activate"]
            .iter()
            .any(|tool| text(name).starts_with(tool));
        if of_tool || !item.is_file() || is_python(text(name)) {
            continue;
        }
        let path = bin.join(name);
        let head = files.head(&path, shebang::HEAD).unwrap_or_default();
        let shebang = shebang::parse(&head);
        if shebang.is_some_and(|shebang| is_python(shebang.interpreter.name())) {
            programs.push(files.shown(&path));
        }
    }
    Ok(programs)
}

/// Whether a file ends in the record that ends a zip archive without a comment.
fn ends_as_archive(files: &Files<'_>, path: &Path, size: u64) -> bool {
    let mut end = [0; 22];
    let read = size.checked_sub(end.len() as u64).and_then(|offset| {
        let file = files.sysroot().open(path).ok()?;
        file.read_exact_at(&mut end, offset).ok()
    });
    read.is_some() && end.starts_with(b"PK\x05\x06")
}

/// The sources in a zipapp; `None` when it has no `__main__.py`.
fn sources(
    files: &Files<'_>,
    path: &Path,
) -> Result<Option<(Sources, BTreeSet<String>)>, PythonError> {
    let bad = |problem: String| PythonError::Zipapp {
        path: files.shown(path),
        problem,
    };
    let bytes = files.sysroot().read(path, ZIPAPP_LIMIT);
    let bytes = bytes.map_err(|source| files.failed(path, source))?;
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| bad(error.to_string()))?;
    if archive.index_for_name(MAIN).is_none() {
        return Ok(None);
    }
    let mut sources = Vec::new();
    let mut modules = BTreeSet::new();
    let mut budget = ZIPAPP_TEXT_LIMIT;
    for index in 0..archive.len() {
        let file = archive
            .by_index(index)
            .map_err(|error| bad(error.to_string()))?;
        let Ok(name) = file.name() else {
            continue;
        };
        let top = name.split(['/', '.']).next().unwrap_or_default();
        modules.insert(top.to_owned());
        let Some(module) = name.strip_suffix(".py") else {
            continue;
        };
        let package = module.rsplit_once('/').map_or("", |(package, _)| package);
        let package = package.replace('/', ".");
        let mut text = Vec::new();
        let mut limited = file.take(budget);
        limited
            .read_to_end(&mut text)
            .map_err(|error| bad(error.to_string()))?;
        budget -= text.len() as u64;
        sources.push((package, text));
    }
    Ok(Some((sources, modules)))
}

/// The environment that the program at `path` lies in.
pub(super) fn is_program_of(environment: &Environment, script: &Script) -> bool {
    environment
        .root
        .join("bin")
        .is_ok_and(|bin| script.file.parent() == Some(bin))
}
