//! The merged `/usr`: `/bin`, `/sbin` and `/lib*` are links, whatever a package spells.
//!
//! Debian Policy, section 10.1; hier(7); the Filesystem Hierarchy Standard 3.0.

use std::path::{Component, Path, PathBuf};

use crate::ImagePath;
use crate::rootfs::relative;

const MERGED: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32"];

/// The places of the links, and the directories that they lead to.
pub(super) fn aliases() -> impl Iterator<Item = (ImagePath, ImagePath)> {
    MERGED.iter().filter_map(|name| {
        let alias = ImagePath::root().join(name).ok()?;
        let real = path(&alias);
        Some((alias, real))
    })
}

/// Where a path lands: `/lib/x` at `/usr/lib/x`.
pub(super) fn path(path: &ImagePath) -> ImagePath {
    let first = path.relative().split(|byte| *byte == b'/').next();
    let is_merged = MERGED.iter().any(|name| first == Some(name.as_bytes()));
    if !is_merged {
        return path.clone();
    }
    let mut moved = PathBuf::from("/usr");
    moved.extend(path.as_path().components().skip(1));
    // It was a good path, and is one below /usr.
    ImagePath::new(moved).unwrap_or_else(|_| path.clone())
}

/// What a link that was at `original`, and lands at `landed`, has to say to lead where it led.
pub(super) fn target(original: &ImagePath, landed: &ImagePath, target: &Path) -> PathBuf {
    if target.is_absolute() || original == landed {
        return target.to_path_buf();
    }
    let led = path(&lexical(original, target));
    if path(&lexical(landed, target)) == led {
        target.to_path_buf()
    } else {
        relative(landed, &led)
    }
}

/// Where a link at `link` leads when no component on the way is a link.
pub(super) fn lexical(link: &ImagePath, target: &Path) -> ImagePath {
    let mut at = match target.is_absolute() {
        true => ImagePath::root(),
        false => link.parent().unwrap_or_else(ImagePath::root),
    };
    for component in target.components() {
        match component {
            Component::ParentDir => at = at.parent().unwrap_or(at),
            // A component without a slash fits below any path.
            Component::Normal(name) => at = at.join(name).unwrap_or(at),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn image(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    #[test]
    fn only_whole_first_components_are_merged() {
        for (spelled, landed) in [
            ("/lib/x", "/usr/lib/x"),
            ("/lib", "/usr/lib"),
            ("/lib64/ld.so", "/usr/lib64/ld.so"),
            ("/libexec/x", "/libexec/x"),
            ("/usr/lib/x", "/usr/lib/x"),
            ("/etc/lib", "/etc/lib"),
            ("/", "/"),
        ] {
            assert_eq!(path(&image(spelled)), image(landed));
        }
    }

    #[test]
    fn links_lead_where_they_led_before_the_merge() {
        for (original, said, says) in [
            ("/lib/a/x", "y", "y"),
            ("/lib/a/x", "../../lib/a/y", "../../lib/a/y"),
            ("/lib/a/x", "../../usr/lib/a/y", "y"),
            ("/lib/a/x", "../../etc/y", "../../../etc/y"),
            ("/lib64/ld.so", "../lib/a/ld.so", "../lib/a/ld.so"),
            ("/lib64/ld.so", "/lib/a/ld.so", "/lib/a/ld.so"),
            ("/usr/lib/x", "../../lib/y", "../../lib/y"),
            ("/bin/sh", "../../../etc/x", "../../../etc/x"),
        ] {
            let original = image(original);
            let landed = path(&original);
            let now = target(&original, &landed, Path::new(said));
            assert_eq!(now, Path::new(says), "{original:?} -> {said}");
            assert_eq!(
                path(&lexical(&landed, &now)),
                path(&lexical(&original, Path::new(said)))
            );
        }
    }
}
