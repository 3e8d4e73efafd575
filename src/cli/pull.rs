//! `distrobuild pull`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::{Format, PullArguments};
use super::images::Images;
use super::terminal::Terminal;
use super::{Usage, transfers};
use crate::image::Platform;
use crate::registry::Reference;
use crate::store::{self, Destination, Location};
use crate::transfer::Target;

/// Fetches an image from a registry, and prints where it is.
pub(super) fn run(arguments: &PullArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let reference = &arguments.reference;
    let tag = match (&arguments.tag, &reference.tag) {
        (Some(tag), _) | (None, Some(tag)) => tag.clone(),
        (None, None) => "latest".to_owned(),
    };
    let destination = destination(arguments);
    let name = destination.name(&tag).map_err(Usage::of)?;
    let whose = format!("docker://{}", arguments.reference);
    let images = Images::new(&arguments.registry, &[&whose])?;
    let opened = images.open_at(Location::Registry(reference.clone()))?;
    // Such an archive holds one image.
    let is_one = matches!(destination, Destination::DockerArchive(_));
    let root = store::root(&*opened.source, None)?;
    let host = (is_one && store::is_index(root.media_type())).then(Platform::host);
    let platform = arguments.platform.as_ref().or(host.as_ref());
    let without = arguments.no_signatures || is_one;
    let chosen = transfers::chosen_attached(&opened, platform, without, terminal)?;
    if is_one && !arguments.no_signatures {
        transfers::tell_left(&*opened.source, &root, transfers::NO_ROOM, terminal);
    }
    let shown = format!("{}:{name}", destination.path().display());
    let target = Target::Disk { destination, tag };
    let copied = transfers::copy("pull", &opened, &chosen, &target, &images, terminal)?;
    transfers::tell("pulled", &copied, &shown, terminal);
    terminal.result(&format!("{shown}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn destination(arguments: &PullArguments) -> Destination {
    let is_tar = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
    };
    let named =
        |extension: &str| PathBuf::from(format!("{}.{extension}", stem(&arguments.reference)));
    match (arguments.format, &arguments.output) {
        (Format::DockerArchive, output) => {
            Destination::DockerArchive(output.clone().unwrap_or_else(|| named("tar")))
        }
        (Format::Oci, Some(path)) if is_tar(path) => Destination::OciArchive(path.clone()),
        (Format::Oci, output) => {
            Destination::Layout(output.clone().unwrap_or_else(|| named("oci")))
        }
    }
}

/// The last word of the repository's name.
fn stem(reference: &Reference) -> &str {
    let path = reference.repository.path.as_str();
    path.rsplit('/').next().unwrap_or(path)
}
