//! Which engines are here.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::LoadError;
use super::docker::Docker;
use super::tool::{Kind, Tool};

/// The engine that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The first of these that is here.
    Auto,
    /// Docker, by its socket.
    Docker,
    /// podman.
    Podman,
    /// containerd, by nerdctl or ctr.
    Containerd,
}

/// What tells where engines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `DOCKER_HOST`.
    pub docker_host: Option<OsString>,
    /// Docker's usual socket, used without `DOCKER_HOST`.
    pub docker_socket: PathBuf,
    /// `XDG_RUNTIME_DIR`, where rootless Docker has its socket.
    pub runtime_directory: Option<OsString>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// `CONTAINERD_NAMESPACE`, which is `default` by default.
    pub containerd_namespace: Option<OsString>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            docker_host: variable("DOCKER_HOST"),
            docker_socket: "/var/run/docker.sock".into(),
            runtime_directory: variable("XDG_RUNTIME_DIR"),
            path: variable("PATH"),
            containerd_namespace: variable("CONTAINERD_NAMESPACE"),
        }
    }

    /// The program `name` in `PATH`. Relative directories in it are left out: what lies where
    /// somebody happens to stand is not run.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let directories = std::env::split_paths(self.path.as_ref()?);
        directories
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name))
            .find(|path| {
                path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
            })
    }
}

/// An engine of this machine.
#[derive(Debug)]
pub struct Engine(Inner);

#[derive(Debug)]
enum Inner {
    Docker(Docker),
    Tool(Tool),
}

impl Engine {
    /// Finds an engine: Docker when its socket answers, else podman, nerdctl or ctr when the
    /// program is there.
    ///
    /// # Errors
    /// When none that is asked for is here; what was looked for is told.
    pub fn find(choice: Choice, environment: &Environment) -> Result<Self, LoadError> {
        let docker = |looked: &mut Vec<String>| -> Result<Option<Self>, LoadError> {
            let found = Docker::find(environment, looked)?;
            Ok(found.map(|docker| Self(Inner::Docker(docker))))
        };
        let tool = |kind: Kind, looked: &mut Vec<String>| {
            let found = Tool::find(kind, environment, looked);
            found.map(|tool| Self(Inner::Tool(tool)))
        };
        let mut looked = Vec::new();
        let kinds: &[Kind] = match choice {
            Choice::Auto => &[Kind::Podman, Kind::Nerdctl, Kind::Ctr],
            Choice::Docker => &[],
            Choice::Podman => &[Kind::Podman],
            Choice::Containerd => &[Kind::Nerdctl, Kind::Ctr],
        };
        if matches!(choice, Choice::Auto | Choice::Docker)
            && let Some(engine) = docker(&mut looked)?
        {
            return Ok(engine);
        }
        for kind in kinds {
            if let Some(engine) = tool(*kind, &mut looked) {
                return Ok(engine);
            }
        }
        let engine = match choice {
            Choice::Auto => return Err(LoadError::NoEngine { looked }),
            Choice::Docker => "Docker",
            Choice::Podman => "podman",
            Choice::Containerd => "containerd",
        };
        Err(LoadError::NotHere { engine, looked })
    }

    /// Loads the docker archive at `archive`, in which the image is called `name`. Gives the name
    /// that the engine tells.
    ///
    /// # Errors
    /// When the engine refuses it, fails, or goes away.
    pub fn load(&self, archive: &Path, name: &str) -> Result<String, LoadError> {
        match &self.0 {
            Inner::Docker(docker) => docker.load(archive, name),
            Inner::Tool(tool) => tool.load(archive, name),
        }
    }
}

impl fmt::Display for Engine {
    /// The engine and how it is reached: `Docker at /var/run/docker.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Docker(docker) => docker.fmt(f),
            Inner::Tool(tool) => tool.fmt(f),
        }
    }
}

/// A name that an engine told, when it can be one.
pub(super) fn told(name: &str) -> Option<String> {
    let name = name.trim();
    let good = (1..=512).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| name.to_owned())
}
