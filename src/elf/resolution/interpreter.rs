//! The loader of a program and what configures it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Opened, Resolution};
use crate::elf::cache::{Cache, conf_directories};
use crate::elf::glibc::Configuration;
use crate::elf::loader::Interpreter;
use crate::elf::search::{Trail, musl_elements, shown_directory};
use crate::elf::{Finding, Flavour, Loader, Request, Rule, literals};

/// `ld.so.cache` of a system with a hundred thousand libraries stays below this.
const MAX_CACHE: u64 = 64 << 20;
/// Configuration files are a few lines.
const MAX_CONFIGURATION: u64 = 1 << 20;

impl Resolution<'_> {
    /// The loader of a program, from its `PT_INTERP`.
    pub(super) fn interpreter(
        &mut self,
        path: &Path,
        program: &Opened,
    ) -> (Rc<Interpreter>, Rc<Configuration>) {
        let request = Request {
            by: Some(program.index),
            name: path.as_os_str().to_os_string(),
            finding: Finding::Interpreter,
            rule: Rule::Path,
        };
        let index = self.interpreter_object(path, program);
        if let Some(index) = index {
            self.request(index, request);
        }
        if let Some((interpreter, configuration)) = self.interpreters.get(path) {
            return (interpreter.clone(), configuration.clone());
        }
        let interpreter = self.read_interpreter(path, program, index);
        let configuration = match interpreter.flavour {
            Flavour::Glibc => self.glibc_configuration(&interpreter),
            Flavour::Musl => Configuration::None,
            Flavour::Other => {
                let shown = self.files.show(path);
                self.warn(format!(
                    "{shown} is neither glibc's nor musl's loader: the rules of ld.so(8) were assumed"
                ));
                Configuration::None
            }
        };
        let pair = (Rc::new(interpreter), Rc::new(configuration));
        self.interpreters.insert(path.to_path_buf(), pair.clone());
        pair
    }

    /// Takes the loader's file into the closure; notes what is wrong with it.
    fn interpreter_object(&mut self, path: &Path, program: &Opened) -> Option<usize> {
        let note = match self.files.open(path) {
            Ok(file) if path.is_absolute() => match self.files.object(file) {
                Ok(_) => return self.member(file, path).ok(),
                Err(error) => {
                    let reason = format!("the program's loader (PT_INTERP): {error}");
                    self.reject(path.as_os_str(), path, Some(program.index), reason);
                    return None;
                }
            },
            Ok(_) => "it is relative to the working directory".to_owned(),
            Err(error) => match self.files.why_absent(path) {
                Some(reason) => reason,
                None if error.kind() == io::ErrorKind::NotFound => "there is none".to_owned(),
                None => error.to_string(),
            },
        };
        self.add_missing(
            program.index,
            path.as_os_str(),
            &Finding::Interpreter,
            Trail {
                searched: vec![path.display().to_string()],
                unsuitable: Vec::new(),
            },
            Some(format!(
                "the kernel opens exactly this path to start the program: {note}; install the \
                 libc that it was linked for, build it for the one that is there, or give a \
                 system that has it with --sysroot DIR"
            )),
        );
        None
    }

    fn read_interpreter(
        &mut self,
        path: &Path,
        program: &Opened,
        index: Option<usize>,
    ) -> Interpreter {
        let machine = program.machine;
        let member = index.and_then(|index| Some((index, self.members.get(index)?.file)));
        let Some((index, file)) = member else {
            return Interpreter::assumed(path, machine);
        };
        let data = self
            .files
            .reopen(file)
            .and_then(|file| literals::read_only_data(&file));
        let (Ok(data), Ok(object)) = (data, self.files.object(file)) else {
            return Interpreter::assumed(path, machine);
        };
        let mut interpreter = Interpreter::read(path, object, &data);
        if object.machine.class != machine.class || object.machine.number != machine.number {
            let reason = format!(
                "the program's loader (PT_INTERP) is for {}, the program for {}",
                object.machine.name(),
                machine.name()
            );
            self.reject(path.as_os_str(), path, Some(program.index), reason);
        }
        self.read_path_file(&mut interpreter);
        self.loaders.push(Loader {
            path: path.to_path_buf(),
            object: index,
            flavour: interpreter.flavour,
            machine: interpreter.machine,
            directories: interpreter
                .directories
                .iter()
                .map(|directory| shown_directory(directory.as_os_str().as_bytes()))
                .collect(),
            cache: interpreter.cache.clone(),
            path_file: interpreter.path_file.clone(),
        });
        interpreter
    }

    /// musl's `/etc/ld-musl-ARCH.path` replaces the built-in list; unreadable, it empties it.
    fn read_path_file(&mut self, interpreter: &mut Interpreter) {
        let Some(path) = &interpreter.path_file else {
            return;
        };
        match self.files.sysroot().read(path, MAX_CONFIGURATION) {
            Ok(text) => {
                interpreter.directories = musl_elements(&text)
                    .map(|element| PathBuf::from(OsStr::from_bytes(element)))
                    .collect();
                interpreter.from_path_file = true;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let shown = self.files.show(path);
                interpreter.directories.clear();
                self.warn(format!(
                    "{shown} cannot be read ({error}), so musl searches no directory of its own"
                ));
            }
        }
    }

    /// The cache, or the directories of `ld.so.conf` where there is none.
    fn glibc_configuration(&mut self, interpreter: &Interpreter) -> Configuration {
        let preload = Path::new("/etc/ld.so.preload");
        if let Ok(text) = self.files.sysroot().read(preload, MAX_CONFIGURATION)
            && !text.trim_ascii().is_empty()
        {
            let shown = self.files.show(preload);
            self.warn(format!(
                "{shown} names libraries that this system loads into every program; the image \
                 gets neither the file nor the libraries (add them with --include if the app needs them)"
            ));
        }
        let Some(path) = &interpreter.cache else {
            return Configuration::None;
        };
        match self.files.sysroot().read(path, MAX_CACHE) {
            Ok(bytes) => match Cache::parse(&bytes) {
                Ok(cache) => Configuration::Cache(cache),
                Err(error) => {
                    let shown = self.files.show(path);
                    self.warn(format!(
                        "{shown} is no cache that the loader accepts ({error}), so it was ignored; \
                         run ldconfig to write it anew"
                    ));
                    Configuration::None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let conf = path.with_file_name("ld.so.conf");
                let directories = conf_directories(self.files.sysroot(), &conf);
                Configuration::Conf(directories)
            }
            Err(error) => {
                let shown = self.files.show(path);
                self.warn(format!(
                    "{shown} cannot be read ({error}), so it was ignored"
                ));
                Configuration::None
            }
        }
    }
}
