//! A process that keeps nothing of the one that started it.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::SigSet;
use rustix::process::{Resource, Rlimit, Signal};

/// The signals for which no handler can be set, nor need be.
const FIXED: &[i32] = signal_hook::consts::FORBIDDEN;

/// Makes the kernel kill this process when the thread that started it ends.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(
        Signal::KILL,
    ))?)
}

/// Closes what was inherited beyond the three standard streams. To be called before this
/// process opens anything.
pub(super) fn close_inherited() -> io::Result<()> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // The one that listed them is closed by now.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Unblocks all signals, and makes the next execve(2) give those that are ignored their
/// default effect: it does so to signals that have a handler, and not to ignored ones.
pub(super) fn reset_signals() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = signal_set(&status, "SigIgn:");
    for signal in (1..=64).filter(|signal| ignored >> (signal - 1) & 1 == 1) {
        if !FIXED.contains(&signal) {
            // The C library keeps a few real-time signals for itself.
            let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
        }
    }
    Ok(())
}

/// Whether a process has a handler for SIGTERM. The first process of a pid namespace gets no
/// signal that it has no handler for (`pid_namespaces(7)`).
pub(super) fn handles_term(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    signal_set(&status, "SigCgt:") >> (signal_hook::consts::SIGTERM - 1) & 1 == 1
}

/// No core file, which this machine would write or handle.
pub(super) fn forbid_core_files() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // To lower a limit is always allowed.
    let _ = rustix::process::setrlimit(Resource::Core, none);
}

/// A line of `proc_pid_status(5)` that is a set of signals.
fn signal_set(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}
