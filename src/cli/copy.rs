//! `distrobuild copy`.

use std::process::ExitCode;

use oci_spec::image::Descriptor;

use super::args::CopyArguments;
use super::images::{Images, Opened};
use super::terminal::Terminal;
use super::{Usage, transfers};
use crate::image::Platform;
use crate::store::{self, Destination, Location};

/// Copies an image from anywhere to anywhere, and prints what it is called there.
pub(super) fn run(arguments: &CopyArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let to = Location::parse(&arguments.to).map_err(Usage::of)?;
    let images = Images::new(&arguments.registry, &[&arguments.to, &arguments.from])?;
    let opened = images.open(&arguments.from)?;
    // Such an archive holds one image.
    let is_one = is_for_one(&to);
    let root = store::root(&*opened.source, opened.tag.as_deref()).ok();
    let is_index = |root: &Descriptor| store::is_index(root.media_type());
    let host = (is_one && root.as_ref().is_some_and(is_index)).then(Platform::host);
    let platform = arguments.platform.as_ref().or(host.as_ref());
    let without = arguments.no_signatures || is_one;
    let chosen = transfers::chosen_attached(&opened, platform, without, terminal)?;
    if let (true, false, Some(root)) = (is_one, arguments.no_signatures, &root) {
        transfers::tell_left(&*opened.source, root, transfers::NO_ROOM, terminal);
    }
    let tag = tag_of(&opened);
    let (target, name) = transfers::target(&to, &tag, &images, &opened, &chosen);
    let copied = transfers::copy("copy", &opened, &chosen, &target, &images, terminal)?;
    transfers::tell("copied", &copied, &name, terminal);
    let result = match &to {
        Location::Registry(reference) => transfers::pinned(reference, &copied),
        Location::Disk(_) => name,
    };
    terminal.result(&format!("{result}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the place holds one image, and no index.
fn is_for_one(to: &Location) -> bool {
    match to {
        Location::Disk(reference) => {
            matches!(
                transfers::destination(reference),
                Destination::DockerArchive(_)
            )
        }
        Location::Registry(_) => false,
    }
}

/// The tag that a copy keeps where none is given for it.
fn tag_of(opened: &Opened) -> String {
    let given = match &opened.location {
        Location::Registry(reference) => reference.tag.clone(),
        Location::Disk(_) => opened.tag.clone(),
    };
    given.unwrap_or_else(|| "latest".to_owned())
}
