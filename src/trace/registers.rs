//! What a stopped thread has in its registers (`syscall(2)`, the table of calling conventions).

use nix::unistd::Pid;

/// A system call at its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of the call.
    pub(super) number: i64,
    /// Its arguments.
    pub(super) arguments: [u64; 6],
}

/// The call that the thread is about to make; `None` when it has gone.
#[cfg(target_arch = "x86_64")]
pub(super) fn entry(thread: Pid) -> Option<Entry> {
    let registers = nix::sys::ptrace::getregs(thread).ok()?;
    Some(Entry {
        number: registers.orig_rax.cast_signed(),
        arguments: [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ],
    })
}

/// What the call that the thread has just made returned: a number from -4095 to -1 is an error.
#[cfg(target_arch = "x86_64")]
pub(super) fn result(thread: Pid) -> Option<i64> {
    let registers = nix::sys::ptrace::getregs(thread).ok()?;
    Some(registers.rax.cast_signed())
}

/// The call that the thread is about to make; `None` when it has gone.
#[cfg(target_arch = "aarch64")]
pub(super) fn entry(thread: Pid) -> Option<Entry> {
    let r = nix::sys::ptrace::getregs(thread).ok()?.regs;
    Some(Entry {
        number: r[8].cast_signed(),
        arguments: [r[0], r[1], r[2], r[3], r[4], r[5]],
    })
}

/// What the call that the thread has just made returned: a number from -4095 to -1 is an error.
#[cfg(target_arch = "aarch64")]
pub(super) fn result(thread: Pid) -> Option<i64> {
    let registers = nix::sys::ptrace::getregs(thread).ok()?;
    Some(registers.regs[0].cast_signed())
}

/// The call that the thread is about to make; `None` when it has gone. The kernel keeps the
/// first argument where ptrace does not show it, but in `/proc/PID/syscall`.
#[cfg(target_arch = "riscv64")]
pub(super) fn entry(thread: Pid) -> Option<Entry> {
    let line = std::fs::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
    parse(&line)
}

/// What the call that the thread has just made returned: a number from -4095 to -1 is an error.
#[cfg(all(target_arch = "riscv64", target_env = "gnu"))]
pub(super) fn result(thread: Pid) -> Option<i64> {
    let registers = nix::sys::ptrace::getregs(thread).ok()?;
    Some(registers.a0.cast_signed())
}

/// Not told by the libraries that this is built on.
#[cfg(all(target_arch = "riscv64", not(target_env = "gnu")))]
pub(super) fn result(_thread: Pid) -> Option<i64> {
    None
}

/// `56 0xffffff9c 0x7f… … SP PC` (proc_pid_syscall(5)).
#[cfg(any(target_arch = "riscv64", test))]
fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut arguments = [0; 6];
    for argument in &mut arguments {
        *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some(Entry { number, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_about_a_call_is_read() {
        let line = "56 0xffffff9c 0x2b1 0x0 0x1b6 0x0 0x1 0x7ffd0 0x7f12\n";
        assert_eq!(
            parse(line),
            Some(Entry {
                number: 56,
                arguments: [0xffff_ff9c, 0x2b1, 0, 0x1b6, 0, 1],
            })
        );
        assert_eq!(parse("running\n"), None);
        assert_eq!(parse("-1 0x7ffd0 0x7f12\n"), None);
    }
}
