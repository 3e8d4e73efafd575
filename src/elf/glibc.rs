//! glibc's search for a library by name (`_dl_map_object`, `open_path`, `open_verify` in
//! `elf/dl-load.c`; `ld.so(8)`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::cache::{Cache, CacheEntry};
use super::files::{FileId, Files, Probe};
use super::process::{Map, MapId, PROGRAM, Process};
use super::profile::Variants;
use super::search::{Found, Trail, join, shown_directory};
use super::{ByteOrder, Class, Machine, Object, ObjectError, Rule};

/// What the system says of directories that the loader does not know itself.
#[derive(Debug)]
pub(super) enum Configuration {
    /// `ld.so.cache`, which is all that the loader reads.
    Cache(Cache),
    /// There is no cache: the directories that `ldconfig` would put into one.
    Conf(Vec<PathBuf>),
    /// Neither, or a loader that reads none.
    None,
}

/// What becomes of one candidate.
enum Verdict {
    Accept(FileId),
    /// The next directory is tried.
    Pass,
    /// The rest of this search path is given up.
    GiveUp,
    /// Loading fails.
    Refuse(String),
}

/// What becomes of a stage of the search.
enum Step {
    Found(Found),
    Next,
    GiveUp,
}

/// One search.
pub(super) struct Search<'s, 'a> {
    pub(super) files: &'s mut Files<'a>,
    pub(super) process: &'s Process,
    pub(super) library_path: &'s [PathBuf],
    /// The object that asks.
    pub(super) asker: MapId,
    pub(super) name: &'s OsStr,
    /// Gets the names of variants for other CPUs that stand in searched directories.
    pub(super) variants: &'s mut Variants,
    /// Gets the searched places, if somebody wants to know.
    pub(super) trail: Option<&'s mut Trail>,
}

impl Search<'_, '_> {
    /// Looks for a name without a slash.
    pub(super) fn by_name(mut self) -> Found {
        self.inherited_rpath()
            .or_else(|| self.library_path())
            .or_else(|| self.runpath())
            .or_else(|| match &self.process.configuration.as_ref() {
                Configuration::Cache(cache) => self.cache(cache),
                Configuration::Conf(directories) => self.conf(directories),
                Configuration::None => None,
            })
            .or_else(|| self.built_in())
            .unwrap_or(Found::Nothing)
    }

    /// Opens a name with a slash: no search, and nothing is passed over for another file.
    pub(super) fn by_path(mut self) -> Found {
        let path = PathBuf::from(self.name);
        if !path.is_absolute() {
            self.pass(|| "the working directory, which an image does not fix".to_owned());
            return Found::Nothing;
        }
        match self.verify(&path) {
            Verdict::Accept(file) => Found::File {
                file,
                path,
                rule: Rule::Path,
            },
            Verdict::Refuse(reason) => Found::Refused { path, reason },
            Verdict::Pass | Verdict::GiveUp => {
                self.pass(|| path.display().to_string());
                Found::Nothing
            }
        }
    }

    /// `DT_RPATH` of the asking object, of the one that loaded it and so on, then that of the
    /// program if the chain did not reach it. A `DT_RUNPATH` of the asking object switches all off.
    fn inherited_rpath(&mut self) -> Option<Found> {
        let process = self.process;
        if process.maps.get(self.asker)?.has_runpath {
            return None;
        }
        let mut program_tried = false;
        for (id, map) in process.chain(self.asker) {
            if let Some(found) = self.rpath_of(map) {
                return Some(found);
            }
            program_tried |= id == PROGRAM;
        }
        if program_tried {
            return None;
        }
        self.rpath_of(process.maps.get(PROGRAM)?)
    }

    fn rpath_of(&mut self, map: &Map) -> Option<Found> {
        for element in &map.rpath {
            let rule = || Rule::Rpath {
                of: map.index,
                element: element.written.clone(),
            };
            match self.open_in(&element.directory, rule) {
                Step::Found(found) => return Some(found),
                Step::Next => {}
                Step::GiveUp => return None,
            }
        }
        None
    }

    fn library_path(&mut self) -> Option<Found> {
        for directory in self.library_path {
            let mut bytes = directory.as_os_str().as_bytes().to_vec();
            if !bytes.ends_with(b"/") {
                bytes.push(b'/');
            }
            let rule = || Rule::LibraryPath {
                directory: directory.clone(),
            };
            match self.open_in(&bytes, rule) {
                Step::Found(found) => return Some(found),
                Step::Next => {}
                Step::GiveUp => return None,
            }
        }
        None
    }

    fn runpath(&mut self) -> Option<Found> {
        let process = self.process;
        let map = process.maps.get(self.asker)?;
        for element in &map.runpath {
            let rule = || Rule::Runpath {
                of: map.index,
                element: element.written.clone(),
            };
            match self.open_in(&element.directory, rule) {
                Step::Found(found) => return Some(found),
                Step::Next => {}
                Step::GiveUp => return None,
            }
        }
        None
    }

    fn cache(&mut self, cache: &Cache) -> Option<Found> {
        let process = self.process;
        if let Some(path) = &process.interpreter.cache {
            self.pass(|| path.display().to_string());
        }
        let entries = cache.lookup(self.name.as_bytes(), &process.interpreter.machine);
        self.see_variants(&entries);
        // The loader looks at one entry alone: the best for its CPU.
        let entry = process
            .profile
            .hwcaps
            .iter()
            .find_map(|level| {
                entries
                    .iter()
                    .find(|entry| entry.hwcap.as_deref() == Some(level.as_bytes()))
            })
            .or_else(|| entries.iter().find(|entry| entry.hwcap.is_none()))?;
        if self.refuses_default(&entry.path) {
            return None;
        }
        let path = PathBuf::from(OsStr::from_bytes(&entry.path));
        match self.verify(&path) {
            Verdict::Accept(file) => Some(Found::File {
                file,
                path,
                rule: Rule::Cache,
            }),
            Verdict::Refuse(reason) => Some(Found::Refused { path, reason }),
            Verdict::Pass | Verdict::GiveUp => None,
        }
    }

    fn see_variants(&mut self, entries: &[&CacheEntry]) {
        for entry in entries {
            let Some(hwcap) = &entry.hwcap else { continue };
            let name = String::from_utf8_lossy(hwcap).into_owned();
            if let Some(trail) = self.trail.as_deref_mut() {
                let path = PathBuf::from(OsStr::from_bytes(&entry.path));
                trail.unsuitable(&path, format!("only for CPUs that have {name}"));
            }
            self.variants.add(&name);
        }
    }

    /// `ldconfig` over `ld.so.conf`: variants come before all else, then the first directory wins.
    fn conf(&mut self, directories: &[PathBuf]) -> Option<Found> {
        let levels = self.process.profile.hwcaps.clone();
        for level in levels.into_iter().map(Some).chain([None]) {
            for directory in directories {
                let mut bytes = directory.as_os_str().as_bytes().to_vec();
                bytes.push(b'/');
                if level.is_none() {
                    self.look_for_variants(&bytes);
                    self.pass(|| format!("{} (ld.so.conf)", directory.display()));
                }
                if let Some(level) = level {
                    bytes.extend_from_slice(format!("glibc-hwcaps/{level}/").as_bytes());
                }
                let path = join(&bytes, self.name.as_bytes());
                if self.refuses_default(path.as_os_str().as_bytes()) {
                    continue;
                }
                if let Verdict::Accept(file) = self.verify(&path)
                    && self.ldconfig_lists(&path, file)
                {
                    return Some(Found::File {
                        file,
                        path,
                        rule: Rule::Conf {
                            directory: directory.clone(),
                        },
                    });
                }
            }
        }
        None
    }

    /// Whether `ldconfig` would list the file under the name that is searched (`search_dir` in
    /// `elf/ldconfig.c`): a file under its soname, a link under its own name unless it leads
    /// to a file of another version.
    fn ldconfig_lists(&mut self, path: &Path, file: FileId) -> bool {
        let name = self.name.as_bytes();
        let pattern = (name.starts_with(b"lib") || name.starts_with(b"ld-"))
            && name.windows(3).any(|part| part == b".so");
        let Ok(object) = self.files.object(file) else {
            return false;
        };
        let soname = object.soname.as_deref().unwrap_or(self.name).as_bytes();
        if !pattern || soname == name {
            return pattern;
        }
        let soname = soname.to_vec();
        let Ok(trace) = self.files.trace(path) else {
            return false;
        };
        let is_link = trace
            .links
            .last()
            .is_some_and(|(link, _)| link.file_name() == path.file_name());
        let real = trace.target.file_name().unwrap_or_default().as_bytes();
        is_link && (real == soname || real.ends_with(b".so") && soname.starts_with(real))
    }

    fn built_in(&mut self) -> Option<Found> {
        if self.no_default_lib() {
            return None;
        }
        let process = self.process;
        for directory in &process.interpreter.directories {
            let bytes = directory.as_os_str().as_bytes();
            let rule = || Rule::Default {
                directory: shown_directory(bytes),
            };
            match self.open_in(bytes, rule) {
                Step::Found(found) => return Some(found),
                Step::Next => {}
                Step::GiveUp => return None,
            }
        }
        None
    }

    /// `DF_1_NODEFLIB` of the asking object.
    fn no_default_lib(&self) -> bool {
        self.process
            .maps
            .get(self.asker)
            .and_then(|map| self.files.object(map.file).ok())
            .is_some_and(|object| object.no_default_lib)
    }

    fn refuses_default(&self, path: &[u8]) -> bool {
        self.no_default_lib()
            && self
                .process
                .interpreter
                .directories
                .iter()
                .any(|directory| path.starts_with(directory.as_os_str().as_bytes()))
    }

    /// Tries one directory of a search path, its subdirectories for the CPU first.
    fn open_in(&mut self, directory: &[u8], rule: impl FnOnce() -> Rule) -> Step {
        if !directory.starts_with(b"/") {
            let written = String::from_utf8_lossy(directory).into_owned();
            self.pass(|| {
                format!("{written:?} in the working directory, which an image does not fix")
            });
            return Step::Next;
        }
        self.pass(|| shown_directory(directory).display().to_string());
        self.look_for_variants(directory);
        let process = self.process;
        let subdirectories = process.profile.subdirectories.iter().map(String::as_str);
        for subdirectory in subdirectories.chain([""]) {
            let place = [directory, subdirectory.as_bytes()].concat();
            if !subdirectory.is_empty() && !self.files.is_directory(&shown_directory(&place)) {
                continue;
            }
            let path = join(&place, self.name.as_bytes());
            match self.verify(&path) {
                Verdict::Accept(file) => {
                    return Step::Found(Found::File {
                        file,
                        path,
                        rule: rule(),
                    });
                }
                Verdict::Refuse(reason) => return Step::Found(Found::Refused { path, reason }),
                Verdict::Pass => {}
                // An error about the directory itself means just that it is not there.
                Verdict::GiveUp if subdirectory.is_empty() => {
                    return match self.files.is_directory(&shown_directory(directory)) {
                        true => Step::GiveUp,
                        false => Step::Next,
                    };
                }
                Verdict::GiveUp => {}
            }
        }
        Step::Next
    }

    /// Notes which variants a directory has, whatever library they are of.
    fn look_for_variants(&mut self, directory: &[u8]) {
        let interpreter = &self.process.interpreter;
        if !self.variants.is_new(directory) && self.trail.is_none() {
            return;
        }
        if interpreter.hwcaps {
            let place = join(directory, b"glibc-hwcaps");
            if self.files.is_directory(&place) {
                for level in self.files.names_in(&place) {
                    self.see_variant(&place.join(&level), &level);
                }
            }
        }
        if interpreter.legacy {
            for name in ["haswell", "xeon_phi", "avx512_1", "atomics"] {
                for above in ["", "tls/"] {
                    let place = join(directory, format!("{above}{name}").as_bytes());
                    if self.files.is_directory(&place) {
                        self.variants.add(name);
                    }
                }
            }
        }
    }

    fn see_variant(&mut self, place: &Path, level: &OsStr) {
        let level = level.to_string_lossy().into_owned();
        if self.trail.is_some() {
            let path = place.join(self.name);
            if matches!(self.files.probe(&path), Probe::File(_))
                && let Some(trail) = self.trail.as_deref_mut()
            {
                trail.unsuitable(&path, format!("only for CPUs that have {level}"));
            }
        }
        self.variants.add(&level);
    }

    /// The test that a found file has to pass (`open_verify`).
    fn verify(&mut self, path: &Path) -> Verdict {
        let file = match self.files.probe(path) {
            Probe::Absent => {
                if let Some(trail) = self.trail.as_deref_mut()
                    && let Some(reason) = self.files.why_absent(path)
                {
                    trail.unsuitable(path, reason);
                }
                return Verdict::Pass;
            }
            Probe::Failing { reason, .. } => {
                if let Some(trail) = self.trail.as_deref_mut() {
                    trail.unsuitable(path, reason);
                }
                return Verdict::GiveUp;
            }
            Probe::NotRegular(reason) => return Verdict::Refuse(reason),
            Probe::File(file) => file,
        };
        let ours = self.process.interpreter.machine;
        let header = match ours.class {
            Class::Elf32 => 52,
            Class::Elf64 => 64,
        };
        if self.files.size(file) < header {
            return Verdict::Refuse("file too short".to_owned());
        }
        let (verdict, reason) = judge(&ours, self.files.object(file), file);
        if let (Some(trail), Some(reason)) = (self.trail.as_deref_mut(), reason) {
            trail.unsuitable(path, reason);
        }
        verdict
    }

    fn pass(&mut self, place: impl FnOnce() -> String) {
        if let Some(trail) = self.trail.as_deref_mut() {
            trail.pass(place());
        }
    }
}

/// What the loader of this machine does with a file, and why it passes over it, in the order in
/// which `open_verify` looks: class, rest of `e_ident`, machine, rest of the header.
fn judge(
    ours: &Machine,
    object: Result<&Object, &ObjectError>,
    file: FileId,
) -> (Verdict, Option<String>) {
    let refuse = |reason: &str| (Verdict::Refuse(reason.to_owned()), None);
    let pass = |reason: String| (Verdict::Pass, Some(reason));
    let theirs = match object {
        Ok(object) => object.machine,
        Err(error) => match error.machine() {
            Some(machine) => machine,
            None if error.is_unknown_class() => return pass(error.to_string()),
            None => return refuse(&error.to_string()),
        },
    };
    if theirs.class != ours.class {
        return pass(format!("wrong ELF class: it is for {}", theirs.name()));
    }
    if theirs.order != ours.order {
        return refuse(match ours.order {
            ByteOrder::Little => "ELF file data encoding not little-endian",
            ByteOrder::Big => "ELF file data encoding not big-endian",
        });
    }
    let refused = object.ok().and_then(|object| object.refused);
    match refused {
        Some(refusal) if refusal.before_machine() => refuse(refusal.reason()),
        _ if !same_abi(ours, &theirs) => pass(format!("it is for {}", theirs.name())),
        Some(refusal) => refuse(refusal.reason()),
        None => match object {
            Ok(_) => (Verdict::Accept(file), None),
            Err(error) => refuse(&error.to_string()),
        },
    }
}

/// `elf_machine_matches_host` of the machines that look at more than `e_machine`.
fn same_abi(ours: &Machine, theirs: &Machine) -> bool {
    const EM_MIPS: u16 = 8;
    const EM_PPC64: u16 = 21;
    const EM_RISCV: u16 = 243;
    if ours.number != theirs.number {
        return false;
    }
    let differing = ours.flags ^ theirs.flags;
    match ours.number {
        // EF_MIPS_ABI2 (n32) and EF_MIPS_NAN2008.
        EM_MIPS => differing & 0x420 == 0,
        // EF_PPC64_ABI: an object that names none fits both.
        EM_PPC64 => theirs.flags & 3 == 0 || ours.flags & 3 == 0 || differing & 3 == 0,
        // EF_RISCV_FLOAT_ABI and EF_RISCV_RVE.
        EM_RISCV => differing & 0xe == 0,
        _ => true,
    }
}
