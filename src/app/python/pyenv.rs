//! The shims of pyenv: scripts that start the Python that a file or a variable names.

use std::path::{Path, PathBuf};

use super::files::{Files, text};

/// The directory of pyenv, if `path` is one of its shims.
pub(super) fn root_of_shim(files: &Files<'_>, path: &Path) -> Option<PathBuf> {
    let shims = path.parent()?;
    let root = shims.parent()?;
    if shims.file_name()? != "shims" {
        return None;
    }
    let head = files.head(path, 1024).ok()?;
    let head = String::from_utf8_lossy(&head);
    (head.starts_with("#!") && head.contains("pyenv")).then(|| root.to_path_buf())
}

/// The program `name` that pyenv at `root` starts for an app in `directory`: of the version in
/// `$PYENV_VERSION`, a `.python-version` above the app, or pyenv's own `version`.
pub(super) fn program(
    files: &Files<'_>,
    root: &Path,
    name: &str,
    directory: &Path,
    wanted: Option<&str>,
) -> Option<PathBuf> {
    let chosen = match wanted.filter(|wanted| !wanted.is_empty()) {
        Some(wanted) => versions(wanted),
        None => directory
            .ancestors()
            .map(|directory| directory.join(".python-version"))
            .chain([root.join("version")])
            .filter_map(|file| files.read(file).ok())
            .map(|bytes| versions(&String::from_utf8_lossy(&bytes)))
            .find(|versions| !versions.is_empty())?,
    };
    chosen
        .iter()
        .filter_map(|version| installed(files, root, version))
        .map(|version| version.join("bin").join(name))
        .find(|program| files.is_file(program))
}

/// Versions stand one in a line, or between colons.
fn versions(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.split([':', ' ', '\t']))
        .map(|version| version.trim().trim_start_matches("python-").to_owned())
        .filter(|version| !version.is_empty() && !version.contains('/'))
        .collect()
}

/// Where a version is: under its own name, or the latest that begins with it (`3.11`).
fn installed(files: &Files<'_>, root: &Path, version: &str) -> Option<PathBuf> {
    let versions = root.join("versions");
    let exact = versions.join(version);
    if files.directory(&exact).is_some() {
        return Some(exact);
    }
    let names = files.names(&files.directory(&versions)?);
    let start = format!("{version}.");
    let latest = names
        .keys()
        .map(|name| text(name))
        .filter(|name| name.starts_with(&start))
        .max_by_key(|name| {
            name.split('.')
                .map(|part| part.parse::<u32>().unwrap_or(0))
                .collect::<Vec<_>>()
        })?;
    Some(versions.join(latest))
}
