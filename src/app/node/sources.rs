//! Which local files an app's own sources require, and which packages they name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use super::NodeError;
use super::disk::{Disk, normal};
use super::imports;
use super::manifest::Manifest;
use super::project::is_secret;
use super::tree::package_of;
use crate::ImagePath;

/// Sources that are larger hold data.
const MAX_SOURCE: u64 = 16 << 20;
/// How many files are followed.
const MAX_FILES: usize = 50_000;
/// What Node.js tries to append to a name (`require.extensions`), and what it runs by now.
const EXTENSIONS: [&str; 8] = [
    ".js", ".json", ".node", ".mjs", ".cjs", ".ts", ".mts", ".cts",
];

/// What is required, directly or not, starting from some files.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    /// The real files, those at the start included.
    pub(super) files: BTreeSet<ImagePath>,
    /// Packages by name, with the first file that names each.
    pub(super) packages: BTreeMap<String, ImagePath>,
    /// Files that lie outside of where the app may reach.
    pub(super) outside: BTreeSet<ImagePath>,
    /// Files that compute what they load.
    pub(super) computed: BTreeSet<ImagePath>,
}

impl Sources {
    /// Follows the sources of the app in `own` from `start`, within `reach`.
    pub(super) fn follow(
        disk: &mut Disk<'_>,
        start: &[ImagePath],
        own: &ImagePath,
        reach: &ImagePath,
    ) -> Result<Self, NodeError> {
        let mut found = Self::default();
        let mut queue: VecDeque<ImagePath> = VecDeque::new();
        let limits = Limits { own, reach };
        for file in start {
            if found.files.insert(file.clone()) {
                queue.push_back(file.clone());
            }
        }
        while let Some(file) = queue.pop_front() {
            if found.files.len() > MAX_FILES {
                return Err(NodeError::TooMany {
                    path: disk.shown(file.as_path()),
                    what: "files that it requires",
                    limit: MAX_FILES,
                });
            }
            if is_source(&file) {
                found.read(disk, &file, limits, &mut queue)?;
            }
        }
        Ok(found)
    }

    fn read(
        &mut self,
        disk: &mut Disk<'_>,
        file: &ImagePath,
        limits: Limits<'_>,
        queue: &mut VecDeque<ImagePath>,
    ) -> Result<(), NodeError> {
        let text = match disk.read(file.as_path(), MAX_SOURCE) {
            Ok(text) => text,
            Err(NodeError::TooLarge { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let imports = imports::scan(&text);
        if imports.computed > 0 {
            self.computed.insert(file.clone());
        }
        let directory = file.parent().unwrap_or_else(ImagePath::root);
        for specifier in &imports.specifiers {
            if let Some(name) = package_of(specifier) {
                self.packages
                    .entry(name.to_owned())
                    .or_insert_with(|| file.clone());
            } else if let Some(target) = local(disk, &directory, specifier)? {
                self.reach(&target, limits, queue);
            }
        }
        Ok(())
    }

    fn reach(&mut self, file: &ImagePath, limits: Limits<'_>, queue: &mut VecDeque<ImagePath>) {
        // A file of a package comes along with its package.
        let own = file.as_path().strip_prefix(limits.own.as_path());
        let rest = own.or_else(|_| file.as_path().strip_prefix(limits.reach.as_path()));
        if rest.is_ok_and(|rest| rest.iter().any(|part| part == "node_modules")) {
            return;
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if !file.starts_with(limits.reach) || is_secret(&name) {
            self.outside.insert(file.clone());
        } else if self.files.insert(file.clone()) {
            queue.push_back(file.clone());
        }
    }
}

/// How far sources may lead.
#[derive(Debug, Clone, Copy)]
struct Limits<'l> {
    /// The app's own directory.
    own: &'l ImagePath,
    /// The directory that all files lie in.
    reach: &'l ImagePath,
}

/// The file that a relative specifier names for a module in `directory`.
pub(super) fn local(
    disk: &mut Disk<'_>,
    directory: &ImagePath,
    specifier: &str,
) -> Result<Option<ImagePath>, NodeError> {
    let is_relative = matches!(specifier, "." | "..")
        || specifier.starts_with("./")
        || specifier.starts_with("../");
    if !is_relative || specifier.contains('\0') {
        return Ok(None);
    }
    let place = directory.as_path().join(specifier);
    if let Some(file) = module(disk, &place)? {
        return Ok(Some(file));
    }
    // An `import` names a URL, which may have a query.
    match specifier.split_once(['?', '#']) {
        Some((path, _)) => module(disk, &directory.as_path().join(path)),
        None => Ok(None),
    }
}

/// The file that Node.js loads for `path` (`LOAD_AS_FILE` and `LOAD_AS_DIRECTORY` in "Modules:
/// CommonJS modules").
pub(super) fn module(disk: &mut Disk<'_>, path: &Path) -> Result<Option<ImagePath>, NodeError> {
    let text = path.as_os_str().as_encoded_bytes();
    let means_directory = text.ends_with(b"/") || text.ends_with(b"/.") || text.ends_with(b"/..");
    let path = normal(path);
    if !means_directory && let Some(file) = as_file(disk, &path) {
        return Ok(Some(file));
    }
    let Some(directory) = disk.directory(&path) else {
        return Ok(None);
    };
    if let Some(Manifest {
        main: Some(main), ..
    }) = Manifest::read(disk, &directory)?
    {
        let main = normal(&path.join(main));
        let file = as_file(disk, &main).or_else(|| as_file(disk, &main.join("index")));
        if file.is_some() {
            return Ok(file);
        }
    }
    Ok(as_file(disk, &path.join("index")))
}

/// The file of this name, or with one of the extensions.
pub(super) fn as_file(disk: &mut Disk<'_>, path: &Path) -> Option<ImagePath> {
    if let Some(file) = disk.file(path) {
        return Some(file);
    }
    EXTENSIONS.iter().find_map(|extension| {
        let mut name = path.as_os_str().to_os_string();
        name.push(extension);
        disk.file(Path::new(&name))
    })
}

fn is_source(file: &ImagePath) -> bool {
    let extension = file
        .as_path()
        .extension()
        .and_then(|extension| extension.to_str());
    // A script may have none at all.
    matches!(
        extension,
        None | Some("js" | "mjs" | "cjs" | "ts" | "mts" | "cts")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::sysroot::Directory;

    fn system(files: &[(&str, &str)]) -> (tempfile::TempDir, Directory) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let directory = Directory::new(root.path()).unwrap();
        (root, directory)
    }

    fn shown(files: &BTreeSet<ImagePath>) -> Vec<String> {
        files.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_required_is_followed_by_the_rules_of_node() {
        let (_root, system) = system(&[
            (
                "p/a.js",
                "require('./b'); require('./c'); require('./d.json'); require('.'); import('./e?x')",
            ),
            (
                "p/b.js",
                "require('./c/'); require('express'); require('./gone')",
            ),
            ("p/c/index.js", "require('../b')"),
            ("p/d.json", "require('./unused')"),
            ("p/index.js", "require('./m')"),
            ("p/e.mjs", ""),
            ("p/m/package.json", r#"{"main": "lib/x"}"#),
            ("p/m/lib/x.js", "require('../../../etc/secret')"),
            ("p/unused.js", ""),
            ("etc/secret", ""),
        ]);
        let mut disk = Disk::new(&system);
        let reach = ImagePath::new("/p").unwrap();
        let start = [ImagePath::new("/p/a.js").unwrap()];
        let sources = Sources::follow(&mut disk, &start, &reach, &reach).unwrap();
        assert_eq!(
            shown(&sources.files),
            [
                "/p/a.js",
                "/p/b.js",
                "/p/c/index.js",
                "/p/d.json",
                "/p/e.mjs",
                "/p/index.js",
                "/p/m/lib/x.js"
            ]
        );
        assert_eq!(shown(&sources.outside), ["/etc/secret"]);
        assert_eq!(sources.packages.keys().collect::<Vec<_>>(), ["express"]);
    }
}
