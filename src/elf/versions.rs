//! Symbol versions, as glibc checks them before a program starts (`_dl_check_map_versions` in
//! `elf/dl-version.c`).

use std::os::unix::ffi::OsStrExt;

use super::process::Process;
use super::resolution::Resolution;
use super::{Object, UnmetVersion};

impl Resolution<'_> {
    /// Checks every version need of every object of a process. musl checks none.
    pub(super) fn check_versions(&mut self, process: &Process) {
        if process.is_musl() {
            return;
        }
        let mut warnings = Vec::new();
        for map in &process.maps {
            let Ok(object) = self.files.object(map.file) else {
                continue;
            };
            for need in &object.version_needs {
                // What is missing has been noted already.
                let Some(provider) = process
                    .named(&need.file)
                    .and_then(|provider| process.maps.get(provider))
                else {
                    continue;
                };
                let Ok(definer) = self.files.object(provider.file) else {
                    continue;
                };
                if definer.version_definitions.is_empty() {
                    if !need.weak {
                        warnings.push((provider.index, map.index, None));
                    }
                    continue;
                }
                let defined = definer.version_definitions.iter().any(|definition| {
                    definition.hash == need.hash && definition.version == need.version
                });
                if defined || need.weak {
                    continue;
                }
                if map.optional || provider.optional {
                    warnings.push((provider.index, map.index, Some(need.version.clone())));
                } else {
                    self.unmet.insert(UnmetVersion {
                        version: need.version.clone(),
                        provider: provider.index,
                        required_by: map.index,
                    });
                }
            }
        }
        for (provider, asker, version) in warnings {
            let provider = self.shown_member(provider);
            let asker = self.shown_member(asker);
            self.warn(match version {
                None => format!(
                    "{provider} has no version information, which {asker} was linked against: it \
                     may be another version of the library"
                ),
                Some(version) => format!(
                    "{provider} does not define {}, which {asker} requires: the program cannot \
                     open it",
                    version.display()
                ),
            });
        }
    }
}

/// The minor number of the newest `GLIBC_2.N` that an object defines.
pub(super) fn glibc_minor(object: &Object) -> Option<u32> {
    object
        .version_definitions
        .iter()
        .filter_map(|definition| {
            let rest = definition.version.as_bytes().strip_prefix(b"GLIBC_2.")?;
            let minor = rest.split(|byte| *byte == b'.').next()?;
            std::str::from_utf8(minor).ok()?.parse().ok()
        })
        .max()
}
