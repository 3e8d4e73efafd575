//! Requests for libraries: what is loaded, in which order, and by which search.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Resolution;
use crate::elf::files::{FileId, has_slash};
use crate::elf::process::{MapId, Mapping, PROGRAM, Process};
use crate::elf::search::{Found, Trail, expand};
use crate::elf::symbols::{Dependency, Symbols, dependency_order};
use crate::elf::{Finding, Object, ObjectKind, Request, Rule, glibc, musl};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::elf) enum Loaded {
    /// The process had it.
    Already(MapId),
    /// It was mapped now; what it needs in turn is still to be loaded.
    New(MapId),
    /// The kernel maps it without a file (the vDSO).
    Kernel,
    /// It is missing or refused, which was noted.
    Failed,
}

/// A file that a search found.
struct Candidate<'c> {
    file: FileId,
    path: &'c Path,
    /// The object of which the search path was followed: the start of the new one's chain.
    searcher: MapId,
    optional: bool,
}

impl Resolution<'_> {
    /// Loads what `first` needs, breadth first (`_dl_map_object_deps`).
    pub(in crate::elf) fn dependencies(&mut self, process: &mut Process, first: MapId) {
        let mut list = vec![(first, false)];
        let mut at = 0;
        while let Some((map, done)) = list.get_mut(at) {
            if std::mem::replace(done, true) {
                at += 1;
                continue;
            }
            let map = *map;
            // Filters put their target in front of the object that has them, so that what
            // the targets need is loaded before what later objects need.
            let mut here = at;
            for (kind, name) in self.dependencies_of(process, map) {
                let loaded = match kind {
                    Dependency::Needed => self.load_for(process, map, &name, &Finding::Needed),
                    Dependency::Filter => self.load_for(process, map, &name, &Finding::Filter),
                    Dependency::Auxiliary => self.load_if_there(process, map, &name),
                };
                if let Some(Loaded::New(new)) = loaded {
                    match kind {
                        Dependency::Needed => list.push((new, false)),
                        Dependency::Filter | Dependency::Auxiliary => {
                            list.insert(here, (new, false));
                            here += 1;
                        }
                    }
                } else if let (Some(Loaded::Already(known)), false) =
                    (loaded, kind == Dependency::Needed)
                {
                    // An object that waits behind is moved to this earlier place.
                    if let Some(late) = (here + 1..list.len())
                        .find(|late| list.get(*late).is_some_and(|item| item.0 == known))
                    {
                        let item = list.remove(late);
                        list.insert(here, item);
                        here += 1;
                    }
                }
            }
        }
    }

    /// The names of other objects in an object, in the order of its dynamic section.
    fn dependencies_of(&self, process: &Process, map: MapId) -> Vec<(Dependency, OsString)> {
        let Some(map) = process.maps.get(map) else {
            return Vec::new();
        };
        let Ok(object) = self.files.object(map.file) else {
            return Vec::new();
        };
        let needed = object
            .needed
            .iter()
            .map(|name| (Dependency::Needed, name.clone()));
        if process.is_musl() || object.filters.is_empty() && object.auxiliaries.is_empty() {
            return needed.collect();
        }
        let order = self
            .files
            .reopen(map.file)
            .and_then(|file| dependency_order(&file))
            .unwrap_or_default();
        let mut names: BTreeMap<u8, std::slice::Iter<'_, OsString>> = BTreeMap::from([
            (Dependency::Needed as u8, object.needed.iter()),
            (Dependency::Filter as u8, object.filters.iter()),
            (Dependency::Auxiliary as u8, object.auxiliaries.iter()),
        ]);
        order
            .into_iter()
            .filter_map(|kind| {
                let name = names.get_mut(&(kind as u8))?.next()?;
                Some((kind, name.clone()))
            })
            .collect()
    }

    fn load_for(
        &mut self,
        process: &mut Process,
        asker: MapId,
        name: &OsStr,
        finding: &Finding,
    ) -> Option<Loaded> {
        let optional = process.maps.get(asker)?.optional;
        Some(self.load(process, asker, name, finding, optional))
    }

    /// Loads a library whose absence is no matter.
    fn load_if_there(
        &mut self,
        process: &mut Process,
        asker: MapId,
        name: &OsStr,
    ) -> Option<Loaded> {
        let name = self.expanded(process, asker, name)?;
        match self.find(process, asker, &name, None) {
            Some(Found::File { .. }) | None => {
                let optional = process.maps.get(asker)?.optional;
                Some(self.load(process, asker, &name, &Finding::Filter, optional))
            }
            Some(Found::Refused { .. } | Found::Nothing) => None,
        }
    }

    /// One request (`_dl_map_object`, musl's `load_library`).
    pub(in crate::elf) fn load(
        &mut self,
        process: &mut Process,
        asker: MapId,
        name: &OsStr,
        finding: &Finding,
        optional: bool,
    ) -> Loaded {
        let Some(by) = process.maps.get(asker).map(|map| map.index) else {
            return Loaded::Failed;
        };
        let request = |rule| Request {
            by: (*finding != Finding::DlopenOption).then_some(by),
            name: name.to_os_string(),
            finding: finding.clone(),
            rule,
        };
        let Some(wanted) = self.expanded(process, asker, name) else {
            let trail = Trail::default();
            let note = "a token in the name has no value on this machine; link the \
                        library by its soname"
                .to_owned();
            self.fail(by, name, finding, optional, trail, Some(note));
            return Loaded::Failed;
        };
        if process.is_musl() && musl::is_itself(&wanted, &process.interpreter.path) {
            return match process.named(process.interpreter.path.as_os_str()) {
                Some(map) => self.answer(process, map, request(Rule::MuslItself)),
                // The missing loader has been noted.
                None => Loaded::Kernel,
            };
        }
        if let Some(map) = process.named(&wanted) {
            return self.answer(process, map, request(Rule::AlreadyLoaded));
        }
        if !process.is_musl() && is_vdso(&wanted) {
            return Loaded::Kernel;
        }
        let searcher = searcher(process, asker, finding);
        match self.find(process, searcher, &wanted, None) {
            Some(Found::File { file, path, rule }) => {
                let candidate = Candidate {
                    file,
                    path: &path,
                    searcher,
                    optional,
                };
                self.map(process, &wanted, by, &candidate, request(rule))
            }
            Some(Found::Refused { path, reason }) => {
                self.refuse(name, &path, by, optional, reason);
                Loaded::Failed
            }
            Some(Found::Nothing) | None => {
                let mut trail = Trail::default();
                self.find(process, searcher, &wanted, Some(&mut trail));
                let note = why_hopeless(&wanted, finding);
                self.fail(by, name, finding, optional, trail, note);
                Loaded::Failed
            }
        }
    }

    /// The answer to a request was in the process already.
    fn answer(&mut self, process: &Process, map: MapId, request: Request) -> Loaded {
        if let Some(known) = process.maps.get(map) {
            self.request(known.index, request);
        }
        Loaded::Already(map)
    }

    /// Maps a file that was found (`_dl_map_object_from_fd`).
    fn map(
        &mut self,
        process: &mut Process,
        name: &OsStr,
        by: usize,
        candidate: &Candidate<'_>,
        request: Request,
    ) -> Loaded {
        let Candidate { file, path, .. } = *candidate;
        let known = process.of_file(file);
        if known.is_none() {
            if let Some(reason) = self.unmappable(process, file) {
                self.refuse(&request.name, path, by, candidate.optional, reason);
                return Loaded::Failed;
            }
            if self.is_another_libc(process, file) {
                let itself = Request {
                    rule: Rule::MuslItself,
                    ..request
                };
                return match process.named(process.interpreter.path.as_os_str()) {
                    Some(map) => self.answer(process, map, itself),
                    None => Loaded::Kernel,
                };
            }
        }
        let index = match self.member(file, path) {
            Ok(index) => index,
            Err(error) => {
                self.reject(&request.name, path, Some(by), error.to_string());
                return Loaded::Failed;
            }
        };
        // musl remembers one searched name of an object, and none of what it opened by path.
        let named = !process.is_musl() || !has_slash(name);
        if let Some(map) = known {
            if named && !(process.is_musl() && process.is_named(map)) {
                process.name(name, map);
            }
            return self.answer(process, map, request);
        }
        let Ok(object) = self.files.object(file) else {
            return Loaded::Failed;
        };
        let mapping = Mapping {
            file,
            index,
            real: path,
            parent: Some(candidate.searcher),
            optional: candidate.optional,
        };
        let map = process.map(&mapping, object);
        process.register(file, map);
        if named {
            process.name(name, map);
        }
        if !process.is_musl() {
            process.name(path.as_os_str(), map);
            if let Some(soname) = &object.soname {
                process.name(soname, map);
            }
        }
        self.request(index, request);
        self.warn_of_relative_paths(process, map);
        Loaded::New(map)
    }

    /// Why glibc refuses a file that its search accepts.
    fn unmappable(&self, process: &Process, file: FileId) -> Option<String> {
        let object = self.files.object(file).ok()?;
        if process.is_musl() {
            return None;
        }
        match object.kind {
            ObjectKind::Other => Some("only ET_DYN and ET_EXEC can be loaded".to_owned()),
            _ if object.executable => {
                Some("it is an executable, which the loader does not load as a library".to_owned())
            }
            _ => None,
        }
    }

    /// musl throws a second libc away, whatever its name: one that defines both
    /// `__libc_start_main` and `stdin`.
    fn is_another_libc(&self, process: &Process, file: FileId) -> bool {
        let suspicious = |object: &Object| {
            object
                .soname
                .as_deref()
                .is_some_and(|soname| soname.as_bytes().starts_with(b"libc."))
                || object
                    .version_definitions
                    .iter()
                    .any(|definition| definition.version.as_bytes().starts_with(b"GLIBC_"))
        };
        process.is_musl()
            && self.files.object(file).is_ok_and(suspicious)
            && self
                .files
                .reopen(file)
                .and_then(|file| Symbols::all(&file))
                .is_ok_and(|symbols| {
                    [&b"__libc_start_main"[..], b"stdin"]
                        .iter()
                        .all(|wanted| symbols.defined().any(|name| name == *wanted))
                })
    }

    /// The name with its tokens replaced; `None` when one has no value.
    fn expanded(&self, process: &Process, asker: MapId, name: &OsStr) -> Option<OsString> {
        if process.is_musl() || !name.as_bytes().contains(&b'$') {
            return Some(name.to_os_string());
        }
        let map = process.maps.get(asker)?;
        let bytes = expand(name.as_bytes(), process.tokens(&map.origin))?;
        Some(OsStr::from_bytes(&bytes).to_os_string())
    }

    /// Searches, without loading. `None` when the process has the name already.
    pub(in crate::elf) fn find(
        &mut self,
        process: &Process,
        asker: MapId,
        name: &OsStr,
        trail: Option<&mut Trail>,
    ) -> Option<Found> {
        if process.named(name).is_some() {
            return None;
        }
        let library_path = &self.resolver.library_path;
        let files = &mut self.files;
        Some(match (process.is_musl(), has_slash(name)) {
            (true, slash) => {
                let search = musl::Search {
                    files,
                    process,
                    library_path,
                    asker,
                    name,
                    trail,
                };
                match slash {
                    true => search.by_path(),
                    false => search.by_name(),
                }
            }
            (false, slash) => {
                let search = glibc::Search {
                    files,
                    process,
                    library_path,
                    asker,
                    name,
                    variants: &mut self.variants,
                    trail,
                };
                match slash {
                    true => search.by_path(),
                    false => search.by_name(),
                }
            }
        })
    }
}

/// The object of which the search path counts. It is the one that asks, except that musl's
/// `dlopen` knows only the program, and that what libc opens for itself is searched by libc.
pub(in crate::elf) fn searcher(process: &Process, asker: MapId, finding: &Finding) -> MapId {
    match finding {
        Finding::DlopenNote(_) if process.is_musl() => PROGRAM,
        Finding::Libc(_) => process.named(OsStr::new("libc.so.6")).unwrap_or(asker),
        _ => asker,
    }
}

/// What to say of a missing library where the usual advice is of no use.
fn why_hopeless(wanted: &OsStr, finding: &Finding) -> Option<String> {
    let relative = has_slash(wanted) && !Path::new(wanted).is_absolute();
    match (finding, relative) {
        (Finding::DlopenOption, true) => Some(
            "it was named with --dlopen, by a path that is relative to the working directory, \
             which an image does not fix; give its soname or an absolute path"
                .to_owned(),
        ),
        (Finding::DlopenOption, false) => Some(
            "it was named with --dlopen; correct the name, install it, or give its directory with \
             --library-path DIR"
                .to_owned(),
        ),
        (_, true) => Some(
            "the name is relative to the working directory, which an image does not fix; link the \
             library by its soname"
                .to_owned(),
        ),
        (_, false) => None,
    }
}

/// Objects that the kernel maps into every process by itself.
fn is_vdso(name: &OsStr) -> bool {
    [
        "linux-vdso.so.1",
        "linux-gate.so.1",
        "linux-vdso32.so.1",
        "linux-vdso64.so.1",
    ]
    .iter()
    .any(|known| name == *known)
}
