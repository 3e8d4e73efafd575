//! `distrobuild push`.

use std::process::ExitCode;

use super::args::PushArguments;
use super::images::Images;
use super::terminal::Terminal;
use super::transfers;

/// Sends an image to a registry, and prints the name by which it can be pulled for ever.
pub(super) fn run(arguments: &PushArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let whose = format!("docker://{}", arguments.reference);
    let images = Images::new(&arguments.registry, &[&whose])?;
    let opened = images.open(&arguments.image)?;
    let platform = arguments.platform.as_ref();
    let chosen = transfers::chosen_attached(&opened, platform, arguments.no_signatures, terminal)?;
    let target = transfers::to_registry(&images, &arguments.reference, &opened, &chosen);
    let copied = transfers::copy("push", &opened, &chosen, &target, &images, terminal)?;
    let name = transfers::named(&arguments.reference);
    transfers::tell("pushed", &copied, &name, terminal);
    let pinned = transfers::pinned(&arguments.reference, &copied);
    terminal.result(&format!("{pinned}\n"))?;
    Ok(ExitCode::SUCCESS)
}
