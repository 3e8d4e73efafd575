//! What the kernel opens by itself when it executes a program (`execve(2)`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::elf::{Class, Object};
use crate::sysroot::{Directory, Sysroot};

/// How much of a script the kernel looks at (`BINPRM_BUF_SIZE`), in bytes.
const LINE_LIMIT: usize = 256;
/// How often the interpreter of a script may be a script itself.
const DEPTH_LIMIT: usize = 5;

/// A program, as far as it matters to a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Started {
    /// The interpreters of its `#!` line and of `PT_INTERP`, in the order of use.
    pub(super) interpreters: Vec<PathBuf>,
    /// It is a 32-bit program, of which the calls are not seen.
    narrow: bool,
    /// It would get other rights, which it does not get under trace.
    privileged: bool,
}

impl Started {
    /// What the trace of `program` cannot tell.
    pub(super) fn notices(&self, program: &Path) -> Vec<String> {
        let mut notices = Vec::new();
        if self.narrow {
            notices.push(format!(
                "{} is a 32-bit program, which runs untraced: add the files that it needs with \
                 --include",
                program.display()
            ));
        }
        if self.privileged {
            notices.push(format!(
                "{} is a setuid or setgid program, which gets no privileges under trace: what it \
                 does with them was not seen",
                program.display()
            ));
        }
        notices
    }
}

/// Looks at the program at the absolute path `program`. What cannot be read has no interpreter.
pub(super) fn look(program: &Path) -> Started {
    let mut started = Started::default();
    let Ok(host) = Directory::host() else {
        return started;
    };
    let mut next = program.to_path_buf();
    for _ in 0..DEPTH_LIMIT {
        let Ok(file) = host.open(&next) else {
            break;
        };
        started.privileged |= file.mode & 0o6000 != 0;
        let mut head = [0; LINE_LIMIT];
        let Ok(count) = file.read_at(&mut head, 0) else {
            break;
        };
        if let Some(interpreter) = head.get(..count).and_then(script_interpreter) {
            started.interpreters.push(interpreter.clone());
            next = interpreter;
            continue;
        }
        if let Ok(object) = Object::read(&file) {
            started.narrow |= object.machine.class == Class::Elf32;
            started.interpreters.extend(object.interpreter);
        }
        break;
    }
    started
}

/// The path in a `#!` line.
fn script_interpreter(head: &[u8]) -> Option<PathBuf> {
    let line = head.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let path = line
        .split(|byte| matches!(byte, b' ' | b'\t' | 0))
        .find(|word| !word.is_empty())?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn scripts_lead_to_their_interpreters_and_those_to_the_loader() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        let outer = directory.path().join("outer");
        std::fs::write(&inner, "#! /bin/sh -e\n").unwrap();
        std::fs::write(&outer, format!("#!{}\n", inner.display())).unwrap();
        let started = look(&outer);
        assert_eq!(started.interpreters.first().unwrap(), &inner);
        assert_eq!(started.interpreters.get(1).unwrap(), Path::new("/bin/sh"));
        assert!(started.notices(&outer).is_empty());
    }

    #[test]
    fn a_script_that_is_its_own_interpreter_ends() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("loop");
        std::fs::write(&script, format!("#!{}\n", script.display())).unwrap();
        assert_eq!(look(&script).interpreters.len(), DEPTH_LIMIT);
        assert_eq!(look(Path::new("/none")), Started::default());
    }

    #[test]
    fn an_empty_line_names_nothing() {
        assert_eq!(script_interpreter(b"#! \n/bin/sh"), None);
        assert_eq!(script_interpreter(b"\x7fELF"), None);
        assert_eq!(
            script_interpreter(b"#!/bin/a b\n"),
            Some(PathBuf::from("/bin/a"))
        );
    }
}
