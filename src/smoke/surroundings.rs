//! What a failure is explained with: the image, and this machine.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::SmokeError;
use super::account;
use super::cause::{Cause, Surroundings};
use super::message::{Fault, Launch};
use crate::elf::cache::Cache;
use crate::elf::{Machine, Object};
use crate::image::Platform;
use crate::rootfs::Rootfs;
use crate::sysroot::{Assembled, Sysroot};

/// The kernel reads no more of a script's first line (`BINPRM_BUF_SIZE`).
const LINE: u64 = 256;

/// More than this of the loader's cache is not read.
const CACHE_LIMIT: u64 = 64 << 20;

/// How often the kernel lets an interpreter be a script itself (`execve(2)`).
const MOST_INTERPRETERS: usize = 5;

/// Where libraries are that no cache lists.
const LIBRARY_DIRECTORIES: [&str; 5] =
    ["/usr/local/lib", "/usr/lib64", "/lib64", "/usr/lib", "/lib"];

/// An image that was started.
pub(super) struct Image<'a> {
    rootfs: &'a Rootfs,
    command: PathBuf,
    candidates: Vec<PathBuf>,
    workdir: PathBuf,
}

impl<'a> Image<'a> {
    pub(super) fn new(rootfs: &'a Rootfs, launch: &Launch) -> Self {
        let command = launch.command.first().map(|word| word.to_path());
        let command = command.unwrap_or_default();
        let workdir = launch.workdir.to_path();
        let candidates = match command.as_os_str().as_bytes().contains(&b'/') {
            // Without the `.` of `./app`.
            true => vec![workdir.join(&command).components().collect()],
            false => launch
                .search
                .iter()
                .map(|path| workdir.join(path.as_path()))
                .collect(),
        };
        Self {
            rootfs,
            command,
            candidates,
            workdir,
        }
    }

    /// Why the program could not be executed, or why there was no sandbox to execute it in.
    pub(super) fn refusal(&self, fault: &Fault) -> Result<Cause, SmokeError> {
        match fault {
            Fault::Workdir { .. } => Ok(Cause::Workdir(self.workdir.clone())),
            Fault::Exec { errno } => self.exec_refusal(Errno::from_raw(*errno)),
            fault => Err(fault.clone().into()),
        }
    }

    fn exec_refusal(&self, errno: Errno) -> Result<Cause, SmokeError> {
        let candidates = self.candidates.iter();
        let Some(program) = candidates
            .clone()
            .find(|path| account::entry(self.rootfs, path).is_some())
        else {
            let named = self.command.as_os_str().as_bytes().contains(&b'/');
            let place = self.candidates.first().filter(|_| named);
            let word = place.unwrap_or(&self.command);
            return Ok(Cause::Command(word.display().to_string()));
        };
        let chain = Chain::follow(self.rootfs, program);
        if let Some(machine) = chain.machine.filter(|machine| !is_of_this_machine(machine)) {
            return Err(SmokeError::Machine {
                program: chain.last.display().to_string(),
                machine: machine.name(),
            });
        }
        Ok(match (errno, chain.missing) {
            (Errno::ENOENT | Errno::ENOTDIR, Some(interpreter)) => Cause::Interpreter {
                program: chain.last,
                interpreter,
            },
            (Errno::EACCES | Errno::EPERM, _) => Cause::NotExecutable(chain.last),
            (Errno::ENOEXEC | Errno::EINVAL | Errno::ELIBBAD, _) => Cause::Format(chain.last),
            (errno, _) => {
                return Err(SmokeError::Sandbox {
                    what: format!("execute {}", program.display()),
                    source: errno.into(),
                });
            }
        })
    }
}

impl Surroundings for Image<'_> {
    fn on_this_machine(&self, path: &Path) -> Option<PathBuf> {
        let exists = |path: &Path| path.symlink_metadata().is_ok();
        if path.is_absolute() && exists(path) {
            return Some(path.to_path_buf());
        }
        let starts = [&*self.workdir, Path::new(crate::rootfs::APP_DIRECTORY)];
        starts.into_iter().find_map(|start| {
            let beside = path.strip_prefix(start).ok()?;
            (beside.components().count() > 0 && exists(beside)).then(|| beside.to_path_buf())
        })
    }

    fn in_working_directory(&self, path: &Path) -> bool {
        path.is_relative() && path.is_file()
    }

    fn library(&self, name: &str) -> Option<PathBuf> {
        let mut cached = Vec::new();
        if let Ok(file) = fs::File::open("/etc/ld.so.cache") {
            // What cannot be read helps no further.
            let _ = file.take(CACHE_LIMIT).read_to_end(&mut cached);
        }
        let cached = Cache::parse(&cached).ok().and_then(|cache| {
            let mut entries = cache.entries().iter();
            let entry = entries.find(|entry| entry.soname == name.as_bytes())?;
            Some(PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path)))
        });
        cached.filter(|path| path.exists()).or_else(|| {
            LIBRARY_DIRECTORIES
                .iter()
                .map(|directory| Path::new(directory).join(name))
                .find(|path| path.exists())
        })
    }

    fn in_image(&self, path: &Path) -> bool {
        account::entry(self.rootfs, path).is_some()
    }
}

/// A program and its interpreters, as far as they are in the image.
struct Chain {
    last: PathBuf,
    /// What the last one asks for, which is not there.
    missing: Option<PathBuf>,
    machine: Option<Machine>,
}

impl Chain {
    fn follow(rootfs: &Rootfs, program: &Path) -> Self {
        let mut chain = Self {
            last: program.to_path_buf(),
            missing: None,
            machine: None,
        };
        for _ in 0..MOST_INTERPRETERS {
            let head = account::head(rootfs, &chain.last, LINE);
            let Some(interpreter) = shebang(&head) else {
                break;
            };
            if account::entry(rootfs, &interpreter).is_none() {
                chain.missing = Some(interpreter);
                return chain;
            }
            chain.last = interpreter;
        }
        // What is no ELF file, or a damaged one, tells nothing.
        let file = Assembled(rootfs).open(&chain.last);
        if let Some(object) = file.ok().and_then(|file| Object::read(&file).ok()) {
            chain.machine = Some(object.machine);
            chain.missing = object
                .interpreter
                .filter(|interpreter| account::entry(rootfs, interpreter).is_none());
        }
        chain
    }
}

/// The interpreter that a script's first line names (`execve(2)`).
fn shebang(head: &[u8]) -> Option<PathBuf> {
    let line = head.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| b" \t".contains(byte));
    let word = words.find(|word| !word.is_empty())?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(word)))
}

/// Whether the kernel runs programs of this machine without emulation.
fn is_of_this_machine(machine: &Machine) -> bool {
    let here = Platform::host().architecture;
    machine.platform().is_some_and(|(architecture, _)| {
        architecture == here
            || matches!((architecture, &*here), ("386", "amd64") | ("arm", "arm64"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_of_a_script_is_its_first_word() {
        let found = |head: &str| shebang(head.as_bytes());
        assert_eq!(
            found("#! /usr/bin/env node\nx"),
            Some("/usr/bin/env".into())
        );
        assert_eq!(found("#!/bin/sh"), Some("/bin/sh".into()));
        assert_eq!(found("#!\n/bin/sh"), None);
        assert_eq!(found("/bin/sh"), None);
    }
}
