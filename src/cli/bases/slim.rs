//! `distrobuild bases refresh-slim`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::args::RegistryArguments;
use crate::cli::images::Images;
use crate::cli::report::ask;
use crate::cli::terminal::{Terminal, harmless};
use crate::report::{Refreshed, SlimBases};

/// The most bytes that a table may have: the one that comes with the program has 80 kB.
const LARGEST: u64 = 16 << 20;

/// Asks what the recorded images weigh today.
pub(super) fn refresh(
    file: &Path,
    only: &[String],
    unpacked: bool,
    dry_run: bool,
    registry: &RegistryArguments,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let mut table = read(file)?;
    let before = table.to_json();
    let images = Images::new(registry, &["docker://docker.io/library/all"])?;
    // Layers take what time they take; a size alone should not.
    let client = match unpacked {
        true => images.client().clone(),
        false => images.impatient(),
    };
    let refreshed = table.refresh(only, unpacked, &|wanted| ask(&client, wanted));
    tell(&refreshed, terminal);
    if refreshed.rows.is_empty() {
        anyhow::bail!("no image could be asked for, so that nothing was written; see the warnings");
    }
    terminal.result(&harmless(&lines(&refreshed)))?;
    let after = table.to_json();
    if dry_run || (after == before && file.exists()) {
        return Ok(ExitCode::SUCCESS);
    }
    write(file, &after).with_context(|| format!("{} cannot be written", file.display()))?;
    terminal.fact("table", &file.display().to_string());
    Ok(ExitCode::SUCCESS)
}

/// The table in `file`, or the one that comes with the program when there is no such file.
fn read(file: &Path) -> anyhow::Result<SlimBases> {
    let name = || format!("{} cannot be read", file.display());
    let mut opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SlimBases::embedded()?),
        opened => opened.with_context(name)?.take(LARGEST + 1),
    };
    let mut text = String::new();
    opened.read_to_string(&mut text).with_context(name)?;
    if text.len() as u64 > LARGEST {
        anyhow::bail!(
            "{} has more than {LARGEST} bytes and is no table",
            file.display()
        );
    }
    SlimBases::parse(&text).with_context(|| file.display().to_string())
}

/// Written aside and renamed: whoever reads it finds the old table or the new one.
fn write(file: &Path, text: &str) -> io::Result<()> {
    // A link stays one.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut aside = tempfile::Builder::new()
        .prefix(".distrobuild-slim-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)?;
    aside.write_all(text.as_bytes())?;
    aside.persist(&file).map_err(|error| error.error)?;
    Ok(())
}

fn tell(refreshed: &Refreshed, terminal: &Terminal) {
    for failed in &refreshed.failed {
        let outcome = match failed.is_recorded {
            true => "keeps what is recorded",
            false => "is not added",
        };
        terminal.warn(&format!(
            "{} for {} {outcome}: {}",
            crate::registry::harmless(&failed.reference),
            failed.platform,
            failed.why
        ));
    }
    for (alias, reference) in &refreshed.dropped {
        terminal.warn(&format!(
            "{alias} is another build than {reference} now, and no longer listed with it; give it a row with --only {alias}"
        ));
    }
}

/// A line for each row that was had.
fn lines(refreshed: &Refreshed) -> String {
    refreshed.rows.iter().fold(String::new(), |mut text, row| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row.words());
        text
    })
}
