//! The first lines of a script, as far as they say which Python runs it: `execve(2)`, GNU
//! `env(1)`, and the `/bin/sh` line that pip and uv write where the kernel's line would be too
//! long.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How much of a script is looked at, in bytes: the path in a `/bin/sh` trampoline is a long one.
pub(super) const HEAD: usize = 8192;

/// What the head of a script says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shebang {
    pub(super) interpreter: Asked,
    /// Options for the interpreter.
    pub(super) options: Vec<String>,
    /// Variables that `env -S` sets.
    pub(super) variables: Vec<(String, String)>,
    /// How many bytes the head has, its last newline included.
    pub(super) length: usize,
}

/// How the interpreter is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// By its path.
    Path(PathBuf),
    /// By a name that `env` looks for.
    Name(String),
    /// By a name in the directory of the script itself (`uv venv --relocatable`).
    Beside(String),
}

impl Asked {
    /// The name of the interpreter's file.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Path(path) => path.file_name().map_or("", super::files::text),
            Self::Name(name) | Self::Beside(name) => name,
        }
    }
}

/// Whether a program of this name is CPython: `python`, `python3`, `python3.13t`, `python3-dbg`.
pub(super) fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|rest| {
        let rest = rest.strip_suffix("-dbg").unwrap_or(rest);
        let version = rest.trim_end_matches(['t', 'd', 'm', 'u']);
        rest.len() - version.len() <= 2
            && (version.is_empty() || version.starts_with(|c: char| c.is_ascii_digit()))
            && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    })
}

/// Reads the head of a script; `None` when it does not start with `#!` and a program.
pub(super) fn parse(head: &[u8]) -> Option<Shebang> {
    let text = head.strip_prefix(b"#!")?;
    let (line, length) = line_of(text);
    let length = length + 2;
    let words: Vec<&[u8]> = line
        .splitn(2, |byte| is_blank(*byte))
        .map(<[u8]>::trim_ascii)
        .collect();
    let program = Path::new(OsStr::from_bytes(words.first()?));
    let argument = words.get(1).copied().unwrap_or_default();
    let name = program.file_name()?;
    if name == "sh" && argument.is_empty() {
        return Some(trampoline(head, length).unwrap_or_else(|| plain(program, argument, length)));
    }
    if name == "env" {
        return env(argument, length);
    }
    Some(plain(program, argument, length))
}

fn plain(program: &Path, argument: &[u8], length: usize) -> Shebang {
    Shebang {
        interpreter: Asked::Path(program.to_path_buf()),
        options: lossy_words(argument),
        variables: Vec::new(),
        length,
    }
}

/// The kernel gives all that follows the interpreter as one word.
fn lossy_words(argument: &[u8]) -> Vec<String> {
    match argument {
        [] => Vec::new(),
        word => vec![String::from_utf8_lossy(word).into_owned()],
    }
}

fn env(argument: &[u8], length: usize) -> Option<Shebang> {
    let argument = String::from_utf8_lossy(argument);
    let rest = ["-S", "-vS", "-iS", "--split-string=", "--split-string "]
        .iter()
        .find_map(|flag| argument.strip_prefix(flag));
    let mut words = match rest {
        Some(rest) => split(rest).into_iter(),
        None => vec![argument.into_owned()].into_iter(),
    };
    let mut variables = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-u" | "--unset" | "-C" | "--chdir" => drop(words.next()),
            flag if flag.starts_with('-') => {}
            word if let Some((name, value)) = word.split_once('=') => {
                variables.push((name.to_owned(), value.to_owned()));
            }
            "" => return None,
            program => {
                let interpreter = match program.starts_with('/') {
                    true => Asked::Path(PathBuf::from(program)),
                    false => Asked::Name(program.to_owned()),
                };
                return Some(Shebang {
                    interpreter,
                    options: words.collect(),
                    variables,
                    length,
                });
            }
        }
    }
    None
}

/// Words between blanks, with quotes taken away.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in text.chars() {
        match (character, quote) {
            (character, Some(open)) if character == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (' ' | '\t', None) => words.extend(word.take()),
            (character, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// The lines behind `#!/bin/sh` that are a command for the shell and a string for Python:
/// `'''exec' "/path/python" "$0" "$@"` and `' '''`.
fn trampoline(head: &[u8], first: usize) -> Option<Shebang> {
    let (second, second_length) = line_of(head.get(first..)?);
    let (third, third_length) = line_of(head.get(first + second_length..)?);
    let command = String::from_utf8_lossy(second.strip_prefix(b"'''exec'")?);
    if !third.ends_with(b"'''") {
        return None;
    }
    let command = command.trim();
    let command = command.strip_suffix("\"$@\"")?.trim_end();
    let command = command.strip_suffix("\"$0\"")?.trim_end();
    let interpreter = match command.split_once("$(") {
        Some(_) => Asked::Beside(
            command
                .rsplit('/')
                .next()?
                .trim_matches(['"', '\''])
                .to_owned(),
        ),
        None => Asked::Path(PathBuf::from(split(command).into_iter().next()?)),
    };
    let options = match &interpreter {
        Asked::Path(_) => split(command).into_iter().skip(1).collect(),
        _ => Vec::new(),
    };
    Some(Shebang {
        interpreter,
        options,
        variables: Vec::new(),
        length: first + second_length + third_length,
    })
}

/// The first line without its end, and its length with it.
fn line_of(text: &[u8]) -> (&[u8], usize) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (text.get(..end).unwrap_or_default().trim_ascii(), end + 1),
        None => (text.trim_ascii(), text.len()),
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn asked(head: &str) -> (Asked, Vec<String>) {
        let shebang = parse(head.as_bytes()).unwrap();
        (shebang.interpreter, shebang.options)
    }

    fn path(path: &str) -> Asked {
        Asked::Path(path.into())
    }

    #[test]
    fn the_kernel_gives_one_argument() {
        assert_eq!(
            asked("#!/usr/bin/python3\n"),
            (path("/usr/bin/python3"), vec![])
        );
        assert_eq!(
            asked("#! /usr/bin/python3 -Es \nx"),
            (path("/usr/bin/python3"), vec!["-Es".into()])
        );
        assert_eq!(
            asked("#!/usr/bin/python3 -E -s"),
            (path("/usr/bin/python3"), vec!["-E -s".into()])
        );
    }

    #[test]
    fn env_is_looked_through() {
        let name = |name: &str| Asked::Name(name.into());
        assert_eq!(asked("#!/usr/bin/env python3\n"), (name("python3"), vec![]));
        assert_eq!(
            asked("#!/usr/bin/env -S python3 -u -X dev\n"),
            (
                name("python3"),
                vec!["-u".into(), "-X".into(), "dev".into()]
            )
        );
        let shebang = parse(b"#!/usr/bin/env -S A='b c' /opt/python3.9 -u\n").unwrap();
        assert_eq!(shebang.interpreter, path("/opt/python3.9"));
        assert_eq!(shebang.variables, [("A".to_owned(), "b c".to_owned())]);
        assert_eq!(parse(b"#!/usr/bin/env\n"), None);
        assert_eq!(parse(b"#!/usr/bin/env -S A=b\n"), None);
    }

    #[test]
    fn the_trampoline_for_long_paths_names_the_interpreter() {
        let text = "#!/bin/sh\n'''exec' \"/a b/bin/python\" \"$0\" \"$@\"\n' '''\nimport sys\n";
        let shebang = parse(text.as_bytes()).unwrap();
        assert_eq!(shebang.interpreter, path("/a b/bin/python"));
        assert_eq!(&text[shebang.length..], "import sys\n");
        let text = "#!/bin/sh\n'''exec' /a/bin/python \"$0\" \"$@\"\n' '''\n";
        assert_eq!(asked(text), (path("/a/bin/python"), vec![]));
        let text = "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python3' \
                    \"$0\" \"$@\"\n' '''\n";
        assert_eq!(asked(text), (Asked::Beside("python3".into()), vec![]));
        assert_eq!(asked("#!/bin/sh\necho\n"), (path("/bin/sh"), vec![]));
    }

    #[test]
    fn names_of_cpython_are_told_from_others() {
        for name in [
            "python",
            "python3",
            "python3.11",
            "python3.13t",
            "python2.7",
            "python3-dbg",
        ] {
            assert!(is_python(name), "{name}");
        }
        for name in [
            "pypy3",
            "ipython",
            "pythonw",
            "python-config",
            "perl",
            "python3.11-config",
        ] {
            assert!(!is_python(name), "{name}");
        }
    }

    #[test]
    fn a_head_that_is_cut_anywhere_is_no_trouble() {
        let text = b"#!/bin/sh\n'''exec' \"/a b/bin/python\" \"$0\" \"$@\"\n' '''\n";
        for end in 0..text.len() {
            if let Some(shebang) = parse(&text[..end]) {
                assert!(shebang.length <= end);
            }
        }
    }
}
