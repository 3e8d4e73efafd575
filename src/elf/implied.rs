//! What the entries of the dynamic section cannot tell: libraries that a program opens while
//! it runs, as far as notes, imports and strings give them away.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::files::FileId;
use super::process::{MapId, PROGRAM, Process};
use super::resolution::{Loaded, Resolution, searcher};
use super::search::Found;
use super::versions::glibc_minor;
use super::{DlopenNote, Finding, Flavour, Notice, Priority, literals};

/// Functions for which libc opens `libgcc_s.so.1`, to unwind the stack.
const UNWINDING: [&str; 4] = ["pthread_cancel", "pthread_exit", "thrd_exit", "backtrace"];
const UNWINDER: &str = "libgcc_s.so.1";

/// The first glibc that holds the services `files` and `dns` itself.
const FIRST_WITH_SERVICES_INSIDE: u32 = 34;
/// Functions that ask name services, by the start of their names: of hosts, and of all else.
const HOST_FUNCTIONS: [&str; 4] = ["getaddrinfo", "getnameinfo", "gethostby", "gethostent"];
const FILE_FUNCTIONS: [&str; 16] = [
    "getpwnam",
    "getpwuid",
    "getpwent",
    "getgrnam",
    "getgrgid",
    "getgrent",
    "getgrouplist",
    "initgroups",
    "getspnam",
    "getservbyname",
    "getservbyport",
    "getservent",
    "getprotobyname",
    "getprotobynumber",
    "getnetbyname",
    "getnetbyaddr",
];

impl Resolution<'_> {
    /// Loads what the objects of a started process open later.
    pub(super) fn implied(&mut self, process: &mut Process) {
        // What must be there comes first, so that nothing required counts as optional.
        self.notes(process, |priority| priority == Priority::Required);
        self.notes(process, |priority| priority != Priority::Required);
        if process.interpreter.flavour == Flavour::Glibc {
            self.name_services(process);
            self.unwinder(process);
        }
        self.program_hints(process);
    }

    /// `.note.dlopen` of every object, also of those that such notes bring in (UAPI.12).
    fn notes(&mut self, process: &mut Process, wanted: fn(Priority) -> bool) {
        let mut at = 0;
        while let Some(map) = process.maps.get(at) {
            let notes: Vec<DlopenNote> = match self.files.object(map.file) {
                Ok(object) => object
                    .dlopen_notes
                    .iter()
                    .filter(|note| wanted(note.priority))
                    .cloned()
                    .collect(),
                Err(_) => Vec::new(),
            };
            for note in notes {
                self.note(process, at, note);
            }
            at += 1;
        }
    }

    fn note(&mut self, process: &mut Process, asker: MapId, note: DlopenNote) {
        let Some((index, optional)) = process.maps.get(asker).map(|map| {
            (
                map.index,
                map.optional || note.priority != Priority::Required,
            )
        }) else {
            return;
        };
        let finding = Finding::DlopenNote(note.feature.clone());
        let loaded = note
            .sonames
            .iter()
            .any(|soname| process.named(soname).is_some());
        if note.priority == Priority::Suggested && !self.resolver.suggested && !loaded {
            self.notice(Notice::Suggested {
                sonames: note.sonames,
                feature: note.feature,
                by: index,
            });
            return;
        }
        let searching = searcher(process, asker, &finding);
        let available = note.sonames.iter().find(|soname| {
            matches!(
                self.find(process, searching, soname, None),
                None | Some(Found::File { .. })
            )
        });
        // With none available, the request for the best says where it was looked for.
        let Some(soname) = available.or(note.sonames.first()) else {
            return;
        };
        self.load_with_dependencies(process, asker, soname, &finding, optional);
        if available.is_none() {
            self.note_alternatives(&note);
        }
    }

    fn load_with_dependencies(
        &mut self,
        process: &mut Process,
        asker: MapId,
        name: &OsStr,
        finding: &Finding,
        optional: bool,
    ) {
        if let Loaded::New(map) = self.load(process, asker, name, finding, optional) {
            self.dependencies(process, map);
        }
    }

    /// `libgcc_s.so.1`, unless it is there anyway.
    fn unwinder(&mut self, process: &mut Process) {
        let name = OsStr::new(UNWINDER);
        if process.named(name).is_some() || process.named(OsStr::new("libc.so.6")).is_none() {
            return;
        }
        if let Some((asker, function)) = self.importer(process, |import| {
            UNWINDING
                .into_iter()
                .find(|function| import == function.as_bytes())
        }) {
            self.load_with_dependencies(process, asker, name, &Finding::Libc(function), true);
        }
    }

    /// The modules of the services `files` and `dns`, where libc opens them from files.
    fn name_services(&mut self, process: &mut Process) {
        let old = process
            .named(OsStr::new("libc.so.6"))
            .and_then(|map| self.files.object(process.maps.get(map)?.file).ok())
            .and_then(glibc_minor)
            .is_some_and(|minor| minor < FIRST_WITH_SERVICES_INSIDE);
        if !old {
            return;
        }
        fn starting(names: &'static [&str], import: &[u8]) -> Option<&'static str> {
            names
                .iter()
                .copied()
                .find(|name| import.starts_with(name.as_bytes()))
        }
        let hosts = self.importer(process, |import| starting(&HOST_FUNCTIONS, import));
        let files =
            hosts.or_else(|| self.importer(process, |import| starting(&FILE_FUNCTIONS, import)));
        if let Some((asker, function)) = files {
            let name = OsStr::new("libnss_files.so.2");
            self.load_with_dependencies(process, asker, name, &Finding::Libc(function), true);
        }
        if let Some((asker, function)) = hosts {
            let name = OsStr::new("libnss_dns.so.2");
            self.load_with_dependencies(process, asker, name, &Finding::Libc(function), true);
        }
    }

    /// The first object, other than libc and its parts, that imports a function of interest.
    fn importer(
        &mut self,
        process: &Process,
        wanted: impl Fn(&[u8]) -> Option<&'static str>,
    ) -> Option<(MapId, &'static str)> {
        for (id, map) in process.maps.iter().enumerate() {
            if self.is_part_of_libc(map.file) {
                continue;
            }
            let found = self.imports(map.file).undefined().find_map(&wanted);
            if let Some(function) = found {
                return Some((id, function));
            }
        }
        None
    }

    /// libc and the loader define these functions; they are told by what they define.
    fn is_part_of_libc(&self, file: FileId) -> bool {
        self.files.object(file).is_ok_and(|object| {
            object
                .version_definitions
                .iter()
                .any(|definition| definition.version.as_bytes() == b"GLIBC_PRIVATE")
        })
    }

    /// What the program's own strings say.
    fn program_hints(&mut self, process: &Process) {
        let Some(program) = process.maps.get(PROGRAM) else {
            return;
        };
        // The strings are the same for every kind of CPU.
        if !process.profile.name.is_empty() {
            return;
        }
        let (file, index) = (program.file, program.index);
        // The program may call `dlopen` itself, or through a library (`g_module_open`).
        let opens = |import: &[u8]| {
            ["dlopen", "dlmopen"]
                .into_iter()
                .find(|name| import == name.as_bytes())
        };
        if self.importer(process, opens).is_some() {
            self.literal_hints(process, file, index);
        }
    }

    /// Names of libraries in the program's read-only data that could be handed to `dlopen`.
    fn literal_hints(&mut self, process: &Process, file: FileId, index: usize) {
        let names = self
            .files
            .reopen(file)
            .and_then(|file| literals::library_names(&file))
            .unwrap_or_default();
        for name in names {
            let name = OsString::from(OsStr::from_bytes(&name));
            if let Some(Found::File { file, path, .. }) = self.find(process, PROGRAM, &name, None)
                && process.of_file(file).is_none()
            {
                self.notice(Notice::Hint {
                    name,
                    path,
                    by: index,
                });
            }
        }
    }

    /// A static program that uses name services needs the same glibc's modules when it runs.
    pub(super) fn static_program(&mut self, path: &Path, file: FileId) {
        let uses = |text: &[u8]| {
            self.files
                .reopen(file)
                .and_then(|file| literals::contains(&file, text))
                .unwrap_or(false)
        };
        if uses(b"libnss_") && uses(b"/etc/nsswitch.conf") {
            let shown = self.files.show(path);
            self.warn(format!(
                "{shown} is static but asks name services (getaddrinfo, getpwnam...) through \
                 glibc, which opens modules of the very same glibc at run time; link it \
                 dynamically, or with musl, if it looks up hosts or users"
            ));
        }
    }
}
