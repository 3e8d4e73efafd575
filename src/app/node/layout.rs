//! Where the directories of an app land, so that every name leads to the same file as before.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::disk::upward;
use crate::ImagePath;
use crate::rootfs::APP_DIRECTORY;

/// Where packages land that are linked from elsewhere (`npm link`), below the app's directory.
const LINKED: &str = ".linked";

/// Directories of this machine and where they land.
///
/// Node.js looks for a package in every node_modules upward from the real place of the module that
/// names it. So what lies above one another must stay so: the topmost directory that matters lands
/// at `/app`, and what lies beside it lands as a whole below `/app/.linked`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// None of them lies in another.
    places: BTreeMap<ImagePath, PathBuf>,
}

impl Layout {
    /// A layout in which `project` and each of the `needed` directories have a place. Those in
    /// `workspace` keep their place relative to the project.
    pub(super) fn new(
        project: &ImagePath,
        workspace: Option<&ImagePath>,
        needed: &[ImagePath],
    ) -> Self {
        let mut base = project.clone();
        for place in needed.iter().filter(|place| !place.starts_with(project)) {
            let root = root_of(place);
            let above = match workspace {
                _ if project.starts_with(&root) => root,
                Some(workspace) if place.starts_with(workspace) => workspace.clone(),
                _ => continue,
            };
            if base.starts_with(&above) {
                base = above;
            }
        }
        let outside = needed.iter().filter(|place| !place.starts_with(&base));
        let outside: Vec<ImagePath> = outside.map(root_of).collect();
        let known: BTreeSet<&ImagePath> = outside.iter().collect();
        let mut places = BTreeMap::from([(base, PathBuf::from(APP_DIRECTORY))]);
        let mut names: BTreeMap<OsString, usize> = BTreeMap::new();
        // In the order in which the app names them, which does not depend on where it lies.
        for root in &outside {
            let is_inside = upward(root).skip(1).any(|above| known.contains(&above));
            if !is_inside && !places.contains_key(root) {
                places.insert(root.clone(), linked_place(root, &mut names));
            }
        }
        Self { places }
    }

    /// Where the canonical `path` lands; `None` for what lies in no directory that moves.
    pub(super) fn place(&self, path: &ImagePath) -> Option<ImagePath> {
        let (root, place) = upward(path).find_map(|above| self.places.get_key_value(&above))?;
        let rest = path.as_path().strip_prefix(root.as_path()).ok()?;
        ImagePath::new(place.join(rest)).ok()
    }

    /// All directories that move and where they land, the longest first.
    pub(super) fn moved(&self) -> Vec<(PathBuf, ImagePath)> {
        let mut moved: Vec<(PathBuf, ImagePath)> = self
            .places
            .iter()
            .filter_map(|(root, place)| {
                Some((root.as_path().to_path_buf(), ImagePath::new(place).ok()?))
            })
            .collect();
        moved.sort_by_key(|(root, _)| std::cmp::Reverse(root.as_os_str().len()));
        moved
    }
}

/// The directory that moves as a whole with `path`: the one that holds its node_modules, or itself.
fn root_of(path: &ImagePath) -> ImagePath {
    upward(path)
        .filter(|directory| directory.file_name() == Some(OsStr::new("node_modules")))
        .last()
        .and_then(|modules| modules.parent())
        .unwrap_or_else(|| path.clone())
}

/// A place of its own for a directory from elsewhere. `names` counts those of the same name.
fn linked_place(root: &ImagePath, names: &mut BTreeMap<OsString, usize>) -> PathBuf {
    let name = root.file_name().unwrap_or(OsStr::new("root"));
    let count = names.entry(name.to_os_string()).or_insert(0);
    *count += 1;
    let mut directory = Path::new(APP_DIRECTORY).join(LINKED);
    if *count > 1 {
        directory.push(count.to_string());
    }
    directory.join(name)
}

/// What a link at `from` says to lead to `to`.
pub(super) fn relative(from: &ImagePath, to: &ImagePath) -> PathBuf {
    let directory = from.parent().unwrap_or_else(ImagePath::root);
    let own: Vec<_> = directory.as_path().components().collect();
    let other: Vec<_> = to.as_path().components().collect();
    let shared = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let mut path: PathBuf = std::iter::repeat_n("..", own.len() - shared).collect();
    path.extend(other.iter().skip(shared));
    if path.as_os_str().is_empty() {
        path.push(".");
    }
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    fn placed(workspace: Option<&str>, needed: &[&str], asked: &str) -> Option<String> {
        let needed: Vec<_> = needed.iter().map(|place| path(place)).collect();
        let layout = Layout::new(&path("/h/w/p"), workspace.map(path).as_ref(), &needed);
        layout.place(&path(asked)).map(|place| place.to_string())
    }

    #[test]
    fn a_project_that_needs_nothing_above_it_is_the_apps_directory() {
        let needed = ["/h/w/p/node_modules/a"];
        assert_eq!(placed(None, &needed, "/h/w/p/x.js").unwrap(), "/app/x.js");
        assert_eq!(placed(None, &needed, "/h/w/x.js"), None);
    }

    #[test]
    fn packages_above_the_project_stay_above_it() {
        let needed = [
            "/h/w/p/node_modules/a",
            "/h/w/node_modules/.pnpm/b@1/node_modules/b",
        ];
        assert_eq!(placed(None, &needed, "/h/w/p/x.js").unwrap(), "/app/p/x.js");
        assert_eq!(
            placed(None, &needed, needed[1]).unwrap(),
            "/app/node_modules/.pnpm/b@1/node_modules/b"
        );
    }

    #[test]
    fn siblings_in_a_workspace_stay_siblings_and_others_are_linked() {
        let needed = [
            "/h/w/q",
            "/else/q",
            "/else/q/node_modules/r",
            "/other/q",
            "/else/q",
        ];
        assert_eq!(placed(Some("/h/w"), &needed, "/h/w/q").unwrap(), "/app/q");
        assert_eq!(placed(None, &needed, "/h/w/q").unwrap(), "/app/.linked/q");
        assert_eq!(
            placed(Some("/h/w"), &needed, "/else/q/x").unwrap(),
            "/app/.linked/q/x"
        );
        assert_eq!(
            placed(Some("/h/w"), &needed, "/else/q/node_modules/r").unwrap(),
            "/app/.linked/q/node_modules/r"
        );
        assert_eq!(
            placed(Some("/h/w"), &needed, "/other/q").unwrap(),
            "/app/.linked/2/q"
        );
    }

    proptest! {
        #[test]
        fn a_relative_link_leads_there(from in "(/[ab]){1,4}", to in "(/[ab]){1,4}") {
            let (from, to) = (path(&from), path(&to));
            let link = from.parent().unwrap().as_path().join(relative(&from, &to));
            let led = super::super::disk::normal(&link);
            prop_assert_eq!(led.as_path(), to.as_path());
        }
    }
}
