//! The links that update-alternatives(1) would make.

use super::omit::{pattern, wrong};
use super::{ArrangeError, Arrangement, Tree, expanded, merged};
use crate::ImagePath;
use crate::rootfs::{Entry, Origin};

/// Adds the recipe's links whose target is there; what a package brings itself stays.
pub(super) fn add(tree: &mut Tree, arrangement: &Arrangement<'_>) -> Result<(), ArrangeError> {
    for alternative in &arrangement.recipe.alternatives {
        let link = image_path(&alternative.link, arrangement)?;
        let target = image_path(&alternative.target, arrangement)?;
        let found = if is_pattern(&alternative.target, arrangement) {
            let glob = pattern(&alternative.target, arrangement)?.compile_matcher();
            let paths = tree.0.iter().map(|(path, _)| path);
            paths
                .filter(|path| glob.is_match(path.as_path()))
                .last()
                .cloned()
        } else {
            let landed = merged::path(&target);
            tree.0.follow(landed.as_path()).map(|_| landed)
        };
        if let Some(found) = found
            && found != merged::path(&link)
        {
            tree.add(&link, Entry::symlink(found.as_path(), Origin::Base))?;
        }
    }
    Ok(())
}

fn is_pattern(target: &str, arrangement: &Arrangement<'_>) -> bool {
    expanded(target, arrangement.architecture).contains(['*', '?', '[', '{'])
}

fn image_path(text: &str, arrangement: &Arrangement<'_>) -> Result<ImagePath, ArrangeError> {
    ImagePath::new(expanded(text, arrangement.architecture))
        .map_err(|error| wrong(text, arrangement, error.to_string()))
}
