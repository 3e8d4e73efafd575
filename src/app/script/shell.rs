//! Scripts that a shell runs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::super::{Interpreter, Scene, is_executable};
use crate::sysroot::{Node, OpenFile, Sysroot, trace};

/// Programs whose scripts are made of other programs.
const SHELLS: [&str; 21] = [
    "ash", "bash", "csh", "dash", "elvish", "fish", "hush", "ksh", "ksh93", "lksh", "mksh", "nu",
    "oksh", "pdksh", "posh", "pwsh", "rbash", "sh", "tcsh", "yash", "zsh",
];
/// Programs that are a shell when they are called by the name of one, or told to be.
const BOXES: [&str; 2] = ["busybox", "toybox"];
/// The longest script that is taken for one that only starts a program, in bytes.
const WRAPPER_LIMIT: usize = 16 << 10;

fn is_any(name: &OsStr, of: &[&str]) -> bool {
    of.iter().any(|one| name == *one)
}

/// Whether the interpreter is a shell, by the name that it is started by, or of its file.
pub(super) fn is_shell(sysroot: &dyn Sysroot, interpreter: &Interpreter) -> bool {
    let Some(name) = interpreter.path.file_name() else {
        return false;
    };
    if is_any(name, &BOXES) {
        let applet = interpreter.argument.as_deref().map(OsStrExt::as_bytes);
        let word = applet.and_then(|text| text.split(u8::is_ascii_whitespace).next());
        // `env -S "busybox sh"` gives the box alone: without an applet it does nothing.
        return word.is_none_or(|word| is_any(OsStr::from_bytes(word), &SHELLS));
    }
    let file = trace(sysroot, &interpreter.path).map(|trace| trace.target);
    is_any(name, &SHELLS)
        || file.is_ok_and(|file| file.file_name().is_some_and(|name| is_any(name, &SHELLS)))
}

/// The program that a script starts, when it does nothing else but set variables and options.
pub(super) fn wrapped_program(file: &OpenFile, scene: &Scene<'_>) -> Option<PathBuf> {
    let mut text = vec![0; WRAPPER_LIMIT];
    let length = file.read_at(&mut text, 0).ok()?;
    if length == WRAPPER_LIMIT {
        return None;
    }
    text.truncate(length);
    let name = started_by(&text)?;
    let found = match name.as_bytes().contains(&b'/') {
        true => Some(PathBuf::from(name)).filter(|path| path.is_absolute()),
        false => {
            let mut paths = scene.search.iter().map(|directory| directory.join(&name));
            paths.find(|path| runs(scene.sysroot, path))
        }
    };
    found.map(|path| scene.display(&path))
}

fn runs(sysroot: &dyn Sysroot, path: &Path) -> bool {
    trace(sysroot, path)
        .is_ok_and(|trace| matches!(trace.node, Node::File(facts) if is_executable(facts.mode)))
}

/// The word behind the only `exec`, when all lines before it set something and none follows.
fn started_by(text: &[u8]) -> Option<OsString> {
    let mut program = None;
    for line in joined_lines(text) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if program.is_some() {
            return None;
        }
        match line
            .strip_prefix(b"exec")
            .filter(|rest| starts_with_blank(rest))
        {
            Some(rest) => program = Some(plain_command(rest.trim_ascii_start())?),
            None if is_setting(line) => {}
            None => return None,
        }
    }
    program
}

/// The lines, those that end in a backslash with the one after.
fn joined_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut goes_on = false;
    for line in text.split(|byte| *byte == b'\n') {
        let (line, more) = match line.strip_suffix(b"\\") {
            Some(line) => (line, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.extend_from_slice(line),
            None => lines.push(line.to_vec()),
        }
        goes_on = more;
    }
    lines
}

fn starts_with_blank(text: &[u8]) -> bool {
    text.first()
        .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
}

/// `set -e`, `umask 022`, `NAME=value`, `export NAME=value`: of one command, and without another
/// one in it.
fn is_setting(line: &[u8]) -> bool {
    let words = super::split(line);
    let sets = match words.split_first() {
        Some((first, rest)) => match first.as_slice() {
            b"set" | b"umask" | b"ulimit" => true,
            b"export" | b"readonly" => rest.iter().all(|word| is_name(word) || is_assignment(word)),
            _ => words.iter().all(|word| is_assignment(word)),
        },
        None => true,
    };
    sets && is_one_command(line)
}

fn is_assignment(word: &[u8]) -> bool {
    let equals = word.iter().position(|byte| *byte == b'=');
    equals.and_then(|at| word.get(..at)).is_some_and(is_name)
}

fn is_name(word: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !word.is_empty() && word.iter().all(plain)
}

fn is_one_command(line: &[u8]) -> bool {
    let runs_more = |byte: &u8| matches!(byte, b';' | b'&' | b'|' | b'`' | b'<' | b'>');
    let substitutes = line.windows(2).any(|pair| pair == b"$(");
    !line.iter().any(runs_more) && !substitutes
}

/// The program of a command, when it is spelled out and nothing else is started.
fn plain_command(line: &[u8]) -> Option<OsString> {
    if !is_one_command(line) {
        return None;
    }
    let word = super::split(line).into_iter().next()?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(byte);
    let good = !word.is_empty() && !word.starts_with(b"-") && word.iter().all(plain);
    good.then(|| OsString::from_vec(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(text: &str) -> Option<String> {
        let name = started_by(text.as_bytes())?;
        Some(name.to_string_lossy().into_owned())
    }

    #[test]
    fn a_wrapper_is_told_from_a_script_that_works() {
        for wrapper in [
            "#!/bin/sh\nexec /usr/lib/x/x \"$@\"\n",
            "#!/bin/sh\n# why\n\nset -e\nLANG=C\nexport LANG\nexport A=b B='c d'\nexec \"/usr/lib/x/x\" --flag $ARGS",
            "#!/bin/sh\nexec \\\n  /usr/lib/x/x \\\n  -v\n\n",
            "#!/bin/bash\numask 022\nreadonly HOME_DIR=\"$HOME/x\"\nexec\t/usr/lib/x/x\n",
        ] {
            assert_eq!(
                started(wrapper).as_deref(),
                Some("/usr/lib/x/x"),
                "{wrapper}"
            );
        }
        for script in [
            "#!/bin/sh\necho hello\n",
            "#!/bin/sh\nmkdir -p /x\nexec /x/y\n",
            "#!/bin/sh\nX=$(date)\nexec /x/y\n",
            "#!/bin/sh\nexec /x/y | cat\n",
            "#!/bin/sh\nexec \"$PROGRAM\"\n",
            "#!/bin/sh\nexec $(which y)\n",
            "#!/bin/sh\nexec 2>/dev/null\n",
            "#!/bin/sh\nif true; then\nexec /x/y\nfi\n",
            "#!/bin/sh\nexec /x/y\nexec /x/z\n",
            "#!/bin/sh\nexec -a name /x/y\n",
            "#!/bin/sh\nexecute /x/y\n",
            "#!/bin/sh\nLANG=C ls /x\nexec /x/y\n",
            "",
        ] {
            assert_eq!(started(script), None, "{script}");
        }
    }
}
