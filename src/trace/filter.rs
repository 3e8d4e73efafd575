//! The seccomp filter (`seccomp(2)`): a stop for the few calls that name files, and no cost to
//! speak of for all others.
//!
//! It is written out here, because a filter by [`seccompiler::SeccompFilter`] kills a process
//! of another machine's mode (a 32-bit program), which shall just run untraced.

use std::io;

use nix::libc;
use seccompiler::{BpfProgram, sock_filter};

use super::calls::{LOOKING, OPENING};

/// Which calls stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stops {
    /// Those that open, execute or change files.
    Opening,
    /// Those, and the ones that only look.
    Looking,
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const MACHINE: u32 = 0xc000_00f3;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Classes and modes of `linux/bpf_common.h`.
const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Installs the filter for this process and all that it becomes and starts. No program gains
/// privileges any more (`PR_SET_NO_NEW_PRIVS`): the kernel asks for that.
///
/// # Errors
/// When the kernel has no seccomp, or another filter forbids it.
pub(super) fn install(stops: Stops) -> io::Result<()> {
    apply(&program(stops))
}

/// Refuses calls, by their numbers, to this process and all that it becomes and starts: `EPERM`.
///
/// # Errors
/// When the kernel has no seccomp, or another filter forbids it.
pub(crate) fn refuse(calls: &[libc::c_long]) -> io::Result<()> {
    let numbers = calls.iter().filter_map(|call| u32::try_from(*call).ok());
    let refusal = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    apply(&program_of(numbers.collect(), refusal))
}

fn apply(program: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(|error| match error {
        seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
        other => io::Error::other(other),
    })
}

fn program(stops: Stops) -> BpfProgram {
    let looking = match stops {
        Stops::Opening => &[],
        Stops::Looking => LOOKING,
    };
    let numbers: Vec<u32> = OPENING
        .iter()
        .chain(looking)
        .filter_map(|call| u32::try_from(call.number).ok())
        .collect();
    program_of(numbers, libc::SECCOMP_RET_TRACE)
}

/// Answers the calls of these numbers with `action`, and lets all others run.
fn program_of(numbers: Vec<u32>, action: u32) -> BpfProgram {
    let mut program = vec![
        step(LOAD, ARCHITECTURE),
        // Of another machine's mode: on to the next instruction, which lets it run.
        jump(MACHINE, 1, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW),
        step(LOAD, NUMBER),
    ];
    let count = numbers.len();
    for (index, number) in numbers.into_iter().enumerate() {
        // Past the comparisons that are left and the instruction that lets run. The tables are
        // far shorter than the 255 instructions that a jump can pass.
        let distance = u8::try_from(count - index).unwrap_or(u8::MAX);
        program.push(jump(number, distance, 0));
    }
    program.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
    program.push(step(RETURN, action));
    program
}

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

fn jump(k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        code: JUMP_EQUAL,
        jt: yes,
        jf: no,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel's interpreter would return.
    fn judge(program: &[sock_filter], machine: u32, number: u32) -> u32 {
        let mut at = 0;
        let mut loaded = 0;
        loop {
            let step = &program[at];
            at += 1;
            match step.code {
                LOAD if step.k == NUMBER => loaded = number,
                LOAD => loaded = machine,
                JUMP_EQUAL => {
                    let offset = if loaded == step.k { step.jt } else { step.jf };
                    at += usize::from(offset);
                }
                _ => return step.k,
            }
        }
    }

    #[test]
    fn only_listed_calls_of_this_machine_stop() {
        for stops in [Stops::Opening, Stops::Looking] {
            let program = program(stops);
            for number in 0..1024 {
                let listed = OPENING.iter().any(|call| call.number == i64::from(number))
                    || stops == Stops::Looking
                        && LOOKING.iter().any(|call| call.number == i64::from(number));
                let expected = if listed {
                    libc::SECCOMP_RET_TRACE
                } else {
                    libc::SECCOMP_RET_ALLOW
                };
                assert_eq!(judge(&program, MACHINE, number), expected, "{number}");
                assert_eq!(
                    judge(&program, 0x4000_0003, number),
                    libc::SECCOMP_RET_ALLOW,
                    "a 32-bit program runs untraced"
                );
            }
        }
    }
}
