//! `--base` with an image: from a registry, a layout or an archive.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use oci_spec::image::Descriptor;

use crate::cli::images::{Images, Opened};
use crate::cli::terminal::Terminal;
use crate::cli::transfers::Moving;
use crate::cli::{Usage, made};
use crate::elf::Object;
use crate::image::Platform;
use crate::parent::{Parent, Unpacking};
use crate::rootfs::Base;
use crate::scratch::Scratch;
use crate::store::{self, Destination, Layout, Location, Source};
use crate::sysroot::{Directory, Sysroot};
use crate::transfer::{self, Chosen, Target};

/// An image as a base, and what has to stay until the build is done.
pub(in crate::cli) struct Image {
    base: Base,
    name: String,
    digest: String,
    _fetched: Option<Scratch>,
    /// Keeps what is kept from being removed meanwhile.
    _kept: Option<File>,
}

/// Whether `name` names an image: one on disk, or in a registry.
pub(super) fn is_meant(name: &str) -> bool {
    if name.starts_with("docker://") {
        return true;
    }
    // Whatever lies in the current directory.
    if Base::available().iter().any(|base| base.name == name) {
        return false;
    }
    match store::Reference::parse(name) {
        Ok(reference) if is_store(&reference.path) => true,
        Ok(reference) if reference.form.is_some() => true,
        _ => {
            let is_path = name.starts_with(['.', '/']) || name.ends_with(".toml");
            // A single word is the name of a base of data.
            !is_path && name.contains(['/', ':', '@'])
        }
    }
}

fn is_store(path: &Path) -> bool {
    let is_tar = path.extension().is_some_and(|extension| extension == "tar");
    path.join("oci-layout").exists() || (is_tar && path.is_file())
}

impl Image {
    /// Opens the image called `name`, for `platform`, or that of the app. One of a registry is
    /// fetched into the cache, or without `keep` into a directory that goes with it.
    pub(super) fn open(
        name: &str,
        app: &Path,
        platform: Option<&Platform>,
        keep: bool,
        images: &Images,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let location = Location::parse(name).map_err(Usage::of)?;
        let given_digest = match &location {
            Location::Registry(reference) => reference.digest.clone(),
            Location::Disk(_) => None,
        };
        let platform = platform.cloned().or_else(|| of_app(app));
        let kept = keep.then(made::parents).flatten();
        let lock = kept.as_deref().and_then(made::hold_parents);
        let believed = kept.as_deref().filter(|_| lock.is_some());
        let known = given_digest.and_then(|digest| known(believed?, digest.as_ref()));
        let annotated = match &location {
            Location::Registry(reference) => {
                let mut named = reference.clone();
                named.digest = None;
                if named.tag.is_none() && reference.digest.is_none() {
                    named.tag = Some("latest".to_owned());
                }
                Some(named.to_string())
            }
            Location::Disk(_) => None,
        };
        let (source, manifest, fetched): (Arc<dyn Source>, _, _) = match known {
            Some((layout, manifest)) => (Arc::new(layout), manifest, None),
            None => {
                let opened = images.open_at(location.clone())?;
                let manifest = opened.select(platform.as_ref())?;
                match &location {
                    Location::Disk(_) => (Arc::from(opened.source), manifest, None),
                    Location::Registry(_) => {
                        let (layout, held) = fetch(&opened, &manifest, believed, images, terminal)?;
                        (Arc::new(layout), manifest, held)
                    }
                }
            }
        };
        let unpacking = Unpacking {
            kept: kept.map(|kept| kept.join("unpacked")),
        };
        let base = terminal.timed("base", || {
            Parent::open(
                source,
                &manifest,
                annotated,
                &location.to_string(),
                &unpacking,
            )
        })?;
        Ok(Self {
            base,
            name: location.to_string(),
            digest: manifest.digest().to_string(),
            _fetched: fetched,
            _kept: lock,
        })
    }

    /// The base.
    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// Says what it is.
    pub(super) fn tell(&self, terminal: &Terminal) {
        let layers = self.base.parent().map_or(0, |parent| parent.layers.len());
        let plural = if layers == 1 { "" } else { "s" };
        terminal.fact(
            "base",
            &format!("{} {}: {layers} layer{plural}", self.name, self.digest),
        );
    }
}

/// An image that was fetched before, by its own digest: of what has its tag, only that is it.
fn known(kept: &Path, digest: &str) -> Option<(Layout, Descriptor)> {
    let layout = Layout::open(layout_in(kept)).ok()?;
    let manifest = store::root(&layout, Some(&tag(digest))).ok()?;
    (manifest.digest().as_ref() == digest && is_whole(&layout, &manifest))
        .then_some((layout, manifest))
}

/// Whether all blobs of an image are there; one that was removed is to be fetched again.
fn is_whole(layout: &Layout, manifest: &Descriptor) -> bool {
    let Ok(document) = store::read_manifest(layout, manifest) else {
        return false;
    };
    let mut blobs = document.layers().iter().chain([document.config()]);
    blobs.all(|blob| layout.blob(blob).is_ok())
}

fn layout_in(kept: &Path) -> PathBuf {
    kept.join("images")
}

/// The tag of an image in the cache.
fn tag(digest: &str) -> String {
    digest.replace(':', "-")
}

/// Puts the image into the layout of the cache, unless it is there.
fn fetch(
    opened: &Opened,
    manifest: &Descriptor,
    kept: Option<&Path>,
    images: &Images,
    terminal: &Terminal,
) -> anyhow::Result<(Layout, Option<Scratch>)> {
    let digest = manifest.digest().to_string();
    let (path, held) = match kept {
        Some(kept) => {
            if let Some((layout, _)) = known(kept, &digest) {
                return Ok((layout, None));
            }
            (layout_in(kept), None)
        }
        None => {
            let held = Scratch::new("distrobuild-").context(
                "no directory can be made for the base: set TMPDIR to one that can be written",
            )?;
            (held.path().join("images"), Some(held))
        }
    };
    let target = Target::Disk {
        destination: Destination::Layout(path.clone()),
        tag: tag(&digest),
    };
    let moving = Moving::new("fetch", terminal);
    let parallel = images.client().options().parallel;
    let chosen = Chosen {
        root: manifest.clone(),
        attached: false,
    };
    terminal.timed("fetch base", || {
        transfer::copy(&*opened.source, &chosen, &target, parallel, &moving)
    })?;
    Ok((Layout::open(path)?, held))
}

/// The platform that the app is for, where it is an ELF file of this machine.
fn of_app(app: &Path) -> Option<Platform> {
    let path = std::path::absolute(app).ok()?;
    let file = Directory::host().ok()?.open(&path).ok()?;
    let (architecture, variant) = Object::read(&file).ok()?.machine.platform()?;
    Some(Platform::linux(architecture, variant))
}
