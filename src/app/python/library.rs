//! The interpreter and its standard library.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use super::error::PythonError;
use super::files::{Files, Item, Target, text};
use super::gather::{Gathered, Group};
use super::graph::Graph;
use super::interpreter::Interpreter;
use crate::ImagePath;
use crate::app::companion::Role;
use crate::elf::Object;

/// Packages that only come along when they are imported.
const UNLESS_IMPORTED: [&str; 9] = [
    "distutils",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tkinter",
    "turtle.py",
    "turtledemo",
];

/// What the interpreter imports before the app, or to start it.
pub(super) const START: [&str; 30] = [
    "_collections_abc",
    "_sitebuiltins",
    "abc",
    "codecs",
    "contextlib",
    "encodings",
    "encodings.aliases",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_8",
    "genericpath",
    "importlib",
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    "importlib.abc",
    "importlib.machinery",
    "importlib.util",
    "io",
    "linecache",
    "os",
    "posixpath",
    "runpy",
    "site",
    "sitecustomize",
    "stat",
    "traceback",
    "usercustomize",
    "warnings",
    "zipimport",
];

/// Takes the program and the standard library.
pub(super) fn gather(
    files: &Files<'_>,
    interpreter: &Interpreter,
    graph: &Graph,
    gathered: &mut Gathered<'_>,
) -> Result<(), PythonError> {
    let (major, minor) = interpreter.version;
    program(files, interpreter, gathered)?;
    let group = Group::runtime(format!("the standard library of Python {major}.{minor}"));
    let Some(place) = library_place(interpreter) else {
        return Ok(());
    };
    let walked = files.walk(&interpreter.library, |relative, _, item| {
        is_wanted(relative, item.is_directory(), graph)
    })?;
    for found in &walked {
        let role = role(&found.relative, graph);
        gathered.walked(&group, &place, &interpreter.library, found, role)?;
    }
    Ok(())
}

fn program(
    files: &Files<'_>,
    interpreter: &Interpreter,
    gathered: &mut Gathered<'_>,
) -> Result<(), PythonError> {
    let group = Group::runtime(format!(
        "the interpreter, Python {}",
        interpreter.full_version
    ));
    let path = interpreter.image_program.clone();
    match files.file(&interpreter.program) {
        Some((from, facts)) => gathered.file(&group, path, &from, &facts, Role::Object),
        None => Ok(()),
    }
}

/// Where the standard library stands in the image.
fn library_place(interpreter: &Interpreter) -> Option<ImagePath> {
    let library = interpreter.library.as_path();
    match library.strip_prefix(&interpreter.prefix) {
        Ok(relative) => interpreter.image_prefix.join(relative).ok(),
        Err(_) => Some(interpreter.library.clone()),
    }
}

fn is_wanted(relative: &Path, is_directory: bool, graph: &Graph) -> bool {
    let name = relative.file_name().map_or("", text);
    let is_top = relative.components().count() == 1;
    if is_directory {
        return match name {
            "__pycache__" => false,
            "site-packages" | "dist-packages" => !is_top,
            "test" | "tests" => graph.has(&dotted(relative)),
            _ if is_top && name.starts_with("config-") => false,
            _ if is_top && UNLESS_IMPORTED.contains(&name) => graph.has(name),
            _ => true,
        };
    }
    if relative.starts_with("lib-dynload") {
        return is_extension_wanted(module_of(name), graph);
    }
    match name {
        "EXTERNALLY-MANAGED" => false,
        _ if is_top && UNLESS_IMPORTED.contains(&name) => graph.has(module_of(name)),
        _ => !name.ends_with(".exe") && !name.ends_with(".a"),
    }
}

fn is_extension_wanted(module: &str, graph: &Graph) -> bool {
    let is_for_tests = ["_test", "_xx", "xx", "_ctypes_test"]
        .iter()
        .any(|start| module.starts_with(start));
    match module {
        "_tkinter" => graph.has("tkinter") || graph.has(module),
        _ => !is_for_tests || graph.has(module),
    }
}

/// The module that a file of this name is.
fn module_of(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn dotted(relative: &Path) -> String {
    let parts: Vec<&str> = relative.iter().map(text).collect();
    parts.join(".")
}

/// An extension that the app imports must work; of the others, those that can.
fn role(relative: &Path, graph: &Graph) -> Role {
    let name = relative.file_name().map_or("", text);
    if !name.ends_with(".so") {
        return Role::Data;
    }
    match graph.has(module_of(name)) {
        true => Role::Object,
        false => Role::Optional,
    }
}

/// Takes the libraries in the `lib` of an interpreter that moves which it, or an extension module
/// that was gathered, needs: `libpython3.11.so.1.0` of pyenv, `libssl` of conda. Returns whether
/// there are any.
pub(super) fn gather_libraries(
    files: &Files<'_>,
    interpreter: &Interpreter,
    gathered: &mut Gathered<'_>,
) -> Result<bool, PythonError> {
    let group = Group::runtime(format!(
        "the libraries of Python {}",
        interpreter.full_version
    ));
    let (Some(lib), Ok(place)) = (
        interpreter
            .prefix
            .join("lib")
            .ok()
            .and_then(|lib| files.directory(lib)),
        interpreter.image_prefix.join("lib"),
    ) else {
        return Ok(false);
    };
    let listing = files.list(&lib)?;
    let mut taken: BTreeSet<&OsStr> = BTreeSet::new();
    let mut pending = gathered.objects().to_vec();
    while let Some(object) = pending.pop() {
        for name in needed(files, &object) {
            let Some((name, item)) = listing.get_key_value(name.as_os_str()) else {
                continue;
            };
            if !item.is_file() || !taken.insert(name) {
                continue;
            }
            let (from, facts) = match item {
                Item::File(facts) => (lib.join(name).ok(), facts),
                Item::Link {
                    target,
                    leads_to: Target::File(facts),
                    ..
                } => (Some(target.clone()), facts),
                _ => continue,
            };
            if let (Some(from), Ok(path)) = (from, place.join(name)) {
                gathered.file(&group, path, &from, facts, Role::Object)?;
                pending.push(from);
            }
        }
    }
    Ok(!taken.is_empty())
}

/// The names of the libraries that a file needs; none when it is no ELF object.
fn needed(files: &Files<'_>, object: &ImagePath) -> Vec<std::ffi::OsString> {
    let object = files
        .sysroot()
        .open(object.as_path())
        .ok()
        .map(|file| Object::read(&file));
    match object {
        Some(Ok(object)) => object.needed,
        _ => Vec::new(),
    }
}

/// Modules of which the name is worked out when `sysconfig` is used.
pub(super) fn build_data(files: &Files<'_>, interpreter: &Interpreter) -> Vec<ImagePath> {
    let names = files.names(&interpreter.library);
    names
        .keys()
        .filter(|name| text(name).starts_with("_sysconfigdata") && text(name).ends_with(".py"))
        .filter_map(|name| interpreter.library.join(name).ok())
        .collect()
}

/// Whether a module of this name may be compiled into the interpreter, or is one of another system:
/// that no file has it says nothing.
pub(super) fn is_built_in(name: &str) -> bool {
    const NAMES: [&str; 36] = [
        "array",
        "atexit",
        "audioop",
        "binascii",
        "builtins",
        "cmath",
        "errno",
        "faulthandler",
        "fcntl",
        "gc",
        "grp",
        "itertools",
        "marshal",
        "math",
        "mmap",
        "msvcrt",
        "nis",
        "nt",
        "ossaudiodev",
        "posix",
        "pwd",
        "pyexpat",
        "readline",
        "resource",
        "select",
        "spwd",
        "sys",
        "syslog",
        "termios",
        "time",
        "unicodedata",
        "winreg",
        "winsound",
        "xxsubtype",
        "zlib",
        "__main__",
    ];
    name.starts_with('_') || NAMES.contains(&name)
}
