//! The companions of a build: of the runtime, of rules, of a trace.

use std::collections::BTreeSet;

use crate::ImagePath;
use crate::app::{Companions, Provenance, Role};
use crate::rootfs::{EntryKind, Included, Origin};

/// What comes along, each path once.
#[derive(Debug, Default)]
pub(super) struct Along {
    groups: Vec<Companions>,
    /// Paths of `--include`, whose files go before all others.
    included: BTreeSet<ImagePath>,
    /// Paths that were taken out again.
    left_out: BTreeSet<ImagePath>,
    /// The paths of `groups`.
    known: BTreeSet<ImagePath>,
}

impl Along {
    /// Nothing yet. What `includes` bring will not come a second time.
    pub(super) fn new(includes: &[Included]) -> Self {
        let included = includes
            .iter()
            .filter(|included| included.entry.kind != EntryKind::Directory)
            .map(|included| included.path.clone())
            .collect();
        Self {
            included,
            ..Self::default()
        }
    }

    /// What comes along, in the order in which it came.
    pub(super) fn groups(&self) -> &[Companions] {
        &self.groups
    }

    /// Whether a path comes along or is included.
    pub(super) fn holds(&self, path: &ImagePath) -> bool {
        self.known.contains(path) || self.included.contains(path)
    }

    /// Adds what is not there yet; says whether there was any.
    pub(super) fn add(&mut self, groups: Vec<Companions>) -> bool {
        let mut grew = false;
        for mut group in groups {
            group.files.retain(|file| {
                !self.included.contains(&file.path)
                    && !self.left_out.contains(&file.path)
                    && self.known.insert(file.path.clone())
            });
            if group.files.is_empty() {
                continue;
            }
            grew = true;
            for file in &mut group.files {
                file.entry.mode = usable_mode(file);
            }
            let same = |known: &&mut Companions| {
                (&known.by, &known.reason) == (&group.by, &group.reason)
                    && !matches!(group.by, Provenance::App)
            };
            match self.groups.iter_mut().find(same) {
                Some(known) => known.files.append(&mut group.files),
                None => self.groups.push(group),
            }
        }
        grew
    }

    /// The files that may be left out when their libraries are missing.
    pub(super) fn optional(&self) -> BTreeSet<ImagePath> {
        let files = self.groups.iter().flat_map(|group| &group.files);
        files
            .filter(|file| file.role == Role::Optional)
            .map(|file| file.path.clone())
            .collect()
    }

    /// Takes these paths out, for good.
    pub(super) fn leave_out(&mut self, paths: impl IntoIterator<Item = ImagePath>) {
        self.left_out.extend(paths);
        for group in &mut self.groups {
            group
                .files
                .retain(|file| !self.left_out.contains(&file.path));
        }
        self.groups.retain(|group| !group.files.is_empty());
    }
}

/// A mode with which the image's user can use the file. Of one that was moved only whether it is
/// executable matters, not who built it with which umask.
fn usable_mode(file: &crate::app::Companion) -> u32 {
    let mode = file.entry.mode;
    match file.entry.kind {
        _ if file.entry.origin == Origin::Include => mode,
        EntryKind::File(_) if file.path.as_path() == file.source => {
            (mode & 0o777) | ((mode >> 6) & 0o5)
        }
        EntryKind::File(_) if mode & 0o111 == 0 => 0o644,
        EntryKind::File(_) => 0o755,
        EntryKind::Directory if file.path.as_path() == file.source => {
            (mode & 0o1777) | ((mode >> 6) & 0o5)
        }
        // A directory that is made, such as one to write to, says itself what it needs.
        EntryKind::Directory | EntryKind::Symlink(_) | EntryKind::HardLink(_) => mode,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::app::Companion;
    use crate::rootfs::{Content, Entry};

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    fn companion(at: &str, mode: u32, source: &str, role: Role) -> Companion {
        let content = Content::Bytes(b"x".as_slice().into());
        Companion {
            path: path(at),
            entry: Entry::file(content, mode, Origin::Runtime),
            source: source.into(),
            role,
        }
    }

    fn group(files: Vec<Companion>) -> Companions {
        Companions {
            by: Provenance::Runtime,
            reason: "a test".into(),
            files,
        }
    }

    fn paths(along: &Along) -> Vec<String> {
        let files = along.groups().iter().flat_map(|group| &group.files);
        files.map(|file| file.path.to_string()).collect()
    }

    #[test]
    fn each_path_comes_once_and_what_comes_again_is_no_news() {
        let mut along = Along::new(&[]);
        let files = vec![companion("/a", 0o644, "/a", Role::Data)];
        assert!(along.add(vec![group(files.clone())]));
        assert!(!along.add(vec![group(files)]));
        assert!(along.add(vec![group(vec![companion("/b", 0o644, "/b", Role::Data)])]));
        assert_eq!(paths(&along), ["/a", "/b"]);
        assert_eq!(along.groups().len(), 1);
    }

    #[test]
    fn an_included_file_goes_before_what_would_come_along() {
        let included = Included {
            path: path("/etc/app.conf"),
            entry: companion("/etc/app.conf", 0o644, "/mine", Role::Data).entry,
            source: "/mine".into(),
            notice: None,
        };
        let mut along = Along::new(&[included]);
        let other = companion("/etc/app.conf", 0o644, "/etc/app.conf", Role::Data);
        assert!(!along.add(vec![group(vec![other])]));
        assert!(along.holds(&path("/etc/app.conf")));
    }

    #[test]
    fn what_was_left_out_does_not_come_back() {
        let mut along = Along::new(&[]);
        let module = companion("/lib/module.so", 0o644, "/lib/module.so", Role::Optional);
        along.add(vec![group(vec![module.clone()])]);
        assert_eq!(along.optional().len(), 1);
        along.leave_out(along.optional());
        assert!(!along.add(vec![group(vec![module])]));
        assert!(along.groups().is_empty());
    }

    #[test]
    fn the_umask_of_who_built_it_does_not_show_in_what_moves() {
        let mut along = Along::new(&[]);
        along.add(vec![group(vec![
            companion("/app/a.py", 0o600, "/home/a.py", Role::Data),
            companion("/app/run", 0o775, "/home/run", Role::Data),
            companion("/etc/kept", 0o640, "/etc/kept", Role::Data),
        ])]);
        let files = along.groups().iter().flat_map(|group| &group.files);
        let modes: Vec<u32> = files.map(|file| file.entry.mode).collect();
        assert_eq!(modes, [0o644, 0o755, 0o644]);
    }
}
