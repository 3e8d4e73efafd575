//! `#!` scripts as apps: the rules of the kernel (`execve(2)`, `fs/binfmt_script.c`) and of GNU
//! `env(1)`.

mod shell;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{AppError, Interpreter, Scene, is_executable, similar};
use crate::elf::{Foreign, Object, ObjectError, Root};
use crate::sysroot::{Node, OpenFile, Sysroot, trace};

/// How much of the file the kernel looks at (`BINPRM_BUF_SIZE`), in bytes, `#!` included.
pub(super) const LINE_LIMIT: usize = 256;
/// How often an interpreter may be a script itself.
pub(super) const DEPTH_LIMIT: usize = 4;
/// Steps in all. Each `env` starts the kernel's count again, so scripts that start each other by it
/// would never end.
const STEPS_LIMIT: usize = 16;

/// Where a script leads.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// All steps, outermost first.
    pub(super) interpreters: Vec<Interpreter>,
    /// The ELF programs among them.
    pub(super) roots: Vec<Root>,
}

/// Follows the `#!` line of the script at `path` until a program stands there, which must be no
/// shell unless one is allowed.
pub(super) fn resolve(scene: &Scene<'_>, path: &Path, file: &OpenFile) -> Result<Chain, AppError> {
    let chain = follow(scene.sysroot, path, file, scene.search)?;
    match chain.interpreters.last() {
        Some(last) if !scene.shell && shell::is_shell(scene.sysroot, last) => {
            // With another script in between, this one is not in the shell's language.
            let is_direct = chain.roots.len() == chain.interpreters.len();
            let wraps = is_direct.then(|| shell::wrapped_program(file, scene));
            Err(AppError::Shell {
                script: scene.display(path),
                shell: scene.display(&last.path),
                wraps: wraps.flatten(),
            })
        }
        _ => Ok(chain),
    }
}

fn follow(
    sysroot: &dyn Sysroot,
    path: &Path,
    file: &OpenFile,
    search: &[PathBuf],
) -> Result<Chain, AppError> {
    let mut chain = Chain::default();
    let mut script = sysroot.display(path);
    let mut line = Line::read(file, &script)?;
    let mut depth = 0;
    for _ in 0..STEPS_LIMIT {
        let interpreter = line.interpreter(sysroot, &script)?;
        chain.interpreters.push(Interpreter {
            path: interpreter.clone(),
            argument: line.argument.clone(),
        });
        let mut next = interpreter;
        let mut program = open_program(sysroot, &script, &next)?;
        if matches!(program, Program::Elf) {
            chain.root(&next);
            if next.file_name() != Some(OsStr::new("env")) {
                return Ok(chain);
            }
            next = find_by_env(sysroot, &script, line.argument.as_deref(), search)?;
            chain.interpreters.push(Interpreter {
                path: next.clone(),
                argument: None,
            });
            program = open_program(sysroot, &script, &next)?;
            depth = 0;
        }
        let Program::Script(file) = program else {
            chain.root(&next);
            return Ok(chain);
        };
        depth += 1;
        if depth > DEPTH_LIMIT {
            break;
        }
        script = sysroot.display(&next);
        line = Line::read(&file, &script)?;
    }
    Err(AppError::TooDeep {
        script: sysroot.display(path),
    })
}

impl Chain {
    fn root(&mut self, path: &Path) {
        let root = Root::Program {
            path: path.to_path_buf(),
        };
        if !self.roots.contains(&root) {
            self.roots.push(root);
        }
    }
}

/// A `#!` line as the kernel splits it.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    interpreter: OsString,
    argument: Option<OsString>,
}

impl Line {
    fn read(file: &OpenFile, script: &Path) -> Result<Self, AppError> {
        let mut head = [0; LINE_LIMIT];
        let length = file.read_at(&mut head, 0).map_err(|source| AppError::Io {
            path: script.to_path_buf(),
            source,
        })?;
        Self::parse(head.get(..length).unwrap_or_default(), script)
    }

    /// Parses the first bytes of a script.
    fn parse(head: &[u8], script: &Path) -> Result<Self, AppError> {
        let script = || script.to_path_buf();
        let text = head.strip_prefix(b"#!").unwrap_or_default();
        let end = text.iter().position(|byte| matches!(byte, b'\n' | 0));
        // A file may end without a newline; a full buffer means that the line goes on.
        let cut = end.is_none() && head.len() == LINE_LIMIT;
        let text = trim_blanks_start(text.get(..end.unwrap_or(text.len())).unwrap_or(text));
        let word_end = text.iter().position(|byte| is_blank(*byte));
        if cut && word_end.is_none() {
            return Err(AppError::LineTooLong { script: script() });
        }
        let (interpreter, rest) = text.split_at(word_end.unwrap_or(text.len()));
        let argument = trim_blanks(rest);
        let last = if argument.is_empty() {
            interpreter
        } else {
            argument
        };
        if let Some(word) = last.strip_suffix(b"\r") {
            return Err(if interpreter == b"\r" {
                AppError::NoInterpreter { script: script() }
            } else {
                AppError::CarriageReturn {
                    script: script(),
                    word: OsString::from_vec(word.to_vec()),
                }
            });
        }
        if interpreter.is_empty() {
            return Err(AppError::NoInterpreter { script: script() });
        }
        let argument = (!argument.is_empty()).then(|| OsString::from_vec(argument.to_vec()));
        Ok(Self {
            interpreter: OsString::from_vec(interpreter.to_vec()),
            argument,
        })
    }

    /// The interpreter's path, if it exists.
    fn interpreter(&self, sysroot: &dyn Sysroot, script: &Path) -> Result<PathBuf, AppError> {
        let path = PathBuf::from(&self.interpreter);
        let script = script.to_path_buf();
        if !path.is_absolute() {
            return Err(AppError::RelativeInterpreter {
                script,
                interpreter: path,
            });
        }
        match trace(sysroot, &path) {
            Err(error) if error.is_not_found() => Err(AppError::MissingInterpreter {
                script,
                similar: similar::similar(sysroot, &path, &[]),
                interpreter: sysroot.display(&path),
            }),
            _ => Ok(path),
        }
    }
}

/// What stands at an interpreter's path.
enum Program {
    Elf,
    Script(OpenFile),
}

fn open_program(sysroot: &dyn Sysroot, script: &Path, path: &Path) -> Result<Program, AppError> {
    let bad = |source| unfit(script, sysroot.display(path), source);
    let shown = || sysroot.display(path);
    let (file, _) = super::open(sysroot, path, &[]).map_err(bad)?;
    let mode = file.mode;
    let program = match Object::read(&file) {
        Ok(object) => {
            super::elf::check(&object, &shown()).map_err(bad)?;
            Program::Elf
        }
        Err(ObjectError::NotElf {
            what: Foreign::Script { .. },
            ..
        }) => Program::Script(file),
        Err(ObjectError::Empty) => return Err(bad(AppError::Empty { path: shown() })),
        Err(ObjectError::NotElf { what, .. }) => {
            return Err(bad(AppError::Foreign {
                path: shown(),
                what,
            }));
        }
        Err(source) => {
            return Err(bad(AppError::Object {
                path: shown(),
                source,
            }));
        }
    };
    match mode {
        mode if is_executable(mode) => Ok(program),
        mode => Err(bad(AppError::NotExecutable {
            path: shown(),
            mode,
        })),
    }
}

/// What `fault` of an interpreter means for its script. What an app would have to be is of no
/// account: the `#!` line is what is wrong.
fn unfit(script: &Path, interpreter: PathBuf, fault: AppError) -> AppError {
    let script = script.to_path_buf();
    let what = match &fault {
        AppError::Directory { .. } => "is a directory".to_owned(),
        AppError::Special { .. } => "is a device, socket or pipe".to_owned(),
        AppError::Empty { .. } => "is empty".to_owned(),
        AppError::Library { .. } => "is a shared library".to_owned(),
        AppError::NotLinked { .. } => "is an ELF file that cannot be run".to_owned(),
        AppError::Foreign {
            what: Foreign::Text,
            ..
        } => "is a text that has no `#!` line itself".to_owned(),
        AppError::Foreign { what, .. } => format!("is not a Linux program but {what}"),
        _ => {
            let source = Box::new(fault);
            return AppError::BadInterpreter { script, source };
        }
    };
    AppError::NoInterpreterProgram {
        script,
        interpreter,
        what,
    }
}

/// The program that `env` starts when it is given `argument`.
fn find_by_env(
    sysroot: &dyn Sysroot,
    script: &Path,
    argument: Option<&OsStr>,
    search: &[PathBuf],
) -> Result<PathBuf, AppError> {
    let call = EnvCall::parse(script, argument)?;
    let search = call.path.as_deref().unwrap_or(search);
    let missing = || AppError::EnvProgramMissing {
        script: script.to_path_buf(),
        program: call.program.clone(),
        searched: search.iter().map(|path| sysroot.display(path)).collect(),
    };
    if call.program.as_bytes().contains(&b'/') {
        let path = PathBuf::from(&call.program);
        return match path.is_absolute() {
            true => Ok(path),
            false => Err(AppError::RelativeInterpreter {
                script: script.to_path_buf(),
                interpreter: path,
            }),
        };
    }
    // As in execvp(3), what may not be run is passed over.
    let runs = |path: &PathBuf| {
        trace(sysroot, path)
            .is_ok_and(|trace| matches!(trace.node, Node::File(facts) if is_executable(facts.mode)))
    };
    let mut candidates = search.iter().map(|directory| directory.join(&call.program));
    candidates.find(runs).ok_or_else(missing)
}

/// What `env` is asked to do.
#[derive(Debug, PartialEq, Eq)]
struct EnvCall {
    program: OsString,
    /// `PATH`, if it is set before the program is looked for.
    path: Option<Vec<PathBuf>>,
}

impl EnvCall {
    fn parse(script: &Path, argument: Option<&OsStr>) -> Result<Self, AppError> {
        let without_program = || AppError::EnvWithoutProgram {
            script: script.to_path_buf(),
        };
        let argument = argument.ok_or_else(without_program)?;
        let Some(text) = split_string(argument.as_bytes()) else {
            return Self::single(script, argument);
        };
        let mut path = None;
        let mut words = split(text).into_iter();
        while let Some(word) = words.next() {
            match word.as_slice() {
                b"-u" | b"--unset" | b"-C" | b"--chdir" => drop(words.next()),
                [b'-', ..] => {}
                assignment if assignment.contains(&b'=') => {
                    if let Some(list) = assignment.strip_prefix(b"PATH=") {
                        path = Some(directories(list));
                    }
                }
                _ => {
                    let program = OsString::from_vec(word);
                    return Ok(Self { program, path });
                }
            }
        }
        Err(without_program())
    }

    /// Without `-S`, `env` gets one word, whatever blanks are in it.
    fn single(script: &Path, argument: &OsStr) -> Result<Self, AppError> {
        let bytes = argument.as_bytes();
        if bytes.iter().any(|byte| is_blank(*byte)) {
            return Err(AppError::EnvNeedsSplit {
                script: script.to_path_buf(),
                argument: argument.to_os_string(),
            });
        }
        if bytes.starts_with(b"-") || bytes.contains(&b'=') {
            return Err(AppError::EnvWithoutProgram {
                script: script.to_path_buf(),
            });
        }
        Ok(Self {
            program: argument.to_os_string(),
            path: None,
        })
    }
}

/// What follows `-S`, which may stand behind flags (`-iS`) and before its value without a blank.
fn split_string(argument: &[u8]) -> Option<&[u8]> {
    if let Some(text) = argument.strip_prefix(b"--split-string") {
        return text
            .strip_prefix(b"=")
            .or_else(|| text.first().filter(|byte| is_blank(**byte)).map(|_| text));
    }
    let flags = argument.strip_prefix(b"-")?;
    let at = flags.iter().position(|byte| !b"iv0".contains(byte))?;
    flags.get(at..)?.strip_prefix(b"S")
}

/// Splits as `env -S` does: at blanks outside quotes; a backslash takes the next byte as it is,
/// except `\_`, which is a blank.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', quote) if quote != Some(b'\'') => match (bytes.next(), quote) {
                (Some(b'_'), None) => words.extend(word.take()),
                (Some(b'_'), Some(_)) => word.get_or_insert_default().push(b' '),
                (Some(next), _) => word.get_or_insert_default().push(next),
                (None, _) => {}
            },
            (byte, Some(open)) if byte == open => quote = None,
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (byte, None) if is_blank(byte) => words.extend(word.take()),
            // A comment, at the beginning of a word.
            (b'#', None) if word.is_none() => break,
            (byte, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

fn directories(list: &[u8]) -> Vec<PathBuf> {
    list.split(|byte| *byte == b':')
        .map(|directory| PathBuf::from(OsStr::from_bytes(directory)))
        .filter(|directory| directory.is_absolute())
        .collect()
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim_blanks_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte));
    text.get(start.unwrap_or(text.len())..).unwrap_or_default()
}

fn trim_blanks(text: &[u8]) -> &[u8] {
    let text = trim_blanks_start(text);
    let end = text.iter().rposition(|byte| !is_blank(*byte));
    text.get(..end.map_or(0, |end| end + 1)).unwrap_or_default()
}
