//! podman and containerd, by their own programs.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::engine::told;
use super::error::shown;
use super::{Environment, LoadError};

/// How much of what a program prints is read, in bytes.
const LONGEST_OUTPUT: u64 = 1 << 20;

/// How many lines of it are shown when it fails.
const SHOWN_LINES: usize = 12;

/// The programs that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Podman,
    Nerdctl,
    Ctr,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
            Self::Ctr => "ctr",
        }
    }
}

/// A program that is here.
#[derive(Debug)]
pub(super) struct Tool {
    kind: Kind,
    program: PathBuf,
    namespace: OsString,
}

impl Tool {
    /// Finds it; that it is not there is added to `looked`.
    pub(super) fn find(
        kind: Kind,
        environment: &Environment,
        looked: &mut Vec<String>,
    ) -> Option<Self> {
        let found = environment.program(kind.program());
        if found.is_none() {
            looked.push(format!("{} is not in PATH", kind.program()));
        }
        let namespace = environment.containerd_namespace.as_ref();
        Some(Self {
            kind,
            program: found?,
            namespace: namespace.map_or_else(|| "default".into(), Clone::clone),
        })
    }

    pub(super) fn load(&self, archive: &Path, name: &str) -> Result<String, LoadError> {
        let (status, said) = self.run(archive).map_err(|source| LoadError::Start {
            program: self.program.clone(),
            source,
        })?;
        if !status.success() {
            return Err(self.failed(status, &said));
        }
        let loaded = said.lines().filter_map(loaded).next_back();
        Ok(loaded.unwrap_or_else(|| name.to_owned()))
    }

    /// Runs it to its end, without a shell; it takes the time that it needs.
    fn run(&self, archive: &Path) -> io::Result<(ExitStatus, String)> {
        // A file takes whatever comes, where a pipe would have to be drained meanwhile.
        let output = tempfile::tempfile()?;
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Podman | Kind::Nerdctl => command.args(["load", "-i"]),
            Kind::Ctr => command
                .arg("-n")
                .arg(&self.namespace)
                .args(["images", "import"]),
        };
        let status = command
            .arg(archive)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .status()?;
        Ok((status, text(output)?))
    }

    fn failed(&self, status: ExitStatus, said: &str) -> LoadError {
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".to_owned(),
        };
        // The last lines tell why; before them stands what went well.
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.len().saturating_sub(SHOWN_LINES);
        let mut text = shown(&lines.get(last..).unwrap_or_default().join("\n"));
        let low = said.to_ascii_lowercase();
        if low.contains("permission denied") {
            text.push_str("; run this with sudo, or with another engine by --into");
        } else if low.contains("connection refused") || low.contains("no such file or directory") {
            text.push_str("; see whether its service runs, or name another engine with --into");
        }
        LoadError::Failed {
            command: match self.kind {
                Kind::Podman | Kind::Nerdctl => format!("`{} load`", self.kind.program()),
                Kind::Ctr => "`ctr images import`".to_owned(),
            },
            how,
            said: text,
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Podman => f.write_str("podman"),
            Kind::Nerdctl => f.write_str("containerd, by nerdctl"),
            Kind::Ctr => f.write_str("containerd, by ctr"),
        }
    }
}

/// The name in a line as podman and nerdctl (`Loaded image: NAME`, `Loaded image(s): NAME`) and
/// ctr (`unpacking NAME (sha256:…)...done`) print it.
fn loaded(line: &str) -> Option<String> {
    let line = line.trim();
    let by_load = ["Loaded image: ", "Loaded image(s): "]
        .into_iter()
        .find_map(|words| line.strip_prefix(words));
    let name = match by_load {
        Some(name) => name,
        None => line.strip_prefix("unpacking ")?.split_once(" (")?.0,
    };
    told(name)
}

fn text(mut output: File) -> io::Result<String> {
    output.rewind()?;
    let mut bytes = Vec::new();
    output.take(LONGEST_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
