//! What a resolution notes down: objects, requests, what is missing or refused, warnings.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Member, Resolution};
use crate::elf::files::FileId;
use crate::elf::process::{MapId, Process};
use crate::elf::search::Trail;
use crate::elf::symbols::Symbols;
use crate::elf::{DlopenNote, Finding, MissingLibrary, Notice, Rejected, Request};
use crate::sysroot::TraceError;

impl Resolution<'_> {
    /// Takes a file into the closure, or notes a further name of one that is in it.
    pub(super) fn member(&mut self, file: FileId, path: &Path) -> Result<usize, TraceError> {
        if let Some(index) = self.by_file.get(&file).copied()
            && let Some(member) = self.members.get_mut(index)
        {
            let known =
                member.path == path || member.aliases.iter().any(|(alias, _)| alias == path);
            if !known {
                let trace = self.files.trace(path)?;
                member.aliases.push((path.to_path_buf(), trace));
            }
            return Ok(index);
        }
        let trace = self.files.trace(path)?;
        self.members.push(Member {
            file,
            path: path.to_path_buf(),
            trace,
            aliases: Vec::new(),
            requests: Vec::new(),
        });
        self.by_file.insert(file, self.members.len() - 1);
        Ok(self.members.len() - 1)
    }

    /// Notes a request that ended at an object.
    pub(super) fn request(&mut self, index: usize, request: Request) {
        if let Some(member) = self.members.get_mut(index)
            && !member.requests.contains(&request)
        {
            member.requests.push(request);
        }
    }

    /// A library is missing: an error, or a warning if the program can do without.
    pub(super) fn fail(
        &mut self,
        by: usize,
        name: &OsStr,
        finding: &Finding,
        optional: bool,
        trail: Trail,
        note: Option<String>,
    ) {
        if !optional {
            self.add_missing(by, name, finding, trail, note);
            return;
        }
        let asker = self.shown_member(by);
        let why = match finding {
            Finding::DlopenNote(Some(feature)) => format!(" for {feature} (.note.dlopen)"),
            Finding::DlopenNote(None) => " (.note.dlopen)".to_owned(),
            Finding::Libc(function) => format!(" (libc opens it for {function})"),
            Finding::Audit => " (DT_AUDIT)".to_owned(),
            _ => " (and is itself opened only on demand)".to_owned(),
        };
        self.warn(format!(
            "{} was not found; {asker} wants it{why}",
            name.display()
        ));
    }

    pub(super) fn add_missing(
        &mut self,
        by: usize,
        name: &OsStr,
        finding: &Finding,
        trail: Trail,
        note: Option<String>,
    ) {
        let at = match self.missing.iter().position(|known| known.name == name) {
            Some(at) => at,
            None => {
                self.missing.push(MissingLibrary {
                    name: name.to_os_string(),
                    needed_by: Vec::new(),
                    searched: Vec::new(),
                    unsuitable: Vec::new(),
                    finding: finding.clone(),
                    note,
                });
                self.missing.len() - 1
            }
        };
        let Some(missing) = self.missing.get_mut(at) else {
            return;
        };
        if !missing.needed_by.contains(&by) {
            missing.needed_by.push(by);
        }
        for place in trail.searched {
            if !missing.searched.contains(&place) {
                missing.searched.push(place);
            }
        }
        for (path, reason) in trail.unsuitable {
            if !missing.unsuitable.iter().any(|(known, _)| *known == path) {
                missing.unsuitable.push((path, reason));
            }
        }
    }

    /// Says of a missing library that others would do as well.
    pub(in crate::elf) fn note_alternatives(&mut self, note: &DlopenNote) {
        let [first, others @ ..] = note.sonames.as_slice() else {
            return;
        };
        let Some(missing) = self.missing.iter_mut().find(|known| known.name == *first) else {
            return;
        };
        let purpose = match &note.feature {
            Some(feature) => format!(" for {feature}"),
            None => String::new(),
        };
        let others: String = others
            .iter()
            .map(|other| format!(" or {}", other.display()))
            .collect();
        missing.note.get_or_insert(format!(
            "a .note.dlopen note requires {}{others}{purpose}; install it, or give its directory \
             with --library-path DIR",
            first.display()
        ));
    }

    pub(super) fn refuse(
        &mut self,
        name: &OsStr,
        path: &Path,
        by: usize,
        optional: bool,
        reason: String,
    ) {
        if optional {
            let shown = self.files.show(path);
            let asker = self.shown_member(by);
            self.warn(format!(
                "{shown} would be refused by the loader ({reason}) when {asker} opens it"
            ));
        } else {
            self.reject(name, path, Some(by), reason);
        }
    }

    pub(super) fn reject(
        &mut self,
        name: &OsStr,
        path: &Path,
        needed_by: Option<usize>,
        reason: String,
    ) {
        let rejected = Rejected {
            name: name.to_os_string(),
            path: path.to_path_buf(),
            needed_by,
            reason,
        };
        if !self.rejected.contains(&rejected) {
            self.rejected.push(rejected);
        }
    }

    pub(in crate::elf) fn warn(&mut self, text: String) {
        self.notice(Notice::Warning(text));
    }

    pub(in crate::elf) fn notice(&mut self, notice: Notice) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// The symbols that an object takes from others; none if they cannot be read.
    pub(in crate::elf) fn imports(&mut self, file: FileId) -> Rc<Symbols> {
        if let Some(known) = self.imports.get(&file) {
            return known.clone();
        }
        let symbols = self
            .files
            .reopen(file)
            .and_then(|file| Symbols::imports(&file))
            .unwrap_or_default();
        let symbols = Rc::new(symbols);
        self.imports.insert(file, symbols.clone());
        symbols
    }

    /// The path of an object of the closure, for people.
    pub(in crate::elf) fn shown_member(&self, index: usize) -> String {
        self.members
            .get(index)
            .map_or_else(String::new, |member| self.files.show(&member.path))
    }

    /// The path of the file itself, all links followed.
    pub(in crate::elf) fn real_path(&self, index: usize) -> Option<PathBuf> {
        let member = self.members.get(index)?;
        Some(member.trace.target.as_path().to_path_buf())
    }

    /// Elements that depend on the working directory are passed over: say so once.
    pub(super) fn warn_of_relative_paths(&mut self, process: &Process, map: MapId) {
        let Some(map) = process.maps.get(map) else {
            return;
        };
        let relative = map
            .rpath
            .iter()
            .chain(&map.runpath)
            .find(|element| !element.directory.starts_with(b"/"));
        let platform = [&map.rpath, &map.runpath]
            .into_iter()
            .flatten()
            .any(|element| {
                let written = element.written.as_bytes();
                written
                    .windows(9)
                    .any(|part| part == b"$PLATFORM" || part == b"{PLATFORM")
            });
        let shown = self.shown_member(map.index);
        if let Some(element) = relative {
            self.warn(format!(
                "{shown} searches {:?}, which is relative to the working directory: it was passed \
                 over, since an image does not fix that directory; link with $ORIGIN instead",
                element.written
            ));
        }
        if platform && !process.is_musl() {
            // Loaders before 2.37 give some CPUs another name than the kernel's.
            if process.interpreter.legacy {
                self.variants.add("haswell");
                self.variants.add("xeon_phi");
            }
            self.warn(format!(
                "{shown} searches a directory named after the CPU ($PLATFORM): what exists for {} was taken",
                process.profile.platform.unwrap_or("no platform")
            ));
        }
    }
}
