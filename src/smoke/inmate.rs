//! The first process of a sandbox, which becomes the program.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, execve, pivot_root, setsid};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::message::{Fault, Launch, Murmur, Raw};
use super::{process, room};
use crate::trace::{failures, filter};

/// What the inmate is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Instructions {
    pub(super) launch: Launch,
    pub(super) watched: bool,
    /// Where the tree is.
    pub(super) place: Raw,
}

/// Parts of `/proc` that are the machine's, not the container's (runtimes' defaults for
/// `readonlyPaths` and `maskedPaths`, runtime-spec `config-linux.md`).
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
const MASKED_FILES: [&str; 5] = [
    "kcore",
    "keys",
    "latency_stats",
    "timer_list",
    "sched_debug",
];
const MASKED_DIRECTORIES: [&str; 3] = ["acpi", "asound", "scsi"];

/// Plays the inmate, whose instructions come over standard input. Returns only when it cannot
/// become the program.
pub(super) fn play() -> ExitCode {
    let prepared = process::die_with_parent()
        .and_then(|()| process::close_inherited())
        .and_then(|()| Channel::inherited());
    if let Ok(mut channel) = prepared
        && let Ok(Some(instructions)) = channel.receive::<Instructions>()
    {
        let Err(fault) = become_program(&instructions, &mut channel);
        // Where nobody listens any more, nobody is to be told.
        let _ = channel.send(&Murmur::Failed(fault));
    }
    ExitCode::FAILURE
}

fn become_program(told: &Instructions, channel: &mut Channel) -> Result<Infallible, Fault> {
    // No terminal: what is typed there does not concern the program.
    setsid().map_err(Fault::step("leave the session"))?;
    process::reset_signals().map_err(Fault::step("reset the signals"))?;
    process::forbid_core_files();
    // /proc/self, whatever becomes of /proc.
    let this_process = open_this_process().map_err(Fault::step("open /proc/self"))?;
    enter(told.place.as_path(), channel)?;
    mount_writable(&told.launch)?;
    become_user(&this_process, &told.launch)?;
    drop(this_process);
    give_up_rights().map_err(Fault::step("give up all rights"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    chdir(told.launch.workdir.as_path()).map_err(|error| Fault::Workdir {
        errno: error as i32,
    })?;
    let program = Program::new(&told.launch)?;
    // To change ids and rights cancels it.
    process::die_with_parent().map_err(Fault::step("bind its life to the parent's"))?;
    if !channel.is_open() {
        return Err(Fault::Step {
            what: "hear from the parent".to_owned(),
            errno: 0,
        });
    }
    hide_keys();
    if told.watched && failures::become_traced().is_err() {
        // The parent waits without a watch then.
        let _ = channel.send(&Murmur::Notice(
            "the system calls of the program could not be watched: ptrace(2) is not permitted"
                .to_owned(),
        ));
    }
    program.execute()
}

fn open_this_process() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/proc/self", flags, Mode::empty())?)
}

/// Makes the tree the root, with a `/proc` of this pid namespace; what was there is detached.
fn enter(place: &Path, channel: &mut Channel) -> Result<(), Fault> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(Fault::step("unshare the mounts"))?;
    chdir(place).map_err(Fault::step("enter the tree"))?;
    if let Err(error) = mount_proc() {
        room::bind(Path::new("/proc"), Path::new("proc")).map_err(Fault::step("mount /proc"))?;
        let notice = format!(
            "/proc in the sandbox is that of this machine or container, since the kernel refuses a new one ({error}), as it does where parts of /proc are masked"
        );
        let _ = channel.send(&Murmur::Notice(notice));
    }
    restrict_proc()?;
    // With both at one place the old root is on top of the new one (pivot_root(2)).
    pivot_root(".", ".").map_err(Fault::step("change the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(Fault::step("detach the old root"))?;
    chdir("/").map_err(Fault::step("enter the new root"))
}

fn mount_proc() -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "proc", Some("proc"), flags, None::<&str>)
}

/// The program may be root in the eyes of the machine, whose settings are below `/proc/sys`.
fn restrict_proc() -> Result<(), Fault> {
    let proc = Path::new("proc");
    let step = |name: &str| Fault::step::<nix::Error>(format!("restrict /proc/{name}"));
    for name in READ_ONLY {
        let path = proc.join(name);
        if path.exists() {
            room::bind(&path, &path).map_err(step(name))?;
            room::make_read_only(&path, MsFlags::MS_NOEXEC).map_err(step(name))?;
        }
    }
    for name in MASKED_FILES {
        let path = proc.join(name);
        if path.exists() {
            room::bind(Path::new("/dev/null"), &path).map_err(step(name))?;
        }
    }
    for name in MASKED_DIRECTORIES {
        let path = proc.join(name);
        if path.exists() {
            room::mount_memory(&path, "mode=0555").map_err(step(name))?;
            room::make_read_only(&path, MsFlags::empty()).map_err(step(name))?;
        }
    }
    Ok(())
}

/// Directories of this run. Paths are followed inside the new root.
fn mount_writable(launch: &Launch) -> Result<(), Fault> {
    // The size that runtimes give it, which shows what a larger one would hide.
    room::mount_memory(Path::new("/dev/shm"), "mode=1777,size=65536k")
        .map_err(Fault::step("mount /dev/shm"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    // Few programs want a terminal; one that does says so.
    let _ = mount(Some("devpts"), "/dev/pts", Some("devpts"), flags, options);
    for (path, mode) in &launch.writable {
        let path = Path::new("/").join(path.as_path());
        let step = || Fault::step::<io::Error>(format!("make {} writable", path.display()));
        // It is missing when it lies in another one, which is empty.
        std::fs::create_dir_all(&path).map_err(step())?;
        room::mount_memory(&path, &format!("mode={mode:04o}"))
            .map_err(|error| step()(error.into()))?;
    }
    Ok(())
}

/// A user namespace in which this process, root of the one above, is the image's user.
fn become_user(this_process: &OwnedFd, launch: &Launch) -> Result<(), Fault> {
    let step = || Fault::step::<io::Error>(format!("become the user {}", launch.uid));
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| step()(error.into()))?;
    let write = |name: &str, text: String| {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(this_process, name, flags, Mode::empty())?;
        // One write(2), as user_namespaces(7) asks for.
        rustix::io::write(&file, text.as_bytes())
    };
    for (name, text) in [
        ("uid_map", format!("{} 0 1", launch.uid)),
        ("setgroups", "deny".to_owned()),
        ("gid_map", format!("{} 0 1", launch.gid)),
    ] {
        write(name, text).map_err(|error| step()(error.into()))?;
    }
    Ok(())
}

/// No capability now or after an execve(2), which without privileges gives none back
/// (`capabilities(7)`, `prctl(2)` on `PR_SET_NO_NEW_PRIVS`).
fn give_up_rights() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    rustix::thread::clear_ambient_capability_set()?;
    for capability in CapabilitySet::all().iter() {
        // The kernel may know fewer.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    Ok(())
}

/// The program keeps the session keyring (`keyrings(7)`), which no namespace hides: the calls that
/// reach keys are refused, as runtimes refuse them. A kernel without seccomp refuses nothing.
fn hide_keys() {
    let _ = filter::refuse(&[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl]);
}

/// What execve(2) takes.
struct Program {
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn new(launch: &Launch) -> Result<Self, Fault> {
        let strings =
            |raw: &[Raw]| -> Result<Vec<CString>, Fault> { raw.iter().map(string).collect() };
        let arguments = strings(&launch.command)?;
        let first = launch.command.first().map_or(&[][..], Raw::as_bytes);
        let candidates = if first.contains(&b'/') {
            arguments.iter().take(1).cloned().collect()
        } else {
            strings(&launch.search)?
        };
        Ok(Self {
            candidates,
            arguments,
            env: strings(&launch.env)?,
        })
    }

    /// As execvp(3) does, but a file of unknown form is not given to a shell.
    fn execute(&self) -> Result<Infallible, Fault> {
        let mut worst = nix::Error::ENOENT;
        for candidate in &self.candidates {
            let Err(error) = execve(candidate, &self.arguments, &self.env);
            match error {
                nix::Error::ENOENT | nix::Error::ENOTDIR => {}
                nix::Error::EACCES => worst = error,
                _ => {
                    worst = error;
                    break;
                }
            }
        }
        Err(Fault::Exec {
            errno: worst as i32,
        })
    }
}

fn string(raw: &Raw) -> Result<CString, Fault> {
    CString::new(raw.as_bytes()).map_err(|_| Fault::Step {
        what: format!("pass on {raw:?}, which holds a NUL byte"),
        errno: nix::Error::EINVAL as i32,
    })
}
