//! What the environment says about where logins are.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a helper may take: people may have to unlock a key for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The variables of a process. Its `Debug` hides them, as they may be tokens.
#[derive(Clone)]
pub(super) struct Environment {
    variables: BTreeMap<OsString, OsString>,
    pub(super) patience: Duration,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("files", &self.files())
            .finish_non_exhaustive()
    }
}

impl Environment {
    pub(super) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self {
            variables: variables.into_iter().collect(),
            patience: PATIENCE,
        }
    }

    pub(super) fn variables(&self) -> &BTreeMap<OsString, OsString> {
        &self.variables
    }

    /// A variable that is set and not empty.
    fn path(&self, name: &str) -> Option<&Path> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then(|| Path::new(value))
    }

    /// The configs, in the order in which they are looked at.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        if let Some(file) = self.path("REGISTRY_AUTH_FILE") {
            return vec![file.to_owned()];
        }
        if let Some(directory) = self.path("DOCKER_CONFIG") {
            return vec![directory.join("config.json")];
        }
        const PODMAN: &str = "containers/auth.json";
        let runtime = match self.path("XDG_RUNTIME_DIR") {
            Some(directory) => directory.join(PODMAN),
            // Where `podman login` keeps them then.
            None => {
                let user = rustix::process::getuid().as_raw();
                PathBuf::from(format!("/run/containers/{user}/auth.json"))
            }
        };
        let config = match self.path("XDG_CONFIG_HOME") {
            Some(directory) => Some(directory.join(PODMAN)),
            None => self
                .path("HOME")
                .map(|home| home.join(".config").join(PODMAN)),
        };
        let docker = self.path("HOME").map(|home| home.join(DOCKER));
        [Some(runtime), config, docker]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Where a login is kept: the first config that is there, else docker's.
    pub(super) fn file_to_write(&self) -> Option<PathBuf> {
        let is_named = ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG"]
            .iter()
            .any(|name| self.path(name).is_some());
        let files = self.files();
        let found = files.iter().find(|file| is_named || file.exists()).cloned();
        found.or_else(|| Some(self.path("HOME")?.join(DOCKER)))
    }

    /// A path for people, with `~` for the home directory.
    pub(super) fn shown(&self, path: &Path) -> String {
        let home = self.path("HOME").filter(|home| *home != Path::new("/"));
        match home.and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) => Path::new("~").join(rest).display().to_string(),
            None => path.display().to_string(),
        }
    }

    /// The program of this name on `PATH`. Only absolute directories count: what lies in the
    /// working directory is not to be run.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.variables.get(OsStr::new("PATH"))?;
        std::env::split_paths(path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name))
            .find(|program| {
                program
                    .metadata()
                    .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
            })
    }
}

/// Docker's config below the home directory.
const DOCKER: &str = ".docker/config.json";
