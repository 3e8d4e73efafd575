//! What happens on Ctrl-C: no temporary file stays, and a commit that has begun ends.
//!
//! Most temporary files have no name (`O_TMPFILE`) and go with the process. Those that
//! have one are registered here while they exist.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static NAMES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Read by those that commit, written by the thread that ends the program.
static COMMITS: RwLock<()> = RwLock::new(());

/// Makes SIGINT, SIGTERM and SIGHUP end the program cleanly: a running commit, a matter
/// of milliseconds, is let to its end, registered temporary names are removed, and the
/// exit code is 128 and the signal's number. A signal that was ignored when the
/// program started (nohup(1), a shell's `&`) stays ignored.
///
/// For a program, once at its start; a library that is used by another leaves signals alone.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn install() -> io::Result<()> {
    crate::trace::leave_interrupts();
    let ignored = ignored_signals();
    let wanted = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(wanted)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Never released: no commit begins any more.
                let _last = COMMITS.write().unwrap_or_else(PoisonError::into_inner);
                remove_all();
                signal_hook::low_level::exit(128 + signal);
            }
        })?;
    Ok(())
}

/// The mask of ignored signals, by proc_pid_status(5); none where it cannot be read.
fn ignored_signals() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        })
        .unwrap_or(0)
}

/// Keeps the program from being ended by a signal while the guard lives.
pub(crate) fn hold() -> RwLockReadGuard<'static, ()> {
    COMMITS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a temporary file or directory that must not stay.
pub(crate) fn register(path: &Path) {
    names(|names| names.insert(path.to_path_buf()));
}

/// Forgets one that has been removed or renamed.
pub(crate) fn unregister(path: &Path) {
    names(|names| names.remove(path));
}

fn names<T>(act: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
    act(&mut NAMES.lock().unwrap_or_else(PoisonError::into_inner))
}

fn remove_all() {
    names(|names| {
        for path in std::mem::take(names) {
            remove(&path);
        }
    });
}

/// Removes a temporary file or directory. What cannot be removed is left: the next
/// build sweeps it.
pub(crate) fn remove(path: &Path) {
    if std::fs::remove_file(path).is_err() {
        let _ = std::fs::remove_dir_all(path);
    }
}
