//! Loading an image into a container engine of this machine.
//!
//! Docker is spoken with over its socket, podman and containerd by their own programs. Each takes
//! a docker archive, which is written to a temporary directory first: an engine may refuse it, and
//! then nothing of a half image stays there.
//!
//! | file | what it holds |
//! |---|---|
//! | `engine.rs` | which engines are here |
//! | `docker.rs` | the Engine API over a unix socket: `_ping`, `images/load` |
//! | `tool.rs` | `podman load`, `nerdctl load`, `ctr images import` |

mod docker;
mod engine;
mod error;
mod tool;

use std::num::NonZeroUsize;
use std::path::Path;

use oci_spec::image::Descriptor;

pub use engine::{Choice, Engine, Environment};
pub use error::LoadError;

use crate::scratch::Scratch;
use crate::store::{Destination, Source, StoreError};
use crate::transfer::{self, Chosen, Progress, Target, TransferError};

/// Loads the image with the manifest `image` of `source` into `engine` under `name`, a whole name
/// such as `app:latest`, reading `parallel` blobs at once. Gives the name as the engine tells it,
/// which may be longer (`localhost/app:latest`).
///
/// # Errors
/// When the image cannot be read, there is no room for its archive, or the engine refuses it.
pub fn load(
    engine: &Engine,
    source: &dyn Source,
    image: &Descriptor,
    name: &str,
    parallel: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<String, LoadError> {
    let scratch = Scratch::new("distrobuild-load-").map_err(|source| LoadError::Temporary {
        directory: std::env::temp_dir(),
        source,
    })?;
    let archive = scratch.path().join("image.tar");
    let chosen = Chosen {
        root: image.clone(),
        attached: false,
    };
    let target = Target::Disk {
        destination: Destination::DockerArchive(archive.clone()),
        tag: name.to_owned(),
    };
    transfer::copy(source, &chosen, &target, parallel, progress)
        .map_err(|error| not_written(scratch.path(), error))?;
    engine.load(&archive, name)
}

/// What went wrong while the archive was written: its place is none that the user chose.
fn not_written(scratch: &Path, error: TransferError) -> LoadError {
    match error {
        TransferError::Store(StoreError::Io { path, source, .. }) if path.starts_with(scratch) => {
            LoadError::Temporary {
                directory: scratch.to_path_buf(),
                source,
            }
        }
        error => LoadError::Transfer(Box::new(error)),
    }
}

#[cfg(test)]
mod tests;
