//! Why an answer is not the one that was hoped for, in the words of the registry and of ours.

use std::io;

use oci_spec::image::Digest;

use super::RegistryError;
use super::answer::Whole;
use super::said::{harmless, said};

impl Whole {
    /// What the answer means, which is not the one that was hoped for.
    pub(super) fn refusal(&self, what: &str) -> RegistryError {
        let what = what.to_owned();
        let said = said(self.bytes.as_slice());
        let status = self.status.as_u16();
        match status {
            404 | 410 => RegistryError::NotFound {
                what,
                said,
                hint: "check its spelling, and whether it was pushed there",
            },
            401 | 403 => RegistryError::Denied {
                what,
                sent: None,
                said,
            },
            500..=599 => RegistryError::Server { what, status, said },
            _ => RegistryError::Refused { what, status, said },
        }
    }
}

pub(super) fn bad_answer(what: &str, problem: String) -> RegistryError {
    RegistryError::BadAnswer {
        what: what.to_owned(),
        problem,
    }
}

pub(super) fn wrong_digest(what: &str, expected: &Digest, found: &Digest) -> RegistryError {
    RegistryError::Digest {
        what: what.to_owned(),
        expected: expected.to_string(),
        found: harmless(found.as_ref()),
    }
}

/// That `what` did not come whole. What the connection's own error says of where it was is said
/// better by `what`.
pub(super) fn interrupted(what: &str, error: &io::Error) -> RegistryError {
    let what = what.to_owned();
    let of_connection = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<RegistryError>());
    match of_connection {
        Some(RegistryError::Stalled { after, .. }) => RegistryError::Stalled {
            what,
            after: *after,
        },
        Some(RegistryError::Interrupted { why, .. }) => RegistryError::Interrupted {
            what,
            why: why.clone(),
        },
        _ => RegistryError::Interrupted {
            what,
            why: error.to_string(),
        },
    }
}

pub(super) fn too_large(what: &str, limit: u64) -> RegistryError {
    RegistryError::TooLarge {
        what: what.to_owned(),
        limit,
    }
}

pub(super) fn wrong_size(what: &str, expected: u64, found: u64) -> RegistryError {
    RegistryError::Size {
        what: what.to_owned(),
        expected,
        found,
    }
}

pub(super) fn unknown_algorithm(what: &str) -> RegistryError {
    RegistryError::UnknownAlgorithm {
        what: what.to_owned(),
    }
}
