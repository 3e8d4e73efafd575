//! What `/proc/PID/status` says about signals (`proc_pid_status(5)`).

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Whether the signal waits to be delivered to the thread or its process.
pub(super) fn is_pending(thread: Pid, signal: Signal) -> bool {
    let status = read(&thread.to_string());
    has(&status, "SigPnd:", signal) || has(&status, "ShdPnd:", signal)
}

/// Whether the thread's process handles the signal, and the thread does not block it.
pub(super) fn is_handled(thread: Pid, signal: Signal) -> bool {
    let status = read(&thread.to_string());
    has(&status, "SigCgt:", signal) && !has(&status, "SigBlk:", signal)
}

/// Whether this process ignores the signal.
pub(super) fn is_ignored(signal: Signal) -> bool {
    has(&read("self"), "SigIgn:", signal)
}

/// Whether this process handles the signal.
pub(super) fn is_caught(signal: Signal) -> bool {
    has(&read("self"), "SigCgt:", signal)
}

fn read(process: &str) -> String {
    std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default()
}

fn has(status: &str, field: &str, signal: Signal) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_a_bit_for_each_signal() {
        let status = "Name:\tx\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000020000\n";
        assert!(has(status, "ShdPnd:", Signal::SIGCONT));
        assert!(!has(status, "ShdPnd:", Signal::SIGCHLD));
        assert!(!has(status, "SigPnd:", Signal::SIGCONT));
        assert!(!has("", "SigPnd:", Signal::SIGCONT));
    }
}
