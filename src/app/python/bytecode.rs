//! `.pyc` files that are good in an image.
//!
//! Those that Python writes tell their source by the time of its last change. In a layer all files
//! have one time, so each start would find them stale and compile anew, with nowhere to write
//! to. Those made here tell it by a hash that no import compares (PEP 552). They are the same
//! whoever compiled the module and where: an up-to-date file beside the source is converted, what
//! has none is compiled by the interpreter, and both come out in one form with the module's
//! path in the image as its file name.

mod compiler;
mod format;
mod marshal;
mod siphash;
mod store;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::hosted::{Host, Scene};
use crate::ImagePath;
use crate::sysroot::OpenFile;
use compiler::{Compiler, CompilerError};
use format::{Format, Stamp};
use store::{Key, Store};

/// Sources and `.pyc` files of more bytes are left as they are.
const FILE_LIMIT: u64 = 64 << 20;
/// How many modules may crash the interpreter or keep it busy, before none is compiled by it.
const FAILURES_LIMIT: usize = 8;

/// A module of the app, as source.
#[derive(Debug, Clone)]
pub(super) struct Module {
    /// Its source in the sysroot.
    pub(super) source: PathBuf,
    /// The source's path in the image.
    pub(super) image: ImagePath,
    /// The `.pyc` file that Python made of it, in the sysroot, if there is one.
    pub(super) cached: Option<PathBuf>,
}

/// What was made of modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Compiled {
    /// The files and where they belong in the image, in the order of the modules. Modules that do
    /// not compile have none.
    pub(super) pycs: Vec<(ImagePath, Vec<u8>)>,
    /// What the user should know.
    pub(super) notices: Vec<String>,
}

/// Makes the `.pyc` files of `modules` for a CPython of this `version`, of which `interpreter` is
/// the program on this machine. Without a host nothing is compiled, only converted.
pub(super) fn compile(
    scene: &Scene<'_>,
    interpreter: &Path,
    version: (u32, u32),
    modules: &[Module],
) -> Compiled {
    let Some(format) = Format::of(version) else {
        let (major, minor) = version;
        return Compiled {
            pycs: Vec::new(),
            notices: vec![format!(
                "the bytecode of Python {major}.{minor} is not known here: its modules come as \
                 sources alone, which Python compiles at each start"
            )],
        };
    };
    let maker = Maker {
        scene,
        format,
        store: scene.host.map(|host| Store::new(&host.scratch)),
    };
    let mut made = maker.convert(modules);
    let notice = maker.compile_rest(interpreter, modules, &mut made);
    let pycs = modules.iter().zip(made);
    Compiled {
        pycs: pycs
            .filter_map(|(module, made)| match made {
                Made::Pyc(pyc) => Some((format.cached(&module.image)?, pyc)),
                Made::Stale | Made::Nothing => None,
            })
            .collect(),
        notices: notice.into_iter().collect(),
    }
}

struct Maker<'a> {
    scene: &'a Scene<'a>,
    format: Format,
    store: Option<Store>,
}

/// What was made of a module.
enum Made {
    /// Its `.pyc` file.
    Pyc(Vec<u8>),
    /// Nothing yet: it must be compiled.
    Stale,
    /// Nothing: it cannot be read, or Python refuses it.
    Nothing,
}

/// A source as it was read.
struct Source {
    bytes: Vec<u8>,
    /// The hash of its bytes.
    hash: [u8; 8],
    /// What a file that tells it by time must say.
    time: Stamp,
}

impl Maker<'_> {
    /// Takes what needs no compiler.
    fn convert(&self, modules: &[Module]) -> Vec<Made> {
        spread(
            self.scene.threads(),
            modules,
            || (),
            |(), module| {
                let Some(source) = self.source(module) else {
                    return Made::Nothing;
                };
                self.converted(module, &source)
                    .or_else(|| self.store.as_ref()?.get(&self.key(module, &source)))
                    .map_or(Made::Stale, Made::Pyc)
            },
        )
    }

    /// Compiles the modules of which nothing was made yet; returns what the user should know.
    fn compile_rest(
        &self,
        interpreter: &Path,
        modules: &[Module],
        made: &mut [Made],
    ) -> Option<String> {
        let mut places: Vec<_> = made.iter_mut().zip(modules).collect();
        places.retain(|(made, _)| matches!(made, Made::Stale));
        let rest: Vec<&Module> = places.iter().map(|(_, module)| *module).collect();
        if rest.is_empty() {
            return None;
        }
        let Some(host) = self.scene.host else {
            // Debian's packages never have any: it is the same for every app on a base of them.
            if self.scene.ground.is_some() {
                return None;
            }
            return Some(without(rest.len(), "no program of another system is run"));
        };
        let compiled = self.compile(host, interpreter, &rest);
        let failed = compiled.iter().filter_map(|result| result.as_ref().err());
        let failed: Vec<&CompilerError> = failed.collect();
        let broken = failed.iter().find(|error| !error.is_the_sources_fault());
        let shown = |error: &CompilerError| format!("{} {error}", interpreter.display());
        if let Some(error) = broken.or_else(|| failed.get(FAILURES_LIMIT)) {
            // Which modules were compiled before depends on the threads: none counts.
            return Some(without(rest.len(), &shown(error)));
        }
        let notice = failed
            .first()
            .map(|error| without(failed.len(), &shown(error)));
        for ((place, _), result) in places.into_iter().zip(compiled) {
            *place = result.unwrap_or(Made::Nothing);
        }
        notice
    }

    fn compile(
        &self,
        host: &Host,
        interpreter: &Path,
        modules: &[&Module],
    ) -> Vec<Result<Made, CompilerError>> {
        let failures = AtomicUsize::new(0);
        spread(
            host.threads,
            modules,
            || Compiler::new(interpreter, host, self.format.magic()),
            |compiler, module| {
                if failures.load(Ordering::Relaxed) > FAILURES_LIMIT {
                    return Err(CompilerError::Abandoned);
                }
                let made = self.compiled(compiler, module);
                if made.is_err() {
                    failures.fetch_add(1, Ordering::Relaxed);
                }
                made
            },
        )
    }

    fn compiled(&self, compiler: &mut Compiler, module: &Module) -> Result<Made, CompilerError> {
        let Some(source) = self.source(module) else {
            return Ok(Made::Nothing);
        };
        let Some(code) = compiler.compile(&source.bytes)? else {
            return Ok(Made::Nothing);
        };
        let Some(pyc) = self.pyc(module, &source, &code) else {
            return Ok(Made::Nothing);
        };
        if let Some(store) = &self.store {
            store.put(&self.key(module, &source), &pyc);
        }
        Ok(Made::Pyc(pyc))
    }

    /// The module's `.pyc` file, from the one that Python made when that is up to date.
    fn converted(&self, module: &Module, source: &Source) -> Option<Vec<u8>> {
        let cached = module.cached.as_deref()?;
        // Not one of another version, or with assertions left out.
        if cached.file_name() != self.format.cached(&module.image)?.file_name() {
            return None;
        }
        let file = self.scene.sysroot.read(cached, FILE_LIMIT).ok()?;
        let (stamp, code) = self.format.split(&file)?;
        let is_fresh = stamp == source.time || stamp == Stamp::Hash(source.hash);
        is_fresh.then(|| self.pyc(module, source, code))?
    }

    /// The file with this code, which was marshalled by Python.
    fn pyc(&self, module: &Module, source: &Source, code: &[u8]) -> Option<Vec<u8>> {
        let name = marshal::text(module.image.as_bytes());
        let mut pyc = Vec::with_capacity(code.len() + name.len() + format::HEADER);
        pyc.extend_from_slice(&self.format.unchecked(source.hash));
        marshal::relocate(code, self.format.layout(), &name, &mut pyc).ok()?;
        Some(pyc)
    }

    fn source(&self, module: &Module) -> Option<Source> {
        let file = self.scene.sysroot.open(&module.source).ok()?;
        let bytes = read(&file)?;
        Some(Source {
            hash: self.format.source_hash(&bytes),
            time: Stamp::of(&file),
            bytes,
        })
    }

    fn key(&self, module: &Module, source: &Source) -> Key {
        Key::new(self.format.magic(), &module.image, &source.bytes)
    }
}

impl Stamp {
    /// What a file that tells its source by time says of this one.
    fn of(source: &OpenFile) -> Self {
        // Python keeps the lower 32 bits of both.
        let seconds = source.identity.modified.div_euclid(1_000_000_000);
        Self::Time {
            modified: seconds as u32,
            size: source.size as u32,
        }
    }
}

impl Format {
    /// Where Python looks for the file of the source at this path (PEP 3147).
    fn cached(&self, source: &ImagePath) -> Option<ImagePath> {
        let mut name = OsString::from(source.as_path().file_stem()?);
        name.push(format!(".{}.pyc", self.tag()));
        source.parent()?.join("__pycache__").ok()?.join(name).ok()
    }
}

/// Says that modules have no bytecode.
fn without(modules: usize, reason: &str) -> String {
    let them = match modules {
        1 => "1 module has".to_owned(),
        modules => format!("{modules} modules have"),
    };
    format!("{them} no bytecode: {reason}; Python compiles what has none at each start")
}

fn read(file: &OpenFile) -> Option<Vec<u8>> {
    if file.size > FILE_LIMIT {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(file.size).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(bytes)
}

/// Works on all items with up to this many threads, each with a state of its own; the results come
/// in the order of the items.
fn spread<'a, I: Sync, S, T: Send>(
    threads: usize,
    items: &'a [I],
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &'a I) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut state = state();
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else {
                return done;
            };
            done.push((at, work(&mut state, item)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len()))
            .map(|_| scope.spawn(worker))
            .collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests;
