//! Leaving out what the recipe says.

use std::collections::BTreeSet;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::gather::{Gathered, Kind};
use super::{ArrangeError, Arrangement, expanded};
use crate::ImagePath;

/// Removes what the recipe leaves out, and the directories that held nothing else.
///
/// Copyright files come always, and the links that lead to them: licences ask for it, and
/// scanners read them.
pub(super) fn omit(
    gathered: &mut Gathered<'_>,
    notices: &mut Vec<String>,
) -> Result<(), ArrangeError> {
    let omissions = Omissions::of(gathered.arrangement)?;
    let required = copyrights(gathered, notices);
    // Children come after their directory, so from the end it is known what a directory holds.
    let mut kept_parents: BTreeSet<ImagePath> = BTreeSet::new();
    let mut parents: BTreeSet<ImagePath> = gathered.emptied.clone();
    let mut gone = Vec::new();
    for (path, placed) in gathered.entries.iter().rev() {
        let stays = placed.owner.is_none()
            || required.contains(path)
            || match placed.kind {
                Kind::Directory if kept_parents.contains(path) => true,
                Kind::Directory => !parents.contains(path) && !omissions.take_directory(path),
                _ => !omissions.take(path.as_path()),
            };
        if let Some(parent) = path.parent() {
            if stays {
                kept_parents.insert(parent.clone());
            }
            parents.insert(parent);
        }
        if !stays {
            gone.push(path.clone());
        }
    }
    for path in gone {
        gathered.entries.remove(&path);
    }
    Ok(())
}

/// The copyright files of all packages, and the links on the way to them.
fn copyrights(gathered: &Gathered<'_>, notices: &mut Vec<String>) -> BTreeSet<ImagePath> {
    let mut required = BTreeSet::new();
    for package in gathered.arrangement.packages {
        let Ok(path) = ImagePath::new(format!("/usr/share/doc/{}/copyright", package.name)) else {
            continue;
        };
        let mut way = Vec::new();
        match gathered.follow(&path, &mut |link| way.push(link.clone())) {
            Some(file) => {
                required.extend(way);
                required.insert(file);
            }
            None => {
                let led = match way.last() {
                    Some(link) => format!(", where {link} leads to a package that is not there"),
                    None => String::new(),
                };
                notices.push(format!(
                    "{} has no copyright file at {path}{led}",
                    package.name
                ));
            }
        }
    }
    required
}

/// The recipe's omissions: what each takes, and what of that it keeps.
struct Omissions(Vec<(GlobSet, GlobSet)>);

impl Omissions {
    fn of(arrangement: &Arrangement<'_>) -> Result<Self, ArrangeError> {
        arrangement
            .recipe
            .omissions
            .iter()
            .map(|omission| {
                Ok((
                    set(&omission.paths, arrangement)?,
                    set(&omission.keep, arrangement)?,
                ))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn take(&self, path: &Path) -> bool {
        self.0
            .iter()
            .any(|(paths, keep)| paths.is_match(path) && !keep.is_match(path))
    }

    /// A directory without children is taken by `/dir/**`, too.
    fn take_directory(&self, path: &ImagePath) -> bool {
        self.take(path.as_path()) || self.take(&path.as_path().join("*"))
    }
}

fn set(globs: &[String], arrangement: &Arrangement<'_>) -> Result<GlobSet, ArrangeError> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(pattern(glob, arrangement)?);
    }
    builder
        .build()
        .map_err(|error| wrong(&globs.join(" "), arrangement, error.to_string()))
}

/// A pattern of the recipe, in which `*` takes no slash.
pub(super) fn pattern(
    glob: &str,
    arrangement: &Arrangement<'_>,
) -> Result<globset::Glob, ArrangeError> {
    GlobBuilder::new(&expanded(glob, arrangement.architecture))
        .literal_separator(true)
        .build()
        .map_err(|error| wrong(glob, arrangement, error.kind().to_string()))
}

pub(super) fn wrong(glob: &str, arrangement: &Arrangement<'_>, reason: String) -> ArrangeError {
    ArrangeError::Pattern {
        recipe: arrangement.recipe.reference.to_string(),
        glob: glob.to_owned(),
        reason,
    }
}
