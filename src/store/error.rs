//! Why a store could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why a store could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused an operation.
    #[error("cannot {action} {}: {}", path.display(), explain(source))]
    Io {
        /// What was acted on.
        path: PathBuf,
        /// What was tried, as `read`.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// There is nothing at the path of an image that should be read.
    #[error("{} does not exist: give the path of an OCI layout, an OCI archive or a docker archive (where a name in a registry is meant, write docker:// before it)", .0.display())]
    NotFound(PathBuf),
    /// What is there is no image.
    #[error("{} is no image: it is {found}. An OCI layout (a directory with oci-layout and index.json), an OCI archive (a tar of one) or a docker archive is expected", path.display())]
    NotAnImage {
        /// The path given.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The image is there, in another form than its prefix says.
    #[error("{} is {found}, not {wanted} as the prefix says: give the path without a prefix, or with the right one", path.display())]
    OtherForm {
        /// The path given.
        path: PathBuf,
        /// What was asked for.
        wanted: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// The archive is compressed as a whole.
    #[error("{} is compressed with {with}, and a blob in it could only be found by unpacking all of it: unpack it first ({command})", path.display())]
    Compressed {
        /// The archive.
        path: PathBuf,
        /// The compressor.
        with: &'static str,
        /// A command that unpacks it.
        command: &'static str,
    },
    /// A document or an archive has bad content.
    #[error("{store}: {part} is damaged: {problem}")]
    Damaged {
        /// The store.
        store: String,
        /// The part, as `index.json`.
        part: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A document is larger than any honest one.
    #[error("{store}: {part} has {size} bytes; documents of more than {limit} bytes are not read")]
    TooLarge {
        /// The store.
        store: String,
        /// The part.
        part: String,
        /// Its size in bytes.
        size: u64,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// A digest of an algorithm that cannot be checked.
    #[error("{store}: the digest {digest} cannot be checked: only sha256 and sha512 are known")]
    UnknownAlgorithm {
        /// The store.
        store: String,
        /// The digest.
        digest: String,
    },
    /// A blob is not there.
    #[error(
        "{store}: the blob {digest} is missing: the image is not complete, copy or build it again"
    )]
    MissingBlob {
        /// The store.
        store: String,
        /// Its digest.
        digest: String,
    },
    /// The store has no image of that tag.
    #[error("{store} has no image tagged {tag:?}; {}", there_is("tags", tags))]
    NoSuchTag {
        /// The store.
        store: String,
        /// The tag asked for.
        tag: String,
        /// The tags present.
        tags: Vec<String>,
    },
    /// The store has several images and none was chosen.
    #[error(
        "{store} has several images, choose one by its tag ({store}:TAG); {}",
        there_is("tags", tags)
    )]
    TagNeeded {
        /// The store.
        store: String,
        /// The tags present.
        tags: Vec<String>,
    },
    /// The store has no image at all.
    #[error("{0} has no image in it")]
    Empty(String),
    /// No image for that platform.
    #[error(
        "{store} has no image for {wanted}; {}",
        there_is("platforms", platforms)
    )]
    NoSuchPlatform {
        /// The store.
        store: String,
        /// The platform asked for.
        wanted: String,
        /// The platforms present.
        platforms: Vec<String>,
    },
    /// Several platforms and none was chosen.
    #[error(
        "{store} has images for several platforms, choose one with --platform; {}",
        there_is("platforms", platforms)
    )]
    PlatformNeeded {
        /// The store.
        store: String,
        /// The platforms present.
        platforms: Vec<String>,
    },
    /// A tag or name that the form of the store does not take.
    #[error(
        "{:?} cannot be the tag of an image: {problem}",
        crate::registry::harmless(reference)
    )]
    BadReference {
        /// The tag given.
        reference: String,
        /// What is wrong with it, and what is right.
        problem: &'static str,
    },
    /// The directory that should hold the output is not there.
    #[error("cannot write {}: the directory {} does not exist; make it with mkdir -p", path.display(), parent.display())]
    NoParent {
        /// The output.
        path: PathBuf,
        /// The missing directory.
        parent: PathBuf,
    },
    /// The output exists and is something else.
    #[error("cannot write {wanted} to {}: it is {found}; {}", path.display(), instead(found))]
    OutputTaken {
        /// The output.
        path: PathBuf,
        /// What was to be written.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// A layer's blob was neither staged nor in the store.
    #[error("cannot write {}: the layer {digest} was not given and is not there", path.display())]
    NotStaged {
        /// The output.
        path: PathBuf,
        /// The layer.
        digest: String,
    },
    /// A docker archive takes an image, and not all that has a tag.
    #[error("cannot write {}: a docker archive takes one image, and this is an index or an artifact; choose one image with --platform; {}", path.display(), there_is("platforms", platforms))]
    OneImageOnly {
        /// The output.
        path: PathBuf,
        /// The platforms of the index.
        platforms: Vec<String>,
    },
    /// Something should be attached in a docker archive.
    #[error("nothing is or can be attached to an image in {}: a docker archive has no room for signatures or attestations; take the image in an OCI layout, an OCI archive or a registry", .0.display())]
    NoRoomForAttached(PathBuf),
    /// Something should be attached to what is not there.
    #[error("{store} has no image with the digest {digest}")]
    NoSuchDigest {
        /// The store.
        store: String,
        /// The digest.
        digest: String,
    },
    /// What had a tag of something attached is not what it was.
    #[error(
        "{store}: another program put something under {tag} at the same moment, and nothing is written over that: try again"
    )]
    AttachedMeanwhile {
        /// The store.
        store: String,
        /// The tag.
        tag: String,
    },
    /// A tag should go from a store that does not let one go.
    #[error("cannot remove a tag from {}: it is a docker archive, and tags are removed from OCI layouts and OCI archives alone; write it anew with the images that should stay", .0.display())]
    NotRemovable(PathBuf),
    /// A registry did not do what it was asked for.
    #[error(transparent)]
    Registry(#[from] Box<crate::registry::RegistryError>),
    /// A staged blob is not what the image says.
    #[error("cannot write {}: {digest} should have {expected} bytes and has {found}", path.display())]
    WrongSize {
        /// The output.
        path: PathBuf,
        /// The blob.
        digest: String,
        /// Its size by the image, in bytes.
        expected: u64,
        /// Its real size, in bytes.
        found: u64,
    },
}

impl StoreError {
    pub(super) fn io(
        path: impl AsRef<Path>,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.as_ref().to_path_buf(),
            action,
            source,
        }
    }

    pub(super) fn errno(
        path: impl AsRef<Path>,
        action: &'static str,
    ) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::io(path, action)(errno.into())
    }

    pub(crate) fn damaged(
        store: impl Into<String>,
        part: impl Into<String>,
        problem: impl ToString,
    ) -> Self {
        let (part, problem) = (part.into(), problem.to_string());
        // A reader that checks a digest names the blob and says that it is damaged, too.
        let twice = problem.strip_prefix("the blob ").and_then(|rest| {
            let (digest, why) = rest.split_once(" is damaged: ")?;
            part.ends_with(digest).then(|| why.to_owned())
        });
        Self::Damaged {
            store: store.into(),
            part,
            problem: in_a_line(&twice.unwrap_or(problem)),
        }
    }
}

/// A problem that may repeat what a file says, on one line: a line of its own could be taken for
/// one of ours.
fn in_a_line(problem: &str) -> String {
    let mut line = String::with_capacity(problem.len());
    for character in problem.chars() {
        match character {
            control if control.is_control() => line.extend(control.escape_default()),
            other => line.push(other),
        }
    }
    line
}

/// An error of the system with what to do about it, where that is known.
fn explain(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC) => {
            "the disk is full: free some room there, or write to another disk".into()
        }
        Some(Errno::DQUOT) => {
            "the disk quota is used up: free some room, or write to another disk".into()
        }
        Some(Errno::ROFS) => "the file system is read-only: write elsewhere".into(),
        Some(Errno::ACCESS | Errno::PERM) => {
            "permission denied: check its owner and mode, and those of the directories above it"
                .into()
        }
        Some(Errno::NOTDIR) => "a part of the path is a file, not a directory".into(),
        _ => error.to_string(),
    }
}

/// What to do about an output that is something else. Nobody is told to remove a directory:
/// it may be a home or the root.
fn instead(found: &str) -> &'static str {
    if found.starts_with("a directory") {
        "choose another output with -o"
    } else {
        "remove it or choose another output with -o"
    }
}

fn there_is(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        format!("there are no {what} in it")
    } else {
        format!("{what} in it: {}", in_a_line(&names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_writes_no_line_of_its_own() {
        let error = StoreError::damaged("shop", "index.json", "bad \"x\nerror: all is well\"");
        assert_eq!(
            error.to_string(),
            "shop: index.json is damaged: bad \"x\\nerror: all is well\""
        );
    }

    #[test]
    fn a_tag_writes_no_line_of_its_own() {
        let names = ["a".to_owned(), "b\nerror: all is well".to_owned()];
        assert_eq!(
            there_is("tags", &names),
            "tags in it: a, b\\nerror: all is well"
        );
    }

    #[test]
    fn what_is_damaged_is_named_once() {
        let error = StoreError::damaged("shop", "the blob x", "the blob x is damaged: too long");
        assert_eq!(error.to_string(), "shop: the blob x is damaged: too long");
    }
}
