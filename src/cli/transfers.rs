//! Copying images for a command: how it is shown, and what is said at its end.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use indicatif::ProgressBar;
use oci_spec::image::Descriptor;

use super::images::{Images, Opened};
use super::terminal::{BAR_AFTER, Terminal, bar, lock};
use crate::image::Platform;
use crate::parent::ANNOTATION_BASE_NAME;
use crate::registry::{Reference, Repository};
use crate::report::human_size as human;
use crate::store::{self, Destination, Location, Source};
use crate::transfer::{self, Chosen, Copied, Progress, Target};

/// Shows a copy as one bar.
pub(super) struct Moving<'t> {
    terminal: &'t Terminal,
    what: &'static str,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
}

impl<'t> Moving<'t> {
    /// `what` is the word before the bar: `push`, `pull`.
    pub(super) fn new(what: &'static str, terminal: &'t Terminal) -> Self {
        Self {
            terminal,
            what,
            start: Instant::now(),
            state: Mutex::default(),
        }
    }
}

impl Progress for Moving<'_> {
    fn total(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.total = bytes;
        if let Some(bar) = &state.bar {
            bar.set_length(bytes);
        }
    }

    fn advance(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.done = state.done.saturating_add(bytes);
        if !self.terminal.wants_bar() {
            return;
        }
        let elapsed = self.start.elapsed();
        if state.bar.is_none() && elapsed >= BAR_AFTER && state.total > 0 {
            state.bar = Some(bar(self.what, state.total, elapsed));
        }
        if let Some(bar) = &state.bar {
            bar.set_position(state.done.min(state.total));
        }
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        if let Some(bar) = lock(&self.state).bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// What is copied of `opened`: the image for `platform`, or all that its name leads to. What is
/// attached to it stays behind unless that is asked for.
pub(super) fn chosen(opened: &Opened, platform: Option<&Platform>) -> anyhow::Result<Chosen> {
    let root = match platform {
        Some(platform) => opened.select(Some(platform))?,
        None => store::root(&*opened.source, opened.tag.as_deref())?,
    };
    Ok(Chosen {
        root,
        attached: false,
    })
}

/// The same with what is attached to it, unless `--no-signatures` was given. Those of an index do
/// not fit one of its images.
pub(super) fn chosen_attached(
    opened: &Opened,
    platform: Option<&Platform>,
    no_signatures: bool,
    terminal: &Terminal,
) -> anyhow::Result<Chosen> {
    let chosen = Chosen {
        attached: !no_signatures,
        ..self::chosen(opened, platform)?
    };
    if let (Some(platform), true) = (platform, chosen.attached) {
        let whole = store::root(&*opened.source, opened.tag.as_deref());
        let is_other = |whole: &Descriptor| whole.digest() != chosen.root.digest();
        let whole = whole.ok().filter(is_other);
        if let Some(whole) = whole {
            let why = format!(
                "of the index of all platforms, and left behind with it: the image for {platform} is another"
            );
            tell_left(&*opened.source, &whole, &why, terminal);
        }
    }
    Ok(chosen)
}

/// Says that what is attached to `root` does not go along, when anything is: `why` follows *are*.
/// It is but nice to know, so a store that does not tell is no error.
pub(super) fn tell_left(source: &dyn Source, root: &Descriptor, why: &str, terminal: &Terminal) {
    if terminal.is_quiet() {
        return;
    }
    let count = source.attached(root.digest()).map_or(0, |all| all.len());
    let verb = if count == 1 { "is" } else { "are" };
    if count > 0 {
        let what = attached(count);
        terminal.warn(&format!("{what} {verb} {why}"));
    }
}

/// Why a docker archive gets nothing that is attached.
pub(super) const NO_ROOM: &str =
    "left behind: a docker archive has no room for them, an OCI archive or a layout has";

/// The registry `reference` as a target for what is `chosen` of `opened`. When the image stands on
/// another one of the same registry, that one's layers need not be sent.
pub(super) fn to_registry(
    images: &Images,
    reference: &Reference,
    opened: &Opened,
    chosen: &Chosen,
) -> Target {
    in_registry(images, reference, mounts(opened, chosen))
}

fn in_registry(images: &Images, reference: &Reference, mounts: Vec<Repository>) -> Target {
    Target::Registry {
        client: Arc::clone(images.client()),
        reference: reference.clone(),
        mounts,
    }
}

/// Repositories that may have some layers of the image: those of what it is built on.
fn mounts(opened: &Opened, chosen: &Chosen) -> Vec<Repository> {
    let source = &*opened.source;
    let mut names: Vec<String> = Vec::new();
    // A document that cannot be read fails the copy, which tells it better.
    let manifests = store::manifests(source, &chosen.root).unwrap_or_default();
    for (descriptor, _) in manifests {
        let Ok(manifest) = store::read_manifest(source, &descriptor) else {
            continue;
        };
        let annotations = manifest.annotations().as_ref();
        names.extend(
            annotations
                .and_then(|all| all.get(ANNOTATION_BASE_NAME))
                .cloned(),
        );
    }
    names.sort_unstable();
    names.dedup();
    let parsed = names
        .iter()
        .filter_map(|name| name.parse::<Reference>().ok());
    parsed.map(|reference| reference.repository).collect()
}

/// Copies what is chosen of an opened image, with a bar.
pub(super) fn copy(
    what: &'static str,
    opened: &Opened,
    chosen: &Chosen,
    target: &Target,
    images: &Images,
    terminal: &Terminal,
) -> anyhow::Result<Copied> {
    copy_from(&*opened.source, what, chosen, target, images, terminal)
}

/// Copies, with a bar.
pub(super) fn copy_from(
    source: &dyn Source,
    what: &'static str,
    chosen: &Chosen,
    target: &Target,
    images: &Images,
    terminal: &Terminal,
) -> anyhow::Result<Copied> {
    super::handle_signals(terminal);
    let moving = Moving::new(what, terminal);
    let parallel = images.client().options().parallel;
    let copied = terminal.timed(what, || {
        transfer::copy(source, chosen, target, parallel, &moving)
    });
    drop(moving);
    Ok(copied?)
}

/// Says what a copy did: `verb` is `pushed` or the like.
pub(super) fn tell(verb: &str, copied: &Copied, name: &str, terminal: &Terminal) {
    if copied.unchanged {
        terminal.fact("unchanged", &format!("{name} {}", copied.root.digest()));
        return;
    }
    let mut parts = Vec::new();
    if copied.images != 1 {
        parts.push(format!("{} images", copied.images));
    }
    if copied.sent > 0 {
        let size = human(copied.sent_bytes);
        parts.push(format!("{} ({size})", blobs(copied.sent)));
    }
    if copied.mounted > 0 {
        parts.push(format!("{} mounted", blobs(copied.mounted)));
    }
    if copied.present > 0 {
        parts.push(format!("{} already there", blobs(copied.present)));
    }
    if !parts.is_empty() {
        terminal.fact("blobs", &parts.join(" · "));
    }
    if copied.attached > 0 {
        terminal.fact("with", &attached(copied.attached));
    }
    terminal.fact(verb, &format!("{name} {}", copied.root.digest()));
}

/// What is attached need not be either; these are what people look for.
fn attached(count: usize) -> String {
    match count {
        1 => "1 signature or attestation".to_owned(),
        _ => format!("{count} signatures or attestations"),
    }
}

fn blobs(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} blob{plural}")
}

/// A store on disk as a place to copy to: `oci-archive:` and `docker-archive:` say the form, or
/// the name's end.
pub(super) fn destination(reference: &store::Reference) -> Destination {
    let path = reference.path.clone();
    let is_tar = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"));
    match reference.form {
        Some(store::Form::DockerArchive) => Destination::DockerArchive(path),
        Some(store::Form::OciArchive) => Destination::OciArchive(path),
        Some(store::Form::Layout) => Destination::Layout(path),
        None if is_tar => Destination::OciArchive(path),
        None => Destination::Layout(path),
    }
}

/// Where a copy of what is `chosen` of `opened` goes, and what it is called there.
pub(super) fn target(
    location: &Location,
    default_tag: &str,
    images: &Images,
    opened: &Opened,
    chosen: &Chosen,
) -> (Target, String) {
    target_with(location, default_tag, images, mounts(opened, chosen))
}

/// Where a copy goes of which `mounts` may have some blobs, and what it is called there.
pub(super) fn target_with(
    location: &Location,
    default_tag: &str,
    images: &Images,
    mounts: Vec<Repository>,
) -> (Target, String) {
    match location {
        Location::Registry(reference) => (in_registry(images, reference, mounts), named(reference)),
        Location::Disk(reference) => {
            let destination = destination(reference);
            let tag = reference
                .tag
                .clone()
                .unwrap_or_else(|| default_tag.to_owned());
            let shown = format!("{}:{tag}", reference.path.display());
            (Target::Disk { destination, tag }, shown)
        }
    }
}

/// What an image is called in a registry, with the tag that it gets.
pub(super) fn named(reference: &Reference) -> String {
    match (&reference.tag, &reference.digest) {
        (None, None) => format!("{}:latest", reference.familiar()),
        _ => reference.familiar(),
    }
}

/// The name that stays what it is: with the digest.
pub(super) fn pinned(reference: &Reference, copied: &Copied) -> String {
    let mut name = named(reference);
    if reference.digest.is_none() {
        name.push_str(&format!("@{}", copied.root.digest()));
    }
    name
}
