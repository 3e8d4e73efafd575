//! `distrobuild index`.

use std::process::ExitCode;

use super::args::IndexArguments;
use super::images::{Images, Opened};
use super::terminal::Terminal;
use super::{Usage, transfers};
use crate::registry::RegistryError;
use crate::store::{self, Location, StoreError};
use crate::transfer::{self, Chosen, Part};

/// Puts images for several platforms under one name, and prints it.
pub(super) fn run(arguments: &IndexArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let to = Location::parse(&arguments.image).map_err(Usage::of)?;
    let images = Images::new(&arguments.registry, &names(arguments))?;
    let existing = existing(&to, &images)?;
    let added: Vec<Opened> = arguments
        .add
        .iter()
        .map(|name| images.open(name))
        .collect::<anyhow::Result<_>>()?;
    let part = |opened| -> anyhow::Result<Part<'_>> {
        let opened: &Opened = opened;
        Ok(Part {
            source: &*opened.source,
            root: store::root(&*opened.source, opened.tag.as_deref())?,
        })
    };
    let parts: Vec<Part<'_>> = added.iter().map(part).collect::<anyhow::Result<_>>()?;
    let existing = existing.as_ref().map(part).transpose()?;
    let annotations = arguments.annotation.iter().cloned().collect();
    let gathered = transfer::index(existing.as_ref(), &parts, &annotations)?;
    let chosen = Chosen {
        root: gathered.root().clone(),
        attached: false,
    };
    tell_left(existing.as_ref(), &parts, &chosen, terminal);
    for (manifest, platform) in store::manifests(&gathered, &chosen.root)? {
        terminal.fact("platform", &format!("{platform} {}", manifest.digest()));
    }
    let mounts = added
        .iter()
        .filter_map(|opened| opened.source.repository().cloned())
        .collect();
    let (target, name) = transfers::target_with(&to, "latest", &images, mounts);
    let copied = transfers::copy_from(&gathered, "index", &chosen, &target, &images, terminal)?;
    transfers::tell("index", &copied, &name, terminal);
    let result = match &to {
        Location::Registry(reference) => transfers::pinned(reference, &copied),
        Location::Disk(_) => name,
    };
    terminal.result(&format!("{result}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Says that signatures stay where they are: the index is another with each image in it.
fn tell_left(
    existing: Option<&Part<'_>>,
    added: &[Part<'_>],
    chosen: &Chosen,
    terminal: &Terminal,
) {
    let other = existing.filter(|existing| existing.root.digest() != chosen.root.digest());
    if let Some(part) = other {
        let why = "of the index as it was, and left behind: sign the new one";
        transfers::tell_left(part.source, &part.root, why, terminal);
    }
    for part in added {
        let why = format!(
            "left behind in {}: sign the index, with --recursive its images, too",
            part.source.name()
        );
        transfers::tell_left(part.source, &part.root, &why, terminal);
    }
}

/// The images, what is written first.
fn names(arguments: &IndexArguments) -> Vec<&str> {
    let added = arguments.add.iter().map(String::as_str);
    std::iter::once(arguments.image.as_str())
        .chain(added)
        .collect()
}

/// What the name leads to already.
fn existing(to: &Location, images: &Images) -> anyhow::Result<Option<Opened>> {
    match to {
        Location::Disk(reference) if !reference.path.exists() => Ok(None),
        Location::Disk(reference) => {
            let mut opened = images.open_at(to.clone())?;
            let tag = reference.tag.clone().unwrap_or_else(|| "latest".to_owned());
            if !store::tags(&*opened.source)?.contains(&tag) {
                return Ok(None);
            }
            opened.tag = Some(tag);
            Ok(Some(opened))
        }
        Location::Registry(reference) if reference.digest.is_some() => Err(Usage(format!(
            "{reference} cannot be made: its digest is known when it is; give a tag"
        ))
        .into()),
        Location::Registry(_) => match images.open_at(to.clone()) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        },
    }
}

fn is_absent(error: &anyhow::Error) -> bool {
    let of_registry = |error: &RegistryError| error.is_not_found();
    match (
        error.downcast_ref::<RegistryError>(),
        error.downcast_ref::<StoreError>(),
    ) {
        (Some(error), _) => of_registry(error),
        (_, Some(StoreError::Registry(error))) => of_registry(error),
        _ => false,
    }
}
