//! Apps with dependencies from package registries, and programs that take long to make: kept below
//! `target/` from one run to the next.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::tools::{run, tool};

/// How often something is fetched before it counts as not to be had.
const ATTEMPTS: u64 = 4;

/// The directory `name`, filled by `make` unless a former run has filled it by the same `recipe`:
/// a text that differs whenever `make` would fill it otherwise. It is made where it stays, as the
/// environments of Python hold their own path.
#[track_caller]
pub(crate) fn kept(name: &str, recipe: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("interop-apps");
    fs::create_dir_all(&home).unwrap();
    // Two suites at once, such as one of a debug and one of a release build, share it.
    let lock = File::create(home.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let directory = home.join(name);
    let made_by = home.join(format!("{name}.recipe"));
    if fs::read_to_string(&made_by).is_ok_and(|former| former == recipe) && directory.exists() {
        return directory;
    }
    let _ = fs::remove_file(&made_by);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir(&directory).unwrap();
    make(&directory);
    fs::write(made_by, recipe).unwrap();
    directory
}

/// Writes the text file `name` below `directory`.
pub(crate) fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Runs a command that fetches, again when the network fails it.
#[track_caller]
pub(crate) fn fetch(command: &mut Command) {
    for attempt in 1..ATTEMPTS {
        if run(command).status.success() {
            return;
        }
        std::thread::sleep(Duration::from_secs(3 * attempt));
    }
    run(command).output();
}

/// Copies a directory with its links and modes.
#[track_caller]
pub(crate) fn copy(from: &Path, to: &Path) {
    run(tool("cp").arg("-a").arg(from).arg(to)).output();
}
