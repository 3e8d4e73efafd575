//! The interpreter as a compiler: a process that gets sources through a pipe and answers with
//! marshalled code. It runs none of them, and reads and writes no file of the user's.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::app::hosted::Host;

/// First answers with the magic of its bytecode, then each source, which comes after its length in
/// 4 bytes, with its code in the same way: nothing when it does not compile.
const SCRIPT: &str = "\
import marshal, sys
from _frozen_importlib_external import MAGIC_NUMBER
sources, answers = sys.stdin.buffer, sys.stdout.buffer
answers.write(MAGIC_NUMBER)
while True:
    answers.flush()
    length = sources.read(4)
    if len(length) < 4:
        break
    source = sources.read(int.from_bytes(length, 'little'))
    try:
        code = compile(source, '<module>', 'exec', dont_inherit=True, optimize=0)
        code = marshal.dumps(code)
    except Exception:
        code = b''
    answers.write(len(code).to_bytes(4, 'little') + code)
";

/// How long one source may take; the largest of known packages take some seconds.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The most code of one source, in bytes.
const CODE_LIMIT: u32 = 256 << 20;

/// Why the interpreter compiled nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompilerError {
    /// It cannot be run.
    #[error("cannot be run ({0})")]
    Start(#[source] io::Error),
    /// It ended before it answered.
    #[error("ended while it compiled ({0})")]
    Died(#[source] io::Error),
    /// It is of another version than was thought.
    #[error("makes the bytecode of another version of Python")]
    Version,
    /// One source took too long.
    #[error("took too long to compile a module")]
    Slow,
    /// Too many sources failed before.
    #[error("failed too often")]
    Abandoned,
}

impl CompilerError {
    /// Whether another source may still compile.
    pub(super) fn is_the_sources_fault(&self) -> bool {
        match self {
            Self::Start(_) | Self::Version => false,
            Self::Died(_) | Self::Slow | Self::Abandoned => true,
        }
    }
}

/// Compiles sources one by one, in a process that is started when the first comes and again after
/// one that was too much for it.
pub(super) struct Compiler {
    interpreter: PathBuf,
    library_path: Option<OsString>,
    magic: [u8; 4],
    time_limit: Duration,
    process: Option<Process>,
}

struct Process {
    child: Child,
    sources: ChildStdin,
    answers: ChildStdout,
    greeted: bool,
}

impl Compiler {
    /// Of an interpreter whose bytecode has this magic.
    pub(super) fn new(interpreter: &Path, host: &Host, magic: [u8; 4]) -> Self {
        Self {
            interpreter: interpreter.to_path_buf(),
            library_path: host.variables.get(OsStr::new("LD_LIBRARY_PATH")).cloned(),
            magic,
            time_limit: TIME_LIMIT,
            process: None,
        }
    }

    /// The marshalled code of a source; `None` when it has errors.
    pub(super) fn compile(&mut self, source: &[u8]) -> Result<Option<Vec<u8>>, CompilerError> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.start()?,
        };
        let (answer, answered) = mpsc::channel();
        let magic = self.magic;
        let Process {
            child,
            sources,
            answers,
            greeted,
        } = &mut process;
        let code = std::thread::scope(|scope| {
            scope.spawn(move || {
                // Nobody listens any more when it took too long.
                let _ = answer.send(exchange(sources, answers, greeted, magic, source));
            });
            answered.recv_timeout(self.time_limit).unwrap_or_else(|_| {
                // Ends the thread too: its pipes have no other end any more.
                let _ = child.kill();
                Err(CompilerError::Slow)
            })
        })?;
        self.process = Some(process);
        Ok(code)
    }

    fn start(&self) -> Result<Process, CompilerError> {
        let mut command = Command::new(&self.interpreter);
        command
            .args(["-I", "-S", "-B", "-W", "ignore", "-c", SCRIPT])
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // Some interpreters find their own library by it.
        if let Some(path) = &self.library_path {
            command.env("LD_LIBRARY_PATH", path);
        }
        let mut child = command.spawn().map_err(CompilerError::Start)?;
        let (Some(sources), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(CompilerError::Start(io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Process {
            child,
            sources,
            answers,
            greeted: false,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to finish; a zombie is all that could stay.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a source and receives its code.
fn exchange(
    sources: &mut ChildStdin,
    answers: &mut ChildStdout,
    greeted: &mut bool,
    magic: [u8; 4],
    source: &[u8],
) -> Result<Option<Vec<u8>>, CompilerError> {
    if !*greeted {
        let greeting = word(answers).map_err(CompilerError::Start)?;
        if greeting != magic {
            return Err(CompilerError::Version);
        }
        *greeted = true;
    }
    let code = ask(sources, answers, source).map_err(CompilerError::Died)?;
    Ok(code.filter(|code| !code.is_empty()))
}

fn ask(
    sources: &mut ChildStdin,
    answers: &mut ChildStdout,
    source: &[u8],
) -> io::Result<Option<Vec<u8>>> {
    let Ok(length) = u32::try_from(source.len()) else {
        return Ok(None);
    };
    sources.write_all(&length.to_le_bytes())?;
    sources.write_all(source)?;
    sources.flush()?;
    let length = u32::from_le_bytes(word(answers)?);
    if length > CODE_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut code = Vec::new();
    answers.take(u64::from(length)).read_to_end(&mut code)?;
    if code.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(code))
}

fn word(answers: &mut ChildStdout) -> io::Result<[u8; 4]> {
    let mut word = [0; 4];
    answers.read_exact(&mut word)?;
    Ok(word)
}

#[cfg(test)]
pub(super) mod tests;
