//! ELF executables as apps.

use std::path::Path;

use super::AppError;
use crate::elf::{Object, ObjectKind};

/// Whether the kernel can start the object as a program; `shown` is its path for people.
pub(super) fn check(object: &Object, shown: &Path) -> Result<(), AppError> {
    let path = shown.to_path_buf();
    match object.kind {
        ObjectKind::Dynamic | ObjectKind::Static => Ok(()),
        ObjectKind::Library => Err(AppError::Library { path }),
        ObjectKind::Other => Err(AppError::NotLinked { path }),
    }
}
