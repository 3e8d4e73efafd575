//! Reading what a program prints when it fails.

use std::path::{Path, PathBuf};

use super::Cause;

/// Looks for what is precise first, whatever comes after it; then for the last line that names a
/// file and an error.
pub(super) fn find(text: &str, workdir: &Path) -> Option<Cause> {
    let lines = || text.lines().rev().map(str::trim);
    lines()
        .find_map(loader)
        .or_else(|| lines().find_map(runtime))
        .or_else(|| lines().find_map(port))
        .or_else(|| lines().find_map(|line| system_error(line, workdir)))
}

/// Messages of glibc's `elf/dl-*.c` and musl's `ldso/dynlink.c`.
fn loader(line: &str) -> Option<Cause> {
    missing_library(line)
        .or_else(|| missing_version(line))
        .or_else(|| missing_symbol(line))
}

fn missing_library(line: &str) -> Option<Cause> {
    // libz.so.1: cannot open shared object file: No such file or directory
    if let Some((before, _)) =
        line.split_once(": cannot open shared object file: No such file or directory")
    {
        return Some(Cause::Library {
            name: last_word(before).to_owned(),
            needed_by: None,
        });
    }
    // Error loading shared library libz.so.1: No such file or directory (needed by /app/app)
    let (_, rest) = line.split_once("Error loading shared library ")?;
    let (name, reason) = rest.split_once(": ")?;
    reason
        .starts_with("No such file or directory")
        .then(|| Cause::Library {
            name: name.to_owned(),
            needed_by: between(reason, "(needed by ", ")").map(str::to_owned),
        })
}

fn missing_version(line: &str) -> Option<Cause> {
    // /app/app: /lib/libc.so.6: version `GLIBC_2.38' not found (required by /app/app)
    let (before, rest) = line.split_once(": version `")?;
    let (version, rest) = rest.split_once("' not found")?;
    Some(Cause::Version {
        version: version.to_owned(),
        library: last_word(before).to_owned(),
        needed_by: between(rest, "(required by ", ")").map(str::to_owned),
    })
}

fn missing_symbol(line: &str) -> Option<Cause> {
    // /app/app: symbol lookup error: /app/app: undefined symbol: foo, version BAR
    if let Some((before, rest)) = line.split_once(": undefined symbol: ") {
        let symbol = rest.split([',', ' ']).next().unwrap_or(rest);
        return Some(Cause::Symbol {
            symbol: symbol.to_owned(),
            object: last_word(before).to_owned(),
        });
    }
    // Error relocating /app/app: foo: symbol not found
    let (_, rest) = line.split_once("Error relocating ")?;
    let (object, rest) = rest.split_once(": ")?;
    let symbol = rest.strip_suffix(": symbol not found")?;
    Some(Cause::Symbol {
        symbol: symbol.to_owned(),
        object: object.to_owned(),
    })
}

/// Messages of language runtimes about their own modules.
fn runtime(line: &str) -> Option<Cause> {
    python(line).or_else(|| node(line)).or_else(|| java(line))
}

fn python(line: &str) -> Option<Cause> {
    // `tempfile`, which names all the places that it tried.
    if line.contains("No usable temporary directory found in ") {
        return Some(Cause::ReadOnly("/tmp".into()));
    }
    // Servers name what they were told to serve in words of their own. In `/` the directory `/app`
    // is a package without a file to Python, so that a module `app` is found and has nothing in it.
    let server = [
        // gunicorn: Failed to find attribute 'app' in 'main'.
        ("Failed to find attribute ", " in "),
        // uvicorn: Attribute "app" not found in module "main".
        (
            "Error loading ASGI app. Attribute ",
            " not found in module ",
        ),
        ("Error loading ASGI app. Could not import module ", ""),
        // Flask
        ("Failed to find Flask application or factory in module ", ""),
        ("Error: Could not import ", ""),
    ]
    .iter()
    .find_map(|(start, middle)| Some(line.split_once(start)?.1.split_once(middle)?.1));
    let rest = server.or_else(|| Some(line.split_once("No module named ")?.1))?;
    let name = rest.trim_start_matches(['\'', '"']);
    let name = name.split(['\'', '"', ';', ' ']).next()?;
    (!name.is_empty()).then(|| Cause::PythonModule(name.to_owned()))
}

fn node(line: &str) -> Option<Cause> {
    let (_, rest) = line
        .split_once("Cannot find module '")
        .or_else(|| line.split_once("Cannot find package '"))?;
    let (name, _) = rest.split_once('\'')?;
    Some(Cause::NodeModule(name.to_owned()))
}

fn java(line: &str) -> Option<Cause> {
    if let Some((_, rest)) = line.split_once("java.lang.UnsupportedClassVersionError: ") {
        return Some(Cause::JavaVersion(rest.to_owned()));
    }
    let class = [
        "java.lang.ClassNotFoundException: ",
        "java.lang.NoClassDefFoundError: ",
    ]
    .iter()
    .find_map(|name| Some(line.split_once(name)?.1))
    .or_else(|| {
        let rest = line.strip_prefix("Error: Could not find or load main class ")?;
        Some(rest)
    })?;
    // `Could not initialize class` is another failure.
    let class = class.split_whitespace().next()?;
    let is_class = class
        .chars()
        .all(|c| c.is_alphanumeric() || "./_$".contains(c));
    (is_class && !class.starts_with("Could")).then(|| Cause::JavaClass(class.replace('/', ".")))
}

/// nginx: `bind() to 0.0.0.0:80 failed (13: Permission denied)`; Node.js:
/// `listen EACCES: permission denied 0.0.0.0:80`; Go: `listen tcp :80: bind: permission denied`.
fn port(line: &str) -> Option<Cause> {
    let lower = line.to_ascii_lowercase();
    let denied = lower.contains("permission denied");
    let listens = ["bind", "listen "].iter().any(|word| lower.contains(word));
    if !denied || !listens {
        return None;
    }
    let number = line
        .split([' ', '"', '\'', '(', ')', ','])
        .filter_map(|word| word.trim_end_matches(':').rsplit_once(':'))
        .find_map(|(_, number)| number.parse().ok());
    Some(Cause::Port(number))
}

/// The words of strerror(3), and of those that have their own.
const NOT_THERE: [&str; 3] = ["no such file or directory", "enoent", "nosuchfileexception"];
const READ_ONLY: [&str; 2] = ["read-only file system", "erofs"];
const DENIED: [&str; 3] = ["permission denied", "eacces", "accessdeniedexception"];

/// A path and an error in one line.
fn system_error(line: &str, workdir: &Path) -> Option<Cause> {
    let lower = line.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let make: fn(PathBuf) -> Cause = if says(&READ_ONLY) {
        Cause::ReadOnly
    } else if says(&DENIED) {
        Cause::Denied
    } else if says(&NOT_THERE) {
        Cause::File
    } else {
        return None;
    };
    path_in(line).map(|path| make(workdir.join(path)))
}

/// The path that a message is about: in quotes where there are any, else the last word that
/// looks like one.
fn path_in(line: &str) -> Option<&str> {
    let quoted = ['\'', '"', '`'].iter().find_map(|quote| {
        let (_, rest) = line.split_once(*quote)?;
        let (inner, _) = rest.split_once(['\'', '"'])?;
        looks_like_path(inner).then_some(inner)
    });
    let plain = || {
        line.split([' ', '\t', ',', ';', '(', ')'])
            .map(|word| word.trim_end_matches([':', '.']))
            .rfind(|word| word.starts_with('/') && looks_like_path(word))
    };
    quoted.or_else(plain)
}

fn looks_like_path(text: &str) -> bool {
    let is_path = text.contains('/') || text.contains('.');
    is_path && text.len() > 1 && text.len() < 4096 && !text.contains("://")
}

/// The last word before a message: `app: error while loading shared libraries: libz.so.1`.
fn last_word(text: &str) -> &str {
    let text = text.rsplit(": ").next().unwrap_or(text);
    text.split_whitespace()
        .next_back()
        .unwrap_or(text)
        .trim_matches(['\'', '"', '(', '['])
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}
