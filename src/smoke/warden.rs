//! The process that makes a sandbox and watches over what runs in it.

use std::io;
use std::process::ExitCode;

use nix::sched::{CloneFlags, unshare};

use super::channel::Channel;
use super::message::{Fault, Order, Plan, Told};
use super::room::Room;
use super::{HOSTNAME, loopback, process, supervision};

/// Opens ports below 1024 to everybody in this network namespace (`ip(7)`).
const LOW_PORTS: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// Plays the warden: its orders come over standard input. Ends when that is closed, and with the
/// thread that started it.
pub(super) fn play() -> ExitCode {
    let prepared = process::die_with_parent()
        .and_then(|()| process::close_inherited())
        .and_then(|()| Channel::inherited());
    let Ok(mut channel) = prepared else {
        return ExitCode::FAILURE;
    };
    let served = match serve(&mut channel) {
        Ok(()) => Ok(()),
        Err(Stop::Gone(error)) => Err(error),
        Err(Stop::Fault(fault)) => channel.send(&Told::Failed(fault)),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Why the warden stops.
enum Stop {
    /// The one that gives the orders is gone.
    Gone(io::Error),
    Fault(Fault),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn serve(channel: &mut Channel) -> Result<(), Stop> {
    rustix::process::umask(rustix::fs::Mode::empty());
    leave_the_host()?;
    channel.send(&Told::Unshared)?;
    // The plan comes when the maps are written.
    let Some(plan) = channel.receive::<Plan>()? else {
        return Ok(());
    };
    furnish(&plan)?;
    let room = Room::build(&plan, channel)?;
    while let Some(order) = channel.receive::<Order>()? {
        let mut report = supervision::run(&room, order)?;
        report.notices.splice(..0, room.notices.iter().cloned());
        channel.send(&Told::Ran(Box::new(report)))?;
    }
    Ok(())
}

/// New namespaces for all but processes, which each run gets anew.
fn leave_the_host() -> Result<(), Fault> {
    let namespaces = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(namespaces).map_err(|error| Fault::Namespaces {
        errno: error as i32,
    })
}

fn furnish(plan: &Plan) -> Result<(), Fault> {
    // Where the maps forbid it, as those of an ordinary user do, further groups stay.
    let _ = nix::unistd::setgroups(&[]);
    nix::unistd::sethostname(HOSTNAME).map_err(Fault::step("set the host name"))?;
    loopback::bring_up().map_err(Fault::step("bring the loopback interface up"))?;
    if plan.low_ports {
        // Where /proc/sys is read-only, ports below 1024 stay closed.
        let _ = std::fs::write(LOW_PORTS, "0");
    }
    Ok(())
}
