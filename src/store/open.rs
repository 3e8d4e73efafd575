//! Opening any store by what it is.

use std::io;

use super::archive::Tar;
use super::layout::is_layout;
use super::{DockerArchive, Form, Layout, OciArchive, Reference, Source, StoreError};

/// Opens the store that `reference` names, recognised by its content. A prefix in the
/// reference must agree with it. An archive that is both (docker 25 and later write an
/// OCI layout with docker's `manifest.json` beside it) is opened as the OCI archive,
/// unless the prefix asks for the docker archive.
///
/// # Errors
/// When nothing is there, or something else.
pub fn open(reference: &Reference) -> Result<Box<dyn Source>, StoreError> {
    let path = &reference.path;
    let metadata = path.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound(path.clone()),
        _ => StoreError::io(path, "open")(error),
    })?;
    let agrees = |found: Form| match reference.form {
        Some(wanted) if wanted != found => Err(StoreError::OtherForm {
            path: path.clone(),
            wanted: wanted.described(),
            found: found.described(),
        }),
        _ => Ok(()),
    };
    if metadata.is_dir() {
        if !is_layout(path) {
            return Err(StoreError::NotAnImage {
                path: path.clone(),
                found: "a directory without the file oci-layout".into(),
            });
        }
        agrees(Form::Layout)?;
        return Ok(Box::new(Layout::open(path)?));
    }
    let tar = Tar::open(path)?;
    let (oci, docker) = (OciArchive::is_in(&tar), DockerArchive::is_in(&tar));
    if docker && (!oci || reference.form == Some(Form::DockerArchive)) {
        agrees(Form::DockerArchive)?;
        return Ok(Box::new(DockerArchive::of(tar)?));
    }
    if oci {
        agrees(Form::OciArchive)?;
        return Ok(Box::new(OciArchive::of(tar)?));
    }
    Err(StoreError::NotAnImage {
        path: path.clone(),
        found: format!(
            "a tar archive with neither index.json nor manifest.json (it has {})",
            tar.some_names()
        ),
    })
}
