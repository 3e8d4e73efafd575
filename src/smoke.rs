//! The proof that an image starts: it is run in a sandbox whose root is just its content.
//!
//! Three processes take part, each the program that the [`Helper`] names. This one starts the
//! **warden**, which moves into new user, mount, network, IPC, UTS and cgroup namespaces
//! (`namespaces(7)`), makes the image's tree in memory, large files mounted into it, and starts the
//! **inmate**, the first process of a pid namespace. The inmate makes the tree its root and becomes
//! the program: as the image's user, without capabilities, read-only, with a network that is only a
//! loopback interface. The kernel kills each when the one before it ends, and with the last
//! process all namespaces and mounts go.
//!
//! | file | what |
//! |---|---|
//! | `tree`, `account` | the image as it is seen by its user, and what runtimes add |
//! | `session`, `channel`, `message` | orders to the warden, and its reports |
//! | `warden`, `room`, `loopback` | making namespaces and the tree |
//! | `supervision`, `leash`, `judge`, `output`, `probe` | watching a run and judging it |
//! | `inmate`, `process` | becoming the program |
//! | `cause`, `failure`, `obstacle` | explaining what went wrong |

mod account;
mod cause;
mod channel;
mod failure;
mod inmate;
mod judge;
mod leash;
mod loopback;
mod message;
mod obstacle;
mod output;
mod probe;
mod process;
mod room;
mod session;
mod supervision;
mod surroundings;
mod tree;
mod warden;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub use cause::Cause;
pub use failure::Failure;

use self::account::Account;
use self::message::{Check, Launch, Order, Outcome, Raw, Report};
use self::session::Session;
use self::surroundings::Image;
use crate::ImagePath;
use crate::helper::Helper;
use crate::image::Settings;
use crate::rootfs::{EntryKind, Rootfs};

/// The name of the machine in the sandbox.
const HOSTNAME: &str = "smoke";

/// Where runtimes look for a command when the image has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a program is watched that has failed by doing nothing.
const WATCH: Duration = Duration::from_secs(5);

/// How to run an image, and what counts as success.
///
/// With texts, ports or a time to stay up, all of them must come true within the limit; a server
/// is then ended by SIGTERM, and SIGKILL after 2 s. With none of them the program must exit with 0.
#[derive(Debug, Clone)]
pub struct Smoke {
    /// Arguments in the place of the image's default ones (CMD); `None` for those.
    pub arguments: Option<Vec<String>>,
    /// What its output must hold (`--smoke-expect`), each.
    pub expect: Vec<String>,
    /// TCP ports on which it must answer (`--smoke-port`): accept a connection, and when it
    /// speaks HTTP, give a status below 500.
    pub ports: Vec<u16>,
    /// How long it must stay up (`--smoke-for`).
    pub stay: Option<Duration>,
    /// Time limit for all of it; `stay`, if that is longer.
    pub limit: Duration,
    /// Directories that the image's user can write to (`--smoke-writable`): empty ones in memory,
    /// made where the image has none. The root itself always stays read-only.
    pub writable: Vec<ImagePath>,
    /// What makes the sandbox.
    pub helper: Helper,
}

impl Smoke {
    /// A port below 1024 among those that must answer.
    fn low_port(&self) -> Option<u16> {
        self.ports.iter().copied().find(|port| *port < 1024)
    }
}

impl Default for Smoke {
    fn default() -> Self {
        Self {
            arguments: None,
            expect: Vec::new(),
            ports: Vec::new(),
            stay: None,
            limit: Duration::from_secs(30),
            writable: Vec::new(),
            helper: Helper::default(),
        }
    }
}

/// How a run went well.
#[derive(Debug, Clone)]
pub struct Started {
    /// What happened, for people: `exited with 0`, `answered on 8080 (HTTP 200) after 0.2 s`.
    pub what: String,
    /// From the program's start to the end of the run.
    pub took: Duration,
    /// What the sandbox itself cost.
    pub overhead: Duration,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// Why an image was not proven to start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmokeError {
    /// It did not start, or not as was asked for.
    #[error("the image does not start: {0}")]
    Failed(Box<Failure>),
    /// This machine allows no sandbox.
    #[error(
        "the image cannot be started in a sandbox here: this machine does not let it {what} ({source}). The reason is probably {reason}: {advice}; or build without --smoke"
    )]
    Unavailable {
        /// What was refused.
        what: String,
        /// What probably refuses it.
        reason: &'static str,
        /// What to do.
        advice: &'static str,
        /// The kernel's word.
        source: io::Error,
    },
    /// The program is for another machine.
    #[error(
        "{program} is a program for {machine}, which this machine ({}) cannot run: build without --smoke, or install emulation that works in containers (binfmt_misc with the flag F, as `qemu-user-static` brings it)",
        std::env::consts::ARCH
    )]
    Machine {
        /// The program, in the image.
        program: String,
        /// What it is for.
        machine: String,
    },
    /// The image has no command.
    #[error("the image has no command to start: name one with --entrypoint")]
    NoCommand,
    /// The working directory is no absolute path without `..`.
    #[error("the working directory {0:?} cannot be used: give an absolute path with --workdir")]
    Workdir(String),
    /// A directory is asked for where the image has a file.
    #[error(
        "{path} is no directory in the image, since a file is there or above it: give another one with {option}"
    )]
    NoDirectory {
        /// The path in the image.
        path: ImagePath,
        /// The flag that named it.
        option: &'static str,
    },
    /// A directory that a runtime mounts is asked to be writable.
    #[error(
        "--smoke-writable {0}: a container's runtime makes what is below /dev, /proc and /sys, and no volume belongs there; /dev/shm is writable as it is"
    )]
    OfRuntime(ImagePath),
    /// The image's user or group is not in its account files.
    #[error(
        "the {what} {name} is not in the image's {file}: give a number with --user, or bring a {file} with --include"
    )]
    Account {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The file that should have it.
        file: &'static str,
    },
    /// A file of this machine is not what it was when the image was put together.
    #[error("{} has changed since the image was put together: build again", .path.display())]
    Changed {
        /// The file, on this machine.
        path: PathBuf,
    },
    /// The sandbox could not be made or left.
    #[error("cannot {what} for the sandbox: {source}")]
    Sandbox {
        /// What failed.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The program that makes the sandbox cannot be started.
    #[error("cannot start {} to make a sandbox: {source}", .program.display())]
    Helper {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program that makes the sandbox has stopped talking.
    #[error(
        "the process that makes the sandbox ended without a word ({0}): was it killed, or does its program not call helper::play() first?"
    )]
    Talk(io::Error),
}

/// Runs the image of `rootfs` and `settings` in a sandbox. Nothing of it is left when this returns.
///
/// # Errors
/// When it cannot be run here, or fails: with what is missing and the flag that adds it.
pub fn run(rootfs: &Rootfs, settings: &Settings, smoke: &Smoke) -> Result<Started, SmokeError> {
    let begun = Instant::now();
    let workdir = workdir(settings)?;
    check_directories(rootfs, &workdir, &smoke.writable)?;
    let account = account(rootfs, settings)?;
    let mut order = Order {
        launch: launch(settings, smoke, &account, &workdir)?,
        check: Check {
            expect: smoke.expect.clone(),
            ports: smoke.ports.clone(),
            stay: smoke.stay,
            limit: smoke.limit,
        },
        watched: false,
    };
    let mut session = Session::start(&smoke.helper)?;
    let tree = tree::lay_out(rootfs, &workdir, &account, smoke);
    order.launch.writable = tree.writable;
    session.furnish(&tree.plan, &tree.bytes)?;
    let report = session.run(&order)?;
    let image = Image::new(rootfs, &order.launch);
    if report.outcome != Outcome::Passed {
        return Err(explain(&image, &mut session, order, report));
    }
    drop(session);
    let mut notices = report.notices.clone();
    if account.uid != 0
        && let Some(port) = smoke.low_port()
    {
        notices.push(format!(
            "an ordinary user listens on port {port} where the runtime allows it: Docker does, others need net.ipv4.ip_unprivileged_port_start=0 or a port from 1024 up"
        ));
    }
    Ok(Started {
        what: failure::success(&report, &order.check),
        took: report.took,
        overhead: begun.elapsed().saturating_sub(report.ran),
        notices,
    })
}

/// What the output tells, or what a run tells of which the system calls are watched.
fn explain(
    image: &Image<'_>,
    session: &mut Session,
    mut order: Order,
    report: Report,
) -> SmokeError {
    if let Outcome::NotStarted(fault) = &report.outcome {
        return match image.refusal(fault) {
            Ok(cause) => failed(image, &order.check, &report, Some(cause)),
            Err(error) => error,
        };
    }
    let output = String::from_utf8_lossy(report.tail.as_bytes());
    let mut cause = Cause::in_output(&output, order.launch.workdir.as_path());
    if cause.is_none() && failure::is_worth_watching(&report, &order.check) {
        order.watched = true;
        if report.outcome == Outcome::TimeOver {
            order.check.limit = order.check.limit.min(WATCH);
            order.check.stay = None;
        }
        // It explains the failure, and is none itself.
        if let Ok(watched) = session.run(&order) {
            cause = Cause::in_calls(&watched.failures);
        }
    }
    failed(image, &order.check, &report, cause)
}

fn failed(image: &Image<'_>, check: &Check, report: &Report, cause: Option<Cause>) -> SmokeError {
    SmokeError::Failed(Box::new(Failure::new(report, check, cause, image)))
}

fn workdir(settings: &Settings) -> Result<PathBuf, SmokeError> {
    let text = match settings.workdir.as_str() {
        "" => "/",
        text => text,
    };
    match ImagePath::new(text) {
        Ok(path) => Ok(path.as_path().to_path_buf()),
        Err(_) => Err(SmokeError::Workdir(settings.workdir.clone())),
    }
}

/// A runtime would not start the container where the image has something else.
fn check_directories(
    rootfs: &Rootfs,
    workdir: &Path,
    writable: &[ImagePath],
) -> Result<(), SmokeError> {
    let is_file = |path: &Path| {
        let entry = path
            .ancestors()
            .find_map(|path| account::entry(rootfs, path));
        entry.is_some_and(|entry| entry.kind != EntryKind::Directory)
    };
    if let Ok(path) = ImagePath::new(workdir)
        && is_file(workdir)
    {
        let option = "--workdir";
        return Err(SmokeError::NoDirectory { path, option });
    }
    for path in writable {
        if cause::is_of_runtime(path.as_path()) {
            return Err(SmokeError::OfRuntime(path.clone()));
        }
        if is_file(path.as_path()) {
            let (path, option) = (path.clone(), "--smoke-writable");
            return Err(SmokeError::NoDirectory { path, option });
        }
    }
    Ok(())
}

fn account(rootfs: &Rootfs, settings: &Settings) -> Result<Account, SmokeError> {
    Account::in_image(rootfs, &settings.user).map_err(|unknown| SmokeError::Account {
        what: unknown.what,
        name: unknown.name,
        file: unknown.file,
    })
}

/// What a runtime would execute.
fn launch(
    settings: &Settings,
    smoke: &Smoke,
    account: &Account,
    workdir: &Path,
) -> Result<Launch, SmokeError> {
    let arguments = smoke.arguments.as_ref().unwrap_or(&settings.cmd);
    let command: Vec<Raw> = settings
        .entrypoint
        .iter()
        .chain(arguments)
        .map(Raw::from)
        .collect();
    let first = command.first().ok_or(SmokeError::NoCommand)?;
    let env = environment(settings, account);
    let search = env.iter().find(|(name, _)| name == "PATH");
    let search = search
        .map_or("", |(_, path)| path.as_str())
        .split(':')
        .map(Path::new)
        // Runtimes search no directory that depends on the working directory.
        .filter(|directory| directory.is_absolute())
        .map(|directory| Raw::from(directory.join(first.as_path())))
        .collect();
    Ok(Launch {
        search,
        env: env
            .iter()
            .map(|(name, value)| Raw::from(format!("{name}={value}")))
            .collect(),
        command,
        workdir: Raw::from(workdir),
        uid: account.uid,
        gid: account.gid,
        writable: Vec::new(),
    })
}

/// The image's variables, and those that runtimes add when they are not among them.
fn environment(settings: &Settings, account: &Account) -> Vec<(String, String)> {
    let mut env = settings.env.clone();
    for (name, value) in [
        ("PATH", DEFAULT_PATH),
        ("HOSTNAME", HOSTNAME),
        ("HOME", account.home.as_str()),
    ] {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    env
}

/// The part of the process outside of the sandbox.
pub(crate) fn warden() -> ExitCode {
    warden::play()
}

/// The part of the first process inside.
pub(crate) fn inmate() -> ExitCode {
    inmate::play()
}
