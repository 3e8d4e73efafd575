//! A base of packages, as the arguments name it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use indicatif::ProgressBar;

use crate::cli::Usage;
use crate::cli::args::{Archives, BaseArguments};
use crate::cli::terminal::{BAR_AFTER, Terminal, bar, lock};
use crate::debian::{
    Architecture, BaseRequest, LOCK_FILE, Lock, Recipes, Reference, Session, SessionOptions, Supply,
};
use crate::download::Progress;
use crate::elf::Object;
use crate::image::Platform;
use crate::report::human_size as human;
use crate::sysroot::{Directory, Sysroot};

/// Where packages come from, by the arguments.
pub(crate) fn options(archives: &Archives) -> SessionOptions {
    SessionOptions {
        cache: crate::cli::made::packages(),
        offline: archives.offline,
        mirrors: archives.mirror.clone(),
        keyring: archives.keyring.clone(),
        allow_expired: archives.allow_expired,
        ..SessionOptions::default()
    }
}

/// The base that `--base DISTRIBUTION:RELEASE/BASE` and its companions ask for.
pub(super) fn supply(
    arguments: &BaseArguments,
    app: &Path,
    platform: Option<&Platform>,
    keep: bool,
    terminal: &Terminal,
) -> anyhow::Result<Supply> {
    let reference: Reference = arguments.base.parse().map_err(Usage::of)?;
    let wanted = &arguments.wanted;
    let request = BaseRequest {
        architecture: architecture(wanted.arch, app, platform)?,
        packages: wanted.package.clone(),
        reference,
    };
    let lock = read_lock(wanted.lock.as_deref(), &request, terminal)?;
    let mut options = options(&arguments.archives);
    options.cache = options.cache.filter(|_| keep);
    let session = Session::new(options)?;
    Ok(Supply::new(session, request, lock))
}

/// The lock file that was named, or the one that is here and has the base.
fn read_lock(
    named: Option<&Path>,
    request: &BaseRequest,
    terminal: &Terminal,
) -> anyhow::Result<Option<(PathBuf, Lock)>> {
    if let Some(path) = named {
        return Ok(Some((path.to_path_buf(), Lock::read(path)?)));
    }
    let path = Path::new(LOCK_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let lock = Lock::read(path)?;
    let BaseRequest {
        reference,
        architecture,
        ..
    } = request;
    if lock.get(reference, *architecture).is_none() {
        terminal.warn(&format!(
            "{LOCK_FILE} has no {reference} for {architecture}, so the packages of today are taken; \
             `distrobuild bases lock {reference} --arch {architecture}` adds it"
        ));
        return Ok(None);
    }
    Ok(Some((path.to_path_buf(), lock)))
}

/// That of `--arch`, of `--platform`, of the app, or of this machine.
fn architecture(
    asked: Option<Architecture>,
    app: &Path,
    platform: Option<&Platform>,
) -> anyhow::Result<Architecture> {
    let of_platform = platform.map(|platform| {
        let found = Architecture::of(platform);
        found.ok_or_else(|| {
            Usage(format!(
                "--platform {platform}: Debian has no packages for it"
            ))
        })
    });
    match (asked, of_platform.transpose()?) {
        (Some(asked), Some(other)) if asked != other => Err(Usage(format!(
            "--arch {asked} and --platform say different things; one of them is enough"
        ))
        .into()),
        (Some(known), _) | (None, Some(known)) => Ok(known),
        (None, None) => of_app(app).map_or_else(this_machine, Ok),
    }
}

/// The architecture that the app is for, where it is an ELF file of this machine.
fn of_app(app: &Path) -> Option<Architecture> {
    let path = std::path::absolute(app).ok()?;
    let file = Directory::host().ok()?.open(&path).ok()?;
    let object = Object::read(&file).ok()?;
    let (architecture, variant) = object.machine.platform()?;
    Architecture::of(&Platform::linux(architecture, variant))
}

/// This machine's architecture.
pub(crate) fn this_machine() -> anyhow::Result<Architecture> {
    let host = Platform::host();
    let found = Architecture::of(&host);
    found.ok_or_else(|| {
        Usage(format!(
            "Debian has no packages for {host}, this machine; name another with --arch"
        ))
        .into()
    })
}

/// Whether `--base` names a base of packages: `debian:bookworm/cc`, or the name of a release that
/// there is, as `debian:bookworm`. `debian:bookworm-slim` is an image, as `alpine:3.20` is.
pub(super) fn are_meant(name: &str) -> anyhow::Result<bool> {
    if name.ends_with(".toml") || name.starts_with(['.', '/']) || !Reference::is_meant(name) {
        return Ok(false);
    }
    let Some((_, rest)) = name.split_once(':') else {
        return Ok(false);
    };
    if rest.contains('@') {
        // A digest, or what the reader of references refuses: a user and a password.
        return Ok(false);
    }
    if rest.contains('/') {
        // No image has a tag with a slash; a port is a number.
        let first = rest.split('/').next().unwrap_or_default();
        return Ok(!first.bytes().all(|byte| byte.is_ascii_digit()));
    }
    let Ok(reference) = name.parse::<Reference>() else {
        return Ok(false);
    };
    Ok(Recipes::built_in()?.find(&reference).is_ok())
}

/// Refuses flags that are about packages where the base is none of packages.
pub(super) fn refuse_for_others(arguments: &BaseArguments) -> Result<(), Usage> {
    let wanted = &arguments.wanted;
    let given = [
        ("--package", !wanted.package.is_empty()),
        ("--arch", wanted.arch.is_some()),
        ("--lock", wanted.lock.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(Usage(format!(
            "{flag} is for a base of packages, and --base is {}; give one as --base debian:bookworm/base",
            arguments.base
        ))),
    }
}

/// So many packages, in words.
pub(crate) fn counted(packages: usize) -> String {
    let plural = if packages == 1 { "" } else { "s" };
    format!("{packages} package{plural}")
}

/// Says what a session met that the user should know, and has not been told.
pub(crate) fn tell_notices(session: &Session, terminal: &Terminal) {
    for notice in session.take_notices() {
        terminal.warn(&notice);
    }
}

/// Says what the base is made of.
pub(super) fn tell(supply: &Supply, terminal: &Terminal) {
    let Some(locked) = supply.locked() else {
        return;
    };
    let count = counted(locked.packages.len());
    let lock = match supply.lock() {
        Some(path) => format!(", from {}", path.display()),
        None => String::new(),
    };
    let size = human(locked.size());
    terminal.fact(
        "base",
        &format!(
            "{} for {}: {count}, {size} of .deb files{lock}",
            locked.reference, locked.architecture
        ),
    );
    let asked = supply.asked_later();
    if !asked.is_empty() {
        terminal.fact(
            "",
            &format!("with {}, for what the app needs", asked.join(", ")),
        );
    }
    for package in &locked.packages {
        terminal.detail(&format!("          {}", package.title()));
    }
}

/// Shows downloads as one bar.
pub(crate) struct Downloads<'t> {
    terminal: &'t Terminal,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
}

impl<'t> Downloads<'t> {
    pub(crate) fn new(terminal: &'t Terminal) -> Self {
        Self {
            terminal,
            start: Instant::now(),
            state: Mutex::default(),
        }
    }
}

impl Progress for Downloads<'_> {
    fn begin(&self, name: &str, size: Option<u64>) {
        self.terminal.detail(&format!("          fetching {name}"));
        let mut state = lock(&self.state);
        state.total += size.unwrap_or(0);
        if let Some(bar) = &state.bar {
            bar.set_length(state.total);
        }
    }

    fn advance(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.done += bytes;
        if !self.terminal.wants_bar() {
            return;
        }
        let elapsed = self.start.elapsed();
        if state.bar.is_none() && elapsed >= BAR_AFTER && state.total > 0 {
            state.bar = Some(bar("fetch", state.total, elapsed));
        }
        if let Some(bar) = &state.bar {
            bar.set_position(state.done.min(state.total));
        }
    }
}

impl Drop for Downloads<'_> {
    fn drop(&mut self) {
        if let Some(bar) = lock(&self.state).bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    fn chosen(
        asked: Option<Architecture>,
        app: &Path,
        of: Option<&str>,
    ) -> Result<Architecture, String> {
        let platform = of.map(platform);
        architecture(asked, app, platform.as_ref()).map_err(|error| error.to_string())
    }

    /// The start of a little-endian ELF file of 64 bits for this machine.
    fn program(machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[16] = 2;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[20] = 1;
        bytes[52] = 64;
        bytes[54] = 56;
        bytes
    }

    #[test]
    fn what_is_asked_for_comes_before_what_the_app_is() {
        let app = Path::new("/proc/self/exe");
        let arm = Some(Architecture::Arm64);
        let s390 = Some("linux/s390x");
        assert_eq!(chosen(arm, app, None), Ok(Architecture::Arm64));
        assert_eq!(chosen(None, app, s390), Ok(Architecture::S390x));
        assert_eq!(
            chosen(arm, app, Some("linux/arm64")),
            Ok(Architecture::Arm64)
        );
    }

    #[test]
    fn two_wishes_that_differ_and_machines_that_debian_does_not_know_are_refused() {
        let app = Path::new("/nowhere");
        let both = chosen(Some(Architecture::Arm64), app, Some("linux/s390x"));
        let error = both.unwrap_err();
        assert!(error.contains("--arch arm64 and --platform"), "{error}");
        let error = chosen(None, app, Some("linux/loong64")).unwrap_err();
        assert!(error.contains("Debian has no packages for it"), "{error}");
    }

    #[test]
    fn an_app_that_is_a_program_tells_its_architecture_and_any_other_is_for_this_machine() {
        let directory = tempfile::tempdir().unwrap();
        let app = directory.path().join("app");
        // EM_AARCH64 of elf(5).
        std::fs::write(&app, program(183)).unwrap();
        assert_eq!(chosen(None, &app, None), Ok(Architecture::Arm64));
        let here = this_machine().unwrap();
        std::fs::write(&app, "#!/usr/bin/env python3\n").unwrap();
        assert_eq!(chosen(None, &app, None), Ok(here));
        assert_eq!(chosen(None, directory.path(), None), Ok(here));
        assert_eq!(
            chosen(None, &directory.path().join("absent"), None),
            Ok(here)
        );
    }

    #[test]
    fn one_package_is_not_called_packages() {
        assert_eq!(
            [0, 1, 2].map(counted),
            ["0 packages", "1 package", "2 packages"]
        );
    }
}
