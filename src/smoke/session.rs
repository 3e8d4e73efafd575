//! The side of a run that stays outside: it starts the warden and gives it orders.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::SmokeError;
use super::channel::Channel;
use super::message::{Fault, Order, Plan, Report, Told};
use super::obstacle;
use crate::helper::{Helper, Part};

/// How long the warden may take to make a tree, and to end a run beyond its own limit.
const PATIENCE: Duration = Duration::from_secs(120);

/// A warden. It ends with this value, and with the thread that made it.
pub(super) struct Session {
    warden: Child,
    channel: Channel,
}

impl Session {
    /// Starts a warden.
    pub(super) fn start(helper: &Helper) -> Result<Self, SmokeError> {
        let failed = |source| SmokeError::Helper {
            program: helper.program().to_path_buf(),
            source,
        };
        let (channel, theirs) = Channel::pair().map_err(failed)?;
        channel.set_patience(PATIENCE).map_err(failed)?;
        let warden = helper
            .command(Part::Warden)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok(Self { warden, channel })
    }

    /// Lets it make the tree.
    pub(super) fn furnish(
        &mut self,
        plan: &Plan,
        bytes: &[Cow<'_, [u8]>],
    ) -> Result<(), SmokeError> {
        match self.hear()? {
            Told::Unshared => {}
            Told::Failed(fault) => return Err(fault.into()),
            Told::Ran(_) => return Err(silent()),
        }
        write_maps(self.warden.id()).map_err(obstacle::maps)?;
        let sent = self.channel.send(plan).and_then(|()| {
            let pieces = bytes.iter().map(|content| &**content);
            self.channel.send_bytes(pieces)
        });
        // A warden that stopped reading has said why.
        if sent.is_err()
            && let Told::Failed(fault) = self.hear()?
        {
            return Err(fault.into());
        }
        Ok(())
    }

    /// Lets the program run once.
    pub(super) fn run(&mut self, order: &Order) -> Result<Report, SmokeError> {
        let limit = order.check.limit.max(order.check.stay.unwrap_or_default());
        let sent = self
            .channel
            .set_patience(limit.saturating_add(PATIENCE))
            .and_then(|()| self.channel.send(order));
        match self.hear()? {
            Told::Ran(report) => sent.map(|()| *report).map_err(SmokeError::Talk),
            Told::Failed(fault) => Err(fault.into()),
            Told::Unshared => Err(silent()),
        }
    }

    fn hear(&mut self) -> Result<Told, SmokeError> {
        let told = self.channel.receive().map_err(SmokeError::Talk)?;
        told.ok_or_else(silent)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What it has made is in its namespaces, and goes with it.
        let _ = self.warden.kill();
        let _ = self.warden.wait();
    }
}

fn silent() -> SmokeError {
    SmokeError::Talk(io::Error::from(io::ErrorKind::UnexpectedEof))
}

/// Writes the maps of the warden's user namespace (`user_namespaces(7)`): for root all ids that it
/// has, so that it can read what it can read here; for others their own, as root.
fn write_maps(pid: u32) -> io::Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let write = |name: &str, text: &str| fs::write(format!("/proc/{pid}/{name}"), text);
    if uid.is_root() {
        let own = |name: &str| fs::read_to_string(format!("/proc/self/{name}"));
        let all = own("uid_map").and_then(|uids| Ok((identity(&uids), identity(&own("gid_map")?))));
        if let Ok((uids, gids)) = all
            && write("uid_map", &uids).is_ok()
        {
            return write("gid_map", &gids);
        }
    }
    write("uid_map", &format!("0 {uid} 1"))?;
    write("setgroups", "deny")?;
    write("gid_map", &format!("0 {gid} 1"))
}

/// The map of a child namespace that has the ids of this one, given this one's map.
fn identity(map: &str) -> String {
    map.lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace();
            let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
            Some(format!("{first} {first} {count}\n"))
        })
        .collect()
}

impl From<Fault> for SmokeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Namespaces { errno } => {
                obstacle::namespaces(io::Error::from_raw_os_error(errno))
            }
            Fault::Changed { path } => Self::Changed {
                path: path.to_path(),
            },
            Fault::Step { what, errno } => {
                let source = match errno {
                    0 => io::Error::other("nothing that was tried helped"),
                    errno => io::Error::from_raw_os_error(errno),
                };
                obstacle::step(what, source)
            }
            Fault::Workdir { errno } => Self::Sandbox {
                what: "enter the working directory".to_owned(),
                source: io::Error::from_raw_os_error(errno),
            },
            Fault::Exec { errno } => Self::Sandbox {
                what: "execute the program".to_owned(),
                source: io::Error::from_raw_os_error(errno),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_passes_on_the_ids_that_it_has() {
        let map = "         0     100000      65536\n     65536          5          1\n";
        assert_eq!(identity(map), "0 0 65536\n65536 65536 1\n");
    }
}
