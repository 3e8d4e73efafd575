//! A resolution from its roots to the closure.
//!
//! [`Resolution::resolve`] tells the story; the rules are in [`super::glibc`] and [`super::musl`].

mod findings;
mod interpreter;
mod requests;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(super) use self::requests::{Loaded, searcher};
use super::files::{FileId, Files};
use super::glibc::Configuration;
use super::loader::Interpreter;
use super::process::{Mapping, PROGRAM, Process};
use super::profile::{Profile, Variants};
use super::symbols::Symbols;
use super::{
    Closure, Finding, LoadedObject, Loader, Machine, MissingLibrary, Notice, Object, ObjectError,
    ObjectKind, Rejected, Request, ResolveError, Resolver, Root, Rule, UnmetVersion,
};
use crate::sysroot::{Sysroot, Trace};

/// An object of the closure in the making.
struct Member {
    file: FileId,
    path: PathBuf,
    trace: Trace,
    aliases: Vec<(PathBuf, Trace)>,
    requests: Vec<Request>,
}

/// The state of a resolution: what was found so far.
pub(super) struct Resolution<'a> {
    pub(super) files: Files<'a>,
    pub(super) resolver: &'a Resolver,
    members: Vec<Member>,
    by_file: HashMap<FileId, usize>,
    loaders: Vec<Loader>,
    interpreters: HashMap<PathBuf, (Rc<Interpreter>, Rc<Configuration>)>,
    loader_files: Vec<Trace>,
    missing: Vec<MissingLibrary>,
    rejected: Vec<Rejected>,
    pub(super) unmet: BTreeSet<UnmetVersion>,
    notices: Vec<Notice>,
    /// Symbols of objects of which the imports were looked at.
    imports: HashMap<FileId, Rc<Symbols>>,
    /// Variants for other CPUs that were seen while a program is resolved for the least one.
    variants: Variants,
}

/// A root that has been opened.
struct Opened {
    file: FileId,
    index: usize,
    path: PathBuf,
    machine: Machine,
}

impl<'a> Resolution<'a> {
    pub(super) fn new(sysroot: &'a dyn Sysroot, resolver: &'a Resolver) -> Self {
        Self {
            files: Files::new(sysroot),
            resolver,
            members: Vec::new(),
            by_file: HashMap::new(),
            loaders: Vec::new(),
            interpreters: HashMap::new(),
            loader_files: Vec::new(),
            missing: Vec::new(),
            rejected: Vec::new(),
            unmet: BTreeSet::new(),
            notices: Vec::new(),
            imports: HashMap::new(),
            variants: Variants::default(),
        }
    }

    /// Resolves each program as a process, and opens the other roots in the first one.
    pub(super) fn resolve(mut self, roots: &[Root]) -> Result<Closure, ResolveError> {
        let mut others: Vec<&Root> = roots
            .iter()
            .filter(|root| !matches!(root, Root::Program { .. }))
            .collect();
        for root in roots {
            if let Root::Program { path } = root {
                self.program(path, &std::mem::take(&mut others))?;
            }
        }
        self.without_process(&others)?;
        self.path_files();
        self.oddities();
        Ok(self.into_closure())
    }

    /// One program, for every kind of CPU.
    fn program(&mut self, path: &Path, others: &[&Root]) -> Result<(), ResolveError> {
        let program = self.start(path)?;
        let Ok(object) = self.files.object(program.file) else {
            return Ok(());
        };
        let interpreter = match (&object.kind, &object.interpreter) {
            (ObjectKind::Dynamic, Some(interpreter)) => interpreter.clone(),
            (ObjectKind::Static | ObjectKind::Dynamic, _) => {
                self.static_program(&program.path, program.file);
                return self.without_process(others);
            }
            (ObjectKind::Library, _) => return Err(self.no_program(path, "a shared library")),
            (ObjectKind::Other, _) => {
                return Err(self.no_program(path, "an object file or a core dump"));
            }
        };
        let (interpreter, configuration) = self.interpreter(&interpreter, &program);
        self.variants = Variants::default();
        let least = Profile::least(&interpreter);
        self.process(&program, &interpreter, &configuration, least, others)?;
        let seen = std::mem::take(&mut self.variants);
        for profile in Profile::others(&interpreter, &seen) {
            self.process(&program, &interpreter, &configuration, profile, others)?;
        }
        Ok(())
    }

    /// One process on one kind of CPU: what it needs to start, then what it opens.
    fn process(
        &mut self,
        program: &Opened,
        interpreter: &Rc<Interpreter>,
        configuration: &Rc<Configuration>,
        profile: Profile,
        others: &[&Root],
    ) -> Result<(), ResolveError> {
        let mut process = self.started(program, interpreter, configuration, profile);
        self.dependencies(&mut process, PROGRAM);
        self.audits(&mut process);
        for root in others {
            self.other_root(&mut process, root)?;
        }
        self.implied(&mut process);
        self.check_versions(&process);
        self.note_secure_mode(&process, program);
        Ok(())
    }

    /// A process as the kernel leaves it: the program and its interpreter are mapped.
    fn started(
        &mut self,
        program: &Opened,
        interpreter: &Rc<Interpreter>,
        configuration: &Rc<Configuration>,
        profile: Profile,
    ) -> Process {
        let mut process = Process::new(interpreter.clone(), configuration.clone(), profile);
        let real = self.real_path(program.index);
        if let Ok(object) = self.files.object(program.file) {
            let mapping = Mapping {
                file: program.file,
                index: program.index,
                real: real.as_deref().unwrap_or(&program.path),
                parent: None,
                optional: false,
            };
            let map = process.map(&mapping, object);
            match process.is_musl() {
                true => process.register(program.file, map),
                false => {
                    // The program's own name in the list is empty.
                    process.name("".as_ref(), map);
                    if let Some(soname) = &object.soname {
                        process.name(soname, map);
                    }
                }
            }
        }
        self.warn_of_relative_paths(&process, PROGRAM);
        if let Ok(file) = self.files.open(&interpreter.path)
            && let Some(index) = self.by_file.get(&file).copied()
            && let Ok(object) = self.files.object(file)
        {
            let mapping = Mapping {
                file,
                index,
                real: &interpreter.path,
                parent: None,
                optional: false,
            };
            let map = process.map(&mapping, object);
            process.register(file, map);
            process.name(interpreter.path.as_os_str(), map);
            if let (false, Some(soname)) = (process.is_musl(), &object.soname) {
                process.name(soname, map);
            }
        }
        process
    }

    /// Opens a root and takes it into the closure.
    fn start(&mut self, path: &Path) -> Result<Opened, ResolveError> {
        let display = self.files.sysroot().display(path);
        let file = match self.files.open(path) {
            Ok(file) => file,
            // The walk tells better than the kernel where a path breaks off.
            Err(error) => {
                return Err(match (error.kind(), self.files.trace(path)) {
                    (io::ErrorKind::NotFound, Err(source)) => ResolveError::Path {
                        path: display,
                        source,
                    },
                    _ => ResolveError::Open {
                        path: display,
                        source: error,
                    },
                });
            }
        };
        let machine = match self.files.object(file) {
            Ok(object) => object.machine,
            Err(error) => {
                // The error is not Clone: the file is read again for one of its own.
                let source = match self.files.reopen(file).map(|file| Object::read(&file)) {
                    Ok(Err(source)) => source,
                    _ => ObjectError::Io(io::Error::other(error.to_string())),
                };
                return Err(ResolveError::Object {
                    path: display,
                    source,
                });
            }
        };
        let index = self
            .member(file, path)
            .map_err(|source| ResolveError::Path {
                path: display,
                source,
            })?;
        self.request(
            index,
            Request {
                by: None,
                name: path.as_os_str().to_os_string(),
                finding: Finding::Root,
                rule: Rule::Path,
            },
        );
        Ok(Opened {
            file,
            index,
            path: path.to_path_buf(),
            machine,
        })
    }

    fn no_program(&self, path: &Path, what: &'static str) -> ResolveError {
        ResolveError::NoProgram {
            path: self.files.sysroot().display(path),
            what,
        }
    }

    /// Roots that no process opens, since there is none with a loader.
    fn without_process(&mut self, others: &[&Root]) -> Result<(), ResolveError> {
        for root in others {
            match root {
                Root::Plugin { path } => {
                    self.start(path)?;
                    let shown = self.files.show(path);
                    self.warn(format!(
                        "{shown} is a library, but no program in the image has a dynamic loader \
                         to open it: the libraries that it needs were not looked for"
                    ));
                }
                Root::Dlopen { name } => self.warn(format!(
                    "{} was not looked for: no program in the image has a dynamic loader to open it",
                    name.display()
                )),
                Root::Program { .. } => {}
            }
        }
        Ok(())
    }

    /// A plugin or a library given by name, in the process of the first program.
    fn other_root(&mut self, process: &mut Process, root: &Root) -> Result<(), ResolveError> {
        match root {
            Root::Program { .. } => {}
            Root::Plugin { path } => self.plugin(process, path)?,
            Root::Dlopen { name } => {
                let finding = Finding::DlopenOption;
                if let Loaded::New(map) = self.load(process, PROGRAM, name, &finding, false) {
                    self.dependencies(process, map);
                }
            }
        }
        Ok(())
    }

    fn plugin(&mut self, process: &mut Process, path: &Path) -> Result<(), ResolveError> {
        let opened = self.start(path)?;
        let Ok(object) = self.files.object(opened.file) else {
            return Ok(());
        };
        let ours = process.interpreter.machine;
        let theirs = object.machine;
        if (theirs.number, theirs.class, theirs.order) != (ours.number, ours.class, ours.order) {
            let text = format!(
                "{} is for {}, the program for {}: it cannot open the library, and what that \
                 needs was not looked for",
                self.files.show(path),
                theirs.name(),
                ours.name()
            );
            self.warn(text);
            return Ok(());
        }
        if process.of_file(opened.file).is_some() {
            return Ok(());
        }
        let mapping = Mapping {
            file: opened.file,
            index: opened.index,
            real: path,
            parent: Some(PROGRAM),
            optional: false,
        };
        let map = process.map(&mapping, object);
        process.register(opened.file, map);
        if let (false, Some(soname)) = (process.is_musl(), &object.soname) {
            process.name(soname, map);
        }
        self.warn_of_relative_paths(process, map);
        self.dependencies(process, map);
        Ok(())
    }

    /// The libraries of `DT_AUDIT`: each is loaded with what it needs into a namespace of its
    /// own, and left out with a message if it is missing.
    fn audits(&mut self, process: &mut Process) {
        let audits = match process.maps.first() {
            Some(program) if !process.is_musl() => match self.files.object(program.file) {
                Ok(object) => object.audits.clone(),
                Err(_) => return,
            },
            _ => return,
        };
        for name in audits {
            let mut namespace = process.namespace();
            // The loader itself asks; the program's DT_RPATH counts nevertheless.
            let asker = namespace.maps.len() - 1;
            if let Loaded::New(map) = self.load(&mut namespace, asker, &name, &Finding::Audit, true)
            {
                self.dependencies(&mut namespace, map);
                self.check_versions(&namespace);
            }
        }
    }

    /// A setuid program ignores some of the ways in which its libraries were found.
    fn note_secure_mode(&mut self, process: &Process, program: &Opened) {
        if self.files.mode(program.file) & 0o6000 == 0 {
            return;
        }
        let ignored = self.members.iter().any(|member| {
            member.requests.iter().any(|request| match &request.rule {
                Rule::LibraryPath { .. } => true,
                Rule::Rpath { of, element } | Rule::Runpath { of, element } => {
                    *of == program.index && element.as_bytes().contains(&b'$')
                }
                _ => false,
            })
        });
        if ignored {
            let shown = self.files.show(&program.path);
            let what = match process.is_musl() {
                true => "LD_LIBRARY_PATH and $ORIGIN",
                false => "LD_LIBRARY_PATH, and $ORIGIN outside the system's directories",
            };
            self.warn(format!(
                "{shown} is setuid or setgid: with that bit the loader ignores {what}, so it \
                 runs only where the bit is dropped"
            ));
        }
    }

    /// The image needs musl's path file when a library was found by it.
    fn path_files(&mut self) {
        let used = self.members.iter().any(|member| {
            member
                .requests
                .iter()
                .any(|request| matches!(request.rule, Rule::MuslPath { .. }))
        });
        if !used {
            return;
        }
        let paths: Vec<PathBuf> = self
            .loaders
            .iter()
            .filter_map(|loader| loader.path_file.clone())
            .collect();
        for path in paths {
            if let Ok(trace) = self.files.trace(&path)
                && !self.loader_files.contains(&trace)
            {
                self.loader_files.push(trace);
            }
        }
    }

    /// What is odd about the files of the closure.
    fn oddities(&mut self) {
        let mut warnings = Vec::new();
        for member in &self.members {
            if let Ok(object) = self.files.object(member.file) {
                let shown = self.files.show(&member.path);
                warnings.extend(
                    object
                        .warnings
                        .iter()
                        .map(|warning| format!("{shown}: {warning}")),
                );
            }
        }
        for warning in warnings {
            self.warn(warning);
        }
    }

    fn into_closure(self) -> Closure {
        let ids: Vec<FileId> = self.members.iter().map(|member| member.file).collect();
        let objects = self.files.into_objects(&ids);
        Closure {
            objects: self
                .members
                .into_iter()
                .zip(objects)
                .filter_map(|(member, object)| {
                    // Only files with facts become members, each once: none is left out here.
                    Some(LoadedObject {
                        path: member.path,
                        trace: member.trace,
                        aliases: member.aliases,
                        object: object?,
                        requests: member.requests,
                    })
                })
                .collect(),
            loaders: self.loaders,
            loader_files: self.loader_files,
            missing: self.missing,
            rejected: self.rejected,
            unmet_versions: self.unmet.into_iter().collect(),
            notices: self.notices,
        }
    }
}
