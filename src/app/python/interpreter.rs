//! One installed CPython, known without running it: the landmarks of `getpath` (`lib/python3.X/os.py`
//! in a directory above the program).

use std::path::Path;

use super::error::PythonError;
use super::files::{Files, text};
use super::shebang::is_python;
use crate::ImagePath;
use crate::elf::Object;
use crate::rootfs::is_system;

/// The directory to which an interpreter moves that lies in no directory of the system.
const PREFIX: &str = "/usr/local";
/// The largest program that is searched for its version, in bytes.
const PROGRAM_LIMIT: u64 = 256 << 20;

/// An installed CPython.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// The program, no link on the way.
    pub(super) program: ImagePath,
    /// The directory in which `lib/python3.X` is found.
    pub(super) prefix: ImagePath,
    /// Where the prefix stands in the image.
    pub(super) image_prefix: ImagePath,
    /// Where the program stands in the image.
    pub(super) image_program: ImagePath,
    /// Major and minor version.
    pub(super) version: (u32, u32),
    /// All of the version that is known, such as `3.11.7`.
    pub(super) full_version: String,
    /// The name of its library directories: `python3.11`, `python3.13t`.
    pub(super) library_name: String,
    /// The standard library.
    pub(super) library: ImagePath,
    /// Where its packages are installed, in the order of `sys.path`.
    pub(super) sites: Vec<ImagePath>,
    /// What the names of extension modules for it end in, such as
    /// `.cpython-311-x86_64-linux-gnu.so`, where an extension of its own shows it.
    pub(super) suffix: Option<String>,
    release: Release,
}

/// A version with the flag of free-threaded builds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Release {
    version: (u32, u32),
    flag: &'static str,
}

impl Release {
    /// Reads `python3.13t`.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("python")?;
        let (name, flag) = match name.strip_suffix('t') {
            Some(name) => (name, "t"),
            None => (name, ""),
        };
        let (major, rest) = name.split_once('.')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let version = (major.parse().ok()?, rest.get(..digits)?.parse().ok()?);
        Some(Self { version, flag })
    }

    fn directory(&self) -> String {
        format!("python{}.{}{}", self.version.0, self.version.1, self.flag)
    }
}

impl Interpreter {
    /// What the program at the canonical path `program` is, for `app` (as shown).
    pub(super) fn at(
        files: &Files<'_>,
        app: &Path,
        program: &ImagePath,
    ) -> Result<Self, PythonError> {
        let interpreter = || files.shown(program);
        let name = program.file_name().map_or("", text);
        let is_elf = files.head(program.as_path(), 4)? == b"\x7fELF";
        if !is_elf || !is_python(name) {
            return Err(PythonError::NotCPython {
                app: app.to_path_buf(),
                interpreter: interpreter(),
            });
        }
        let release = Release::of_name(name).or_else(|| linked_release(files, program));
        let two = || PythonError::PythonTwo {
            app: app.to_path_buf(),
            interpreter: interpreter(),
        };
        if release.as_ref().is_some_and(|r| r.version.0 == 2) || name.starts_with("python2") {
            return Err(two());
        }
        let (prefix, library, release) = match landmark(files, program, release.as_ref())? {
            Some(found) => found,
            None if landmark_of_two(files, program) => return Err(two()),
            None => {
                return Err(PythonError::LibraryMissing {
                    interpreter: interpreter(),
                });
            }
        };
        let library_name = release.directory();
        let (image_prefix, image_program) = places(&prefix, program);
        Ok(Self {
            sites: sites(files, &prefix, &library_name),
            suffix: suffix(files, &library, &release),
            full_version: full_version(files, &prefix, &release),
            version: release.version,
            release,
            program: program.clone(),
            prefix,
            image_prefix,
            image_program,
            library_name,
            library,
        })
    }

    /// Whether it stands elsewhere in the image.
    pub(super) fn moves(&self) -> bool {
        self.prefix != self.image_prefix
    }

    /// `lib-dynload`, where the standard library's extension modules are.
    pub(super) fn extensions(&self) -> Option<ImagePath> {
        self.library.join("lib-dynload").ok()
    }

    /// The first version digits of the program are better known than those of an environment;
    /// where they are not known, `hint` or the program's own text tells them.
    pub(super) fn complete_version(&mut self, files: &Files<'_>, hint: Option<&str>) {
        let short = format!("{}.{}", self.version.0, self.version.1);
        if self.full_version != short {
            return;
        }
        let longer = format!("{short}.");
        if let Some(hint) = hint.filter(|hint| hint.starts_with(&longer)) {
            self.full_version = hint.to_owned();
        } else if let Some(found) = version_in_program(files, &self.program, &longer) {
            self.full_version = found;
        }
    }

    /// Whether a file of this name is an extension module, or a library, that this interpreter can
    /// load: not one built for another version.
    pub(super) fn loads(&self, name: &str) -> bool {
        let Some(at) = name.find(".cpython-") else {
            return true;
        };
        let tail = name.get(at..).unwrap_or_default();
        if !tail.ends_with(".so") {
            return true;
        }
        match &self.suffix {
            Some(suffix) => tail == suffix,
            None => {
                let Release { version, flag } = &self.release;
                let tag = format!(".cpython-{}{}{flag}", version.0, version.1);
                tail.strip_prefix(&tag)
                    .is_some_and(|rest| rest.starts_with(['-', '.', 'm', 'd']))
            }
        }
    }
}

/// Where the prefix and the program stand in the image.
fn places(prefix: &ImagePath, program: &ImagePath) -> (ImagePath, ImagePath) {
    let moved = match ImagePath::new(PREFIX) {
        Ok(moved) if !is_system(prefix) => moved,
        _ => return (prefix.clone(), program.clone()),
    };
    let relative = program.as_path().strip_prefix(prefix);
    let program = relative.ok().and_then(|relative| moved.join(relative).ok());
    let program = program.unwrap_or_else(|| moved.clone());
    (moved, program)
}

/// The version that the name of its own library tells (`libpython3.11.so.1.0`).
fn linked_release(files: &Files<'_>, program: &ImagePath) -> Option<Release> {
    let file = files.sysroot().open(program.as_path()).ok()?;
    let object = Object::read(&file).ok()?;
    object.needed.iter().find_map(|name| {
        let name = text(name).strip_prefix("lib")?;
        Release::of_name(name.split(".so").next()?)
    })
}

/// The nearest directory above the program with a standard library in it, that library, and its
/// version.
fn landmark(
    files: &Files<'_>,
    program: &ImagePath,
    release: Option<&Release>,
) -> Result<Option<(ImagePath, ImagePath, Release)>, PythonError> {
    let mut above = program.parent();
    while let Some(prefix) = above {
        let mut candidates = Vec::new();
        for lib in ["lib", "lib64"] {
            let Some(lib) = prefix.join(lib).ok().and_then(|lib| files.directory(lib)) else {
                continue;
            };
            let named = release.map(|release| vec![release.clone()]);
            for release in named.unwrap_or_else(|| releases(files, &lib)) {
                let library = lib.as_path().join(release.directory());
                if files.is_file(library.join("os.py"))
                    && let Some(library) = files.directory(&library)
                    && !candidates.iter().any(|(known, _)| *known == library)
                {
                    candidates.push((library, release));
                }
            }
        }
        match candidates.len() {
            0 => above = prefix.parent(),
            1 => {
                return Ok(candidates
                    .pop()
                    .map(|(library, release)| (prefix, library, release)));
            }
            _ => {
                return Err(PythonError::VersionUnknown {
                    interpreter: files.shown(program),
                    candidates: candidates
                        .iter()
                        .map(|(library, _)| files.shown(library).display().to_string())
                        .collect(),
                });
            }
        }
    }
    Ok(None)
}

fn releases(files: &Files<'_>, lib: &ImagePath) -> Vec<Release> {
    let names = files.names(lib);
    names
        .keys()
        .filter_map(|name| Release::of_name(text(name)))
        .filter(|release| release.version.0 == 3)
        .collect()
}

fn landmark_of_two(files: &Files<'_>, program: &ImagePath) -> bool {
    let path = program.as_path();
    path.ancestors()
        .skip(1)
        .any(|prefix| files.is_file(prefix.join("lib/python2.7/os.py")))
}

/// Where packages are installed, as `site.py` and those of the distributions have it.
fn sites(files: &Files<'_>, prefix: &ImagePath, name: &str) -> Vec<ImagePath> {
    let prefix_path = prefix.as_path();
    let mut places = Vec::new();
    if prefix_path == Path::new("/usr") {
        let local = Path::new("/usr/local");
        places.push(local.join("lib").join(name).join("dist-packages"));
        places.push(local.join("lib64").join(name).join("site-packages"));
        places.push(local.join("lib").join(name).join("site-packages"));
    }
    places.push(prefix_path.join("lib64").join(name).join("site-packages"));
    places.push(prefix_path.join("lib").join(name).join("site-packages"));
    places.push(prefix_path.join("lib/python3/dist-packages"));
    places.push(prefix_path.join("lib").join(name).join("dist-packages"));
    let mut sites = Vec::new();
    for site in places.iter().filter_map(|place| files.directory(place)) {
        if !sites.contains(&site) {
            sites.push(site);
        }
    }
    sites
}

/// The end of the names of its extension modules.
fn suffix(files: &Files<'_>, library: &ImagePath, release: &Release) -> Option<String> {
    let extensions = library.join("lib-dynload").ok()?;
    let tag = format!(
        ".cpython-{}{}{}",
        release.version.0, release.version.1, release.flag
    );
    let names = files.names(&extensions);
    names.keys().find_map(|name| {
        let name = text(name);
        let tail = name.get(name.find(&tag)?..)?;
        tail.ends_with(".so").then(|| tail.to_owned())
    })
}

/// The version to the last digit, where the prefix or a header says it; else the short one.
fn full_version(files: &Files<'_>, prefix: &ImagePath, release: &Release) -> String {
    let short = format!("{}.{}", release.version.0, release.version.1);
    let longer = format!("{short}.");
    // ~/.pyenv/versions/3.11.7, ~/.local/share/uv/python/cpython-3.12.1-linux-x86_64-gnu
    let name = prefix.file_name().map_or("", text);
    let named = name
        .split('-')
        .find(|part| part.starts_with(&longer) && ends_in_digit(part));
    if let Some(version) = named {
        return version.to_owned();
    }
    let header = prefix
        .as_path()
        .join("include")
        .join(release.directory())
        .join("patchlevel.h");
    let header = files.read(header).unwrap_or_default();
    String::from_utf8_lossy(&header)
        .lines()
        .find_map(|line| line.strip_prefix("#define PY_VERSION"))
        .and_then(|rest| rest.split('"').nth(1))
        .filter(|version| version.starts_with(&longer))
        .map_or(short, str::to_owned)
}

fn ends_in_digit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

/// The string constant `PY_VERSION` in the program: `3.11.2` between two NUL bytes.
fn version_in_program(files: &Files<'_>, program: &ImagePath, start: &str) -> Option<String> {
    let bytes = files
        .sysroot()
        .read(program.as_path(), PROGRAM_LIMIT)
        .ok()?;
    let mut rest = &bytes[..];
    while let Some(at) = rest.iter().position(|byte| *byte == 0) {
        rest = rest.get(at + 1..)?;
        if !rest.starts_with(start.as_bytes()) {
            continue;
        }
        let length = rest.iter().take(16).position(|byte| *byte == 0)?;
        let version = std::str::from_utf8(rest.get(..length)?).ok()?;
        if version
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'+')
        {
            return Some(version.to_owned());
        }
    }
    None
}
