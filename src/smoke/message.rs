//! What the parts of a run tell each other.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A string of the system: bytes, in JSON a string of which each character stands for one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Raw(Vec<u8>);

impl Raw {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    pub(super) fn to_path(&self) -> PathBuf {
        self.as_path().to_path_buf()
    }
}

impl<T: AsRef<OsStr>> From<T> for Raw {
    fn from(text: T) -> Self {
        Self(text.as_ref().as_bytes().to_vec())
    }
}

impl From<Raw> for OsString {
    fn from(raw: Raw) -> Self {
        Self::from_vec(raw.0)
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().fmt(f)
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if text.is_ascii() => serializer.serialize_str(text),
            _ => {
                let text: String = self.0.iter().copied().map(char::from).collect();
                serializer.serialize_str(&text)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_ascii() {
            return Ok(Self(text.into_bytes()));
        }
        let bytes: Result<_, _> = text.chars().map(u8::try_from).collect();
        bytes.map(Self).map_err(D::Error::custom)
    }
}

/// The tree that the warden makes. The bytes of its [`ItemKind::Bytes`] follow, in order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// A directory before what is in it.
    pub(super) items: Vec<Item>,
    /// Whether ports below 1024 are open to the program: to root, and, as Docker does it, to any
    /// user of whom an answer there is asked.
    pub(super) low_ports: bool,
}

/// One entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// Its path from the root, without a leading slash.
    pub(super) path: Raw,
    /// Mode bits, as they are in the sandbox.
    pub(super) mode: u32,
    pub(super) kind: ItemKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ItemKind {
    Directory,
    Symlink(Raw),
    /// A further name of the file at this path.
    HardLink(Raw),
    /// A file of so many bytes.
    Bytes(u64),
    /// A file of this machine.
    Host(HostFile),
}

/// A file of this machine, and the state in which it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostFile {
    pub(super) path: Raw,
    pub(super) size: u64,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// `st_mtim` in nanoseconds since the epoch.
    pub(super) modified: i64,
}

/// One run of the program in the tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) launch: Launch,
    pub(super) check: Check,
    /// Whether system calls that fail are recorded.
    pub(super) watched: bool,
}

/// What the inmate becomes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Launch {
    /// The command: at least one word.
    pub(super) command: Vec<Raw>,
    /// Where a command without a slash is searched.
    pub(super) search: Vec<Raw>,
    /// `NAME=value`.
    pub(super) env: Vec<Raw>,
    /// Absolute.
    pub(super) workdir: Raw,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Directories that become empty ones in memory, and their modes; outer ones first.
    pub(super) writable: Vec<(Raw, u32)>,
}

/// What counts as success.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) expect: Vec<String>,
    pub(super) ports: Vec<u16>,
    pub(super) stay: Option<Duration>,
    pub(super) limit: Duration,
}

/// From the warden.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// It has a user namespace, and waits for its maps to be written.
    Unshared,
    /// It could not make the sandbox.
    Failed(Fault),
    /// A run has ended.
    Ran(Box<Report>),
}

/// From the inmate; it says nothing when it becomes the program.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Murmur {
    /// Something that is not as it should be, but does not stop the run.
    Notice(String),
    /// It cannot become the program.
    Failed(Fault),
}

/// Why there is no sandbox, or no program in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// The kernel does not give namespaces to this process.
    Namespaces { errno: i32 },
    /// A step failed.
    Step {
        /// `make the directory /etc`.
        what: String,
        errno: i32,
    },
    /// A file of this machine is not what it was.
    Changed { path: Raw },
    /// The working directory cannot be entered.
    Workdir { errno: i32 },
    /// The command cannot be executed.
    Exec { errno: i32 },
}

impl Fault {
    /// A step that failed, for `map_err`.
    pub(super) fn step<E: Into<std::io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Step {
            what,
            errno: error.into().raw_os_error().unwrap_or(0),
        }
    }
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    /// From the program's start to its outcome.
    pub(super) took: Duration,
    /// From the program's start to its end.
    pub(super) ran: Duration,
    /// The last of what it printed.
    pub(super) tail: Raw,
    /// The ports that answered, when, and with which HTTP status.
    pub(super) answers: Vec<Answer>,
    /// What was expected and did not come.
    pub(super) unmet: Vec<Unmet>,
    pub(super) notices: Vec<String>,
    /// System calls that failed, oldest first, of a watched run.
    pub(super) failures: Vec<FailedCall>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// All that was asked for.
    Passed,
    /// The program ended in another way than was asked for.
    Ended(Ending),
    /// The time was over.
    TimeOver,
    /// A port answered with an HTTP status of 500 or more.
    ServerError { port: u16, status: u16 },
    /// It did not start.
    NotStarted(Fault),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ending {
    Exited(i32),
    Killed(i32),
}

/// A port that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) port: u16,
    pub(super) status: Option<u16>,
    pub(super) after: Duration,
}

/// Something that was expected and did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Unmet {
    Text(String),
    Port { port: u16, status: Option<u16> },
    Stay,
}

/// A system call of the program that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailedCall {
    pub(super) call: String,
    pub(super) path: Raw,
    pub(super) errno: i32,
    /// Whether it wanted to create, change or remove something.
    pub(super) writes: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_go_through_json(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let raw = Raw(bytes);
            let json = serde_json::to_string(&raw).unwrap();
            prop_assert_eq!(serde_json::from_str::<Raw>(&json).unwrap(), raw);
        }
    }
}
