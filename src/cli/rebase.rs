//! `distrobuild rebase`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use oci_spec::image::Descriptor;

use super::args::RebaseArguments;
use super::images::{Images, Opened};
use super::terminal::Terminal;
use super::{Usage, transfers};
use crate::image::Platform;
use crate::parent::{self, BasedOn};
use crate::registry::{Reference, Repository, harmless};
use crate::store::{self, Location, Source};
use crate::transfer::{self, Chosen, Copied, Joined, Part};

/// Moves an image onto a newer base, and prints what it is called.
pub(super) fn run(arguments: &RebaseArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let images = Images::new(&arguments.registry, &names(arguments))?;
    let opened = images.open(&arguments.image)?;
    let to = match &arguments.to {
        Some(to) => Location::parse(to).map_err(Usage::of)?,
        None => opened.location.clone(),
    };
    if let Location::Registry(reference) = &to
        && reference.digest.is_some()
    {
        return Err(Usage(format!(
            "{reference} stays what it is for ever: name the new image with --to"
        ))
        .into());
    }
    let manifests = manifests(&opened, arguments.platform.as_ref())?;
    if let (Some(platform), true) = (&arguments.platform, to == opened.location)
        && self::manifests(&opened, None)?.len() > 1
    {
        return Err(Usage(format!(
            "{to} is for several platforms, and only {platform} would be left of it: leave --platform out, or name the new image with --to"
        ))
        .into());
    }
    let plans: Vec<Move> = manifests
        .into_iter()
        .map(|(manifest, platform)| Move::plan(manifest, platform, &opened, arguments))
        .collect::<anyhow::Result<_>>()?;
    let mut bases: BTreeMap<String, Opened> = BTreeMap::new();
    for name in plans.iter().flat_map(|plan| [&plan.old, &plan.new]) {
        if !bases.contains_key(name) {
            let base = images
                .open(name)
                .with_context(|| format!("the base {} cannot be opened", harmless(name)))?;
            bases.insert(name.clone(), base);
        }
    }
    let moved: Vec<(Joined<'_>, bool)> = plans
        .iter()
        .map(|plan| plan.apply(&opened, &bases, terminal))
        .collect::<anyhow::Result<_>>()?;
    let is_same = moved.iter().all(|(_, is_same)| *is_same);
    let moved: Vec<Joined<'_>> = moved.into_iter().map(|(image, _)| image).collect();
    let mut mounts: Vec<Repository> = opened.source.repository().into_iter().cloned().collect();
    mounts.extend(
        bases
            .values()
            .filter_map(|base| base.source.repository().cloned()),
    );
    let (target, name) = transfers::target_with(&to, "latest", &images, mounts);
    let copy = |source: &dyn Source, root: Descriptor| -> anyhow::Result<Copied> {
        let chosen = Chosen {
            root,
            attached: false,
        };
        transfers::copy_from(source, "rebase", &chosen, &target, &images, terminal)
    };
    let former = store::root(&*opened.source, opened.tag.as_deref())?;
    if !is_same || arguments.platform.is_some() {
        let why = "of the image as it was, and left behind: sign the new one";
        transfers::tell_left(&*opened.source, &former, why, terminal);
    } else if to != opened.location {
        let why = "left behind: the image is the same, and copy takes them along";
        transfers::tell_left(&*opened.source, &former, why, terminal);
    }
    let copied = match moved.as_slice() {
        // As it is, with all that an index says and has beside its images.
        _ if is_same && arguments.platform.is_none() => copy(&*opened.source, former)?,
        [one] => {
            tell_attestations(&opened, &former, terminal)?;
            copy(one, store::root(one, None)?)?
        }
        several => {
            let annotations = tell_attestations(&opened, &former, terminal)?;
            let parts: Vec<Part<'_>> = several
                .iter()
                .map(|one| {
                    let root = store::root(one, None)?;
                    Ok(Part { source: one, root })
                })
                .collect::<anyhow::Result<_>>()?;
            let gathered = transfer::index(None, &parts, &annotations)?;
            copy(&gathered, gathered.root().clone())?
        }
    };
    transfers::tell("rebased", &copied, &name, terminal);
    let result = match &to {
        Location::Registry(reference) => transfers::pinned(reference, &copied),
        Location::Disk(_) => name,
    };
    terminal.result(&format!("{result}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Says that the attestations in an index stay behind: each is of the very image whose digest it
/// names. Returns the annotations of that index, which are of the image as a whole.
fn tell_attestations(
    opened: &Opened,
    former: &Descriptor,
    terminal: &Terminal,
) -> anyhow::Result<BTreeMap<String, String>> {
    if !store::is_index(former.media_type()) {
        return Ok(BTreeMap::new());
    }
    let index = store::read_index(&*opened.source, former)?;
    let listed = index.manifests().iter();
    let what = match listed.filter(|it| store::attested(it).is_some()).count() {
        0 => None,
        1 => Some("the attestation is".to_owned()),
        count => Some(format!("the {count} attestations are")),
    };
    if let Some(what) = what {
        terminal.warn(&format!(
            "{what} of the image as it was, and left behind: attest the new one"
        ));
    }
    let annotations = index.annotations().clone().unwrap_or_default();
    Ok(annotations.into_iter().collect())
}

/// The images, what is written first.
fn names(arguments: &RebaseArguments) -> Vec<&str> {
    let to = arguments.to.as_deref();
    to.into_iter().chain([arguments.image.as_str()]).collect()
}

fn manifests(
    opened: &Opened,
    platform: Option<&Platform>,
) -> anyhow::Result<Vec<(Descriptor, Platform)>> {
    let source = &*opened.source;
    if let Some(platform) = platform {
        return Ok(vec![(opened.select(Some(platform))?, platform.clone())]);
    }
    let root = store::root(source, opened.tag.as_deref())?;
    let found = store::manifests(source, &root)?;
    if found.is_empty() {
        anyhow::bail!("{} has no image in it", opened.name);
    }
    Ok(found)
}

/// One image that moves.
struct Move {
    manifest: Descriptor,
    platform: Platform,
    /// The bases, as they are opened.
    old: String,
    new: String,
}

impl Move {
    /// From which base to which: what the arguments say, or else the image itself.
    fn plan(
        manifest: Descriptor,
        platform: Platform,
        opened: &Opened,
        arguments: &RebaseArguments,
    ) -> anyhow::Result<Self> {
        let said = parent::based_on(&*opened.source, &manifest);
        let (old, new) = match (&arguments.old_base, &arguments.onto) {
            (Some(old), Some(new)) => (old.clone(), new.clone()),
            (old, new) => {
                let said =
                    said.with_context(|| "name both bases with --old-base and --onto".to_owned())?;
                let named = said.name.as_deref();
                let unnamed = "the image does not say what its base is called";
                (
                    match old {
                        Some(old) => old.clone(),
                        None => old_base(&said).with_context(|| {
                            format!("{unnamed}: name the one that it stands on with --old-base")
                        })?,
                    },
                    match (new, named) {
                        (Some(new), _) => new.clone(),
                        (None, Some(name)) => format!("docker://{name}"),
                        (None, None) => {
                            anyhow::bail!("{unnamed}: name the new one with --onto")
                        }
                    },
                )
            }
        };
        Ok(Self {
            manifest,
            platform,
            old,
            new,
        })
    }

    /// The image on its new base, and whether nothing has changed by that.
    fn apply<'a>(
        &self,
        opened: &'a Opened,
        bases: &'a BTreeMap<String, Opened>,
        terminal: &Terminal,
    ) -> anyhow::Result<(Joined<'a>, bool)> {
        let (Some(old), Some(new)) = (bases.get(&self.old), bases.get(&self.new)) else {
            anyhow::bail!("the bases of {} were not opened", opened.name);
        };
        let select = |base: &Opened| {
            base.select(Some(&self.platform))
                .with_context(|| format!("the base {} does not fit", base.name))
        };
        let (old_manifest, new_manifest) = (select(old)?, select(new)?);
        let name = match &new.location {
            Location::Registry(reference) => {
                let mut reference = reference.clone();
                reference.digest = None;
                Some(reference.to_string())
            }
            Location::Disk(_) => None,
        };
        let said = parent::based_on(&*opened.source, &self.manifest).ok();
        let said = said.and_then(|said| said.name);
        let has_its_name = name.is_none() || name == said;
        let image = parent::rebase(
            (&*opened.source, &self.manifest),
            (&*old.source, &old_manifest),
            (&*new.source, &new_manifest, name),
        )?;
        let is_same_base = old_manifest.digest() == new_manifest.digest();
        let change = match (is_same_base, has_its_name) {
            (true, true) => format!("{} is the newest: nothing changes", new.name),
            (true, false) => format!(
                "{}: the same image ({}) under another name",
                new.name,
                short(&new_manifest)
            ),
            (false, _) => format!(
                "{}: {} → {}",
                new.name,
                short(&old_manifest),
                short(&new_manifest)
            ),
        };
        terminal.fact("base", &format!("{change} ({})", self.platform));
        let joined = Joined::new(&image, vec![&*new.source, &*opened.source]);
        Ok((joined, is_same_base && has_its_name))
    }
}

/// The base that an image says it stands on, as that was then.
fn old_base(said: &BasedOn) -> Option<String> {
    let mut reference: Reference = said.name.as_deref()?.parse().ok()?;
    reference.tag = None;
    reference.digest = Some(said.digest.as_deref()?.parse().ok()?);
    Some(format!("docker://{reference}"))
}

fn short(manifest: &Descriptor) -> String {
    let digest = manifest.digest().to_string();
    digest.chars().take("sha256:".len() + 12).collect()
}
