//! Where the app and what travels with it land: a build directory must not leak into the image.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::ImagePath;
use crate::app::App;
use crate::elf::{Closure, LoadedObject, Request, Rule};
use crate::rootfs::APP_DIRECTORY;

/// The decision for one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placement {
    /// Everything keeps its path; `why` when the app's directory should have been left behind.
    Kept { why: Option<String> },
    /// What lies below `prefix` lands below `/app`.
    Moved {
        prefix: ImagePath,
        /// Indices in [`Closure::objects`] of what moves, the app included.
        objects: BTreeSet<usize>,
    },
}

impl Placement {
    /// Decides: an app in a system directory stays, any other moves together with the
    /// objects that are found relative to it.
    pub(super) fn of(app: &App, closure: &Closure) -> Self {
        let target = &app.trace.target;
        if is_system(target.as_path()) || app.hosted().is_some() {
            return Self::Kept { why: None };
        }
        // What `--library-path` brought comes along where that can be: it is found through
        // a cache that is written anyway.
        Self::together(target, closure, Reach::LibraryPath)
            .or_else(|_| Self::together(target, closure, Reach::Origin))
            .unwrap_or_else(|why| Self::Kept { why: Some(why) })
    }

    fn together(app: &ImagePath, closure: &Closure, reach: Reach) -> Result<Self, String> {
        let objects = companions(app, closure, reach)?;
        let prefix = objects
            .iter()
            .filter_map(|index| closure.objects.get(*index))
            .map(|object| &object.trace.target)
            .fold(directory(app), |prefix, target| {
                common(&prefix, &directory(target))
            });
        if prefix.is_root() {
            return Err(
                "the app and the libraries beside it have no directory in common".to_owned(),
            );
        }
        Ok(Self::Moved { prefix, objects })
    }

    /// Whether the object with this index moves.
    pub(super) fn moves(&self, index: usize) -> bool {
        matches!(self, Self::Moved { objects, .. } if objects.contains(&index))
    }

    /// Where the canonical `path` of something that moves lands; `None` for what lies not
    /// below the prefix.
    pub(super) fn image_path(&self, path: &ImagePath) -> Option<ImagePath> {
        ImagePath::new(self.spelling(path.as_path())?).ok()
    }

    /// The same for a spelling that may hold `..` and links.
    pub(super) fn spelling(&self, path: &Path) -> Option<PathBuf> {
        match self {
            Self::Kept { .. } => Some(path.to_path_buf()),
            Self::Moved { prefix, .. } => {
                let rest = path.strip_prefix(prefix).ok()?;
                Some(Path::new(APP_DIRECTORY).join(rest))
            }
        }
    }
}

/// What makes a library travel with the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It is found through `$ORIGIN`.
    Origin,
    /// That, or through `--library-path` outside of the system's directories.
    LibraryPath,
}

/// Whether the path lies where systems keep programs, which is the same on every machine.
pub(crate) fn is_system(path: impl AsRef<Path>) -> bool {
    let mut components = path.as_ref().components().skip(1);
    let top = components.next().map(|top| top.as_os_str().as_bytes());
    top.is_some_and(|top| {
        matches!(top, b"usr" | b"bin" | b"sbin" | b"opt" | b"nix" | b"gnu")
            || top.starts_with(b"lib")
    })
}

/// The app and all that is found through `$ORIGIN` from it, directly or not.
fn companions(app: &ImagePath, closure: &Closure, reach: Reach) -> Result<BTreeSet<usize>, String> {
    let objects = &closure.objects;
    let mut moved: BTreeSet<usize> = (0..objects.len())
        .filter(|index| objects[*index].trace.target == *app)
        .collect();
    loop {
        let next = (0..objects.len()).find(|index| {
            !moved.contains(index)
                && objects[*index]
                    .requests
                    .iter()
                    .any(|request| travels(&objects[*index], request, &moved, reach))
        });
        let Some(index) = next else { break };
        if is_system(objects[index].trace.target.as_path()) {
            return Err(format!(
                "{} is found relative to the app, but lies in a system directory",
                objects[index].path.display()
            ));
        }
        moved.insert(index);
    }
    for index in &moved {
        let object = &objects[*index];
        let fixed =
            |request: &Request| request.by.is_some() && is_fixed(object, request, &moved, reach);
        if object.trace.target != *app
            && object.requests.iter().any(|request| {
                fixed(request) || (request.by.is_none() && matches!(request.rule, Rule::Path))
            })
        {
            return Err(format!(
                "{} is found both relative to the app and by a fixed path",
                object.path.display()
            ));
        }
    }
    Ok(moved)
}

fn is_relative_to(request: &Request, moved: &BTreeSet<usize>) -> bool {
    match &request.rule {
        Rule::Rpath { of, element } | Rule::Runpath { of, element } => {
            moved.contains(of) && names_origin(element)
        }
        Rule::Path => {
            request.by.is_some_and(|by| moved.contains(&by)) && names_origin(&request.name)
        }
        _ => false,
    }
}

fn travels(
    object: &LoadedObject,
    request: &Request,
    moved: &BTreeSet<usize>,
    reach: Reach,
) -> bool {
    match &request.rule {
        // A directory that is spelled through links would have to move with its spelling.
        Rule::LibraryPath { directory } => {
            reach == Reach::LibraryPath
                && !is_system(directory)
                && object.trace.target.as_path().starts_with(directory)
        }
        _ => is_relative_to(request, moved),
    }
}

fn is_fixed(
    object: &LoadedObject,
    request: &Request,
    moved: &BTreeSet<usize>,
    reach: Reach,
) -> bool {
    match request.rule {
        // The name of something that was found by another request.
        Rule::AlreadyLoaded | Rule::MuslItself => false,
        _ => !travels(object, request, moved, reach),
    }
}

/// Whether the loader would expand `$ORIGIN` in it. A name that goes on is another name:
/// `$ORIGINAL` stays as it is.
fn names_origin(text: &OsStr) -> bool {
    let bytes = text.as_bytes();
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (0..bytes.len()).any(|at| {
        let rest = &bytes[at..];
        rest.starts_with(b"${ORIGIN}")
            || (rest.starts_with(b"$ORIGIN") && !rest.get(7).is_some_and(goes_on))
    })
}

fn directory(path: &ImagePath) -> ImagePath {
    path.parent().unwrap_or_else(ImagePath::root)
}

fn common(a: &ImagePath, b: &ImagePath) -> ImagePath {
    let mut shared = a.clone();
    while !b.starts_with(&shared) {
        shared = directory(&shared);
    }
    shared
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn origin_is_a_token_only_where_its_name_ends() {
        for (text, is) in [
            ("$ORIGIN", true),
            ("a/${ORIGIN}/lib", true),
            ("$ORIGIN/../lib", true),
            ("$ORIGINAL/$ORIGIN", true),
            ("$ORIGINAL", false),
            ("${ORIGIN", false),
            ("/usr/lib", false),
        ] {
            assert_eq!(names_origin(OsStr::new(text)), is, "{text}");
        }
    }

    #[test]
    fn system_directories_are_known_by_their_first_name() {
        for path in [
            "/usr/bin/jq",
            "/lib64/x",
            "/nix/store/x",
            "/opt/a",
            "/bin/sh",
        ] {
            assert!(is_system(Path::new(path)), "{path}");
        }
        for path in ["/home/usr/x", "/app/x", "/", "/usrlocal/x"] {
            assert!(!is_system(Path::new(path)), "{path}");
        }
    }
}
