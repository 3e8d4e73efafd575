//! What can go wrong between the name of a base and its files.

use super::{Architecture, LockedPackage, Reference};
use crate::debian::{
    ArrangeError, ContentsError, IndexError, KeyringError, LockError, PoolError, RecipeError,
    ReleaseError, ResolutionError,
};
use crate::download::DownloadError;
use crate::rootfs::BaseError;

/// Why a base from packages cannot be had. The message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no such base.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The accounts and directories of the base are wrong.
    #[error(transparent)]
    Foundation(#[from] BaseError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// An archive is not to be trusted.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The packages do not fit together.
    #[error(transparent)]
    Resolution(#[from] ResolutionError),
    /// A file could not be fetched.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A package cannot be unpacked.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The packages cannot be laid out together.
    #[error(transparent)]
    Arrange(#[from] ArrangeError),
    /// The index of files cannot be read.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// The lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The base is not made for these machines.
    #[error("{reference} is not made for {architecture}, only for {}", names(.known))]
    Architecture {
        /// The base.
        reference: Box<Reference>,
        /// What was wanted.
        architecture: Architecture,
        /// What there is.
        known: Vec<Architecture>,
    },
    /// A package of the lock is in a suite that the base does not have.
    #[error(
        "{package} is locked from the suite {suite}, which {reference} does not have; `distrobuild bases update` renews the lock"
    )]
    UnknownSuite {
        /// The package.
        package: String,
        /// Its suite.
        suite: String,
        /// The base.
        reference: Box<Reference>,
    },
    /// The state of a suite could not be fetched from any mirror.
    #[error("the package lists of {suite} cannot be had: {source}{}", hint_of_suite(.source))]
    Suite {
        /// The suite.
        suite: String,
        /// What the first mirror said.
        source: DownloadError,
    },
    /// No mirror is known.
    #[error("no mirror has {suite}; name one with --mirror {suite}=URL")]
    NoMirror {
        /// The suite.
        suite: String,
    },
    /// A mirror is named for a suite that no base takes packages from.
    #[error("--mirror {suite}=URL: no base is made of the suite {suite}, only of {}", .known.join(", "))]
    MirrorOfNothing {
        /// The suite.
        suite: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A mirror gives another suite than was asked for.
    #[error(
        "{url} is the state of {found}, not of {wanted}: the mirror is wrong or was tampered with; name another with --mirror"
    )]
    OtherSuite {
        /// Where it came from.
        url: String,
        /// What was asked for.
        wanted: String,
        /// What it says that it is.
        found: String,
    },
    /// A suite has no packages for these machines.
    #[error("{suite} has no {component} packages for {architecture}; it has {}", .known.join(", "))]
    NoIndex {
        /// The suite.
        suite: String,
        /// The component.
        component: String,
        /// What was wanted.
        architecture: Architecture,
        /// What there is.
        known: Vec<String>,
    },
    /// An index is damaged.
    #[error("{path} of {suite} cannot be used: {source}")]
    Index {
        /// Its path in the suite.
        path: String,
        /// The suite.
        suite: String,
        /// What is wrong.
        source: IndexError,
    },
    /// A file that the signed state does not list.
    #[error("{name} is not listed in the suite's InRelease")]
    Unlisted {
        /// The suite and the path.
        name: String,
    },
    /// A verified file cannot be read.
    #[error("cannot read {name}: {source}")]
    Unreadable {
        /// Its path in the suite.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A package could not be fetched.
    #[error("{source}{}", hint_of_package(.source))]
    Package {
        /// The package.
        package: String,
        /// What happened.
        source: DownloadError,
    },
}

impl SessionError {
    pub(super) fn of_package(package: &LockedPackage, source: DownloadError) -> Self {
        Self::Package {
            package: package.title(),
            source,
        }
    }
}

fn names(known: &[Architecture]) -> String {
    let names: Vec<&str> = known.iter().map(|it| it.name()).collect();
    names.join(", ")
}

fn hint_of_suite(source: &DownloadError) -> &'static str {
    if source.is_offline() {
        ". A build from a lock needs no package lists"
    } else {
        ". --mirror URL names another mirror"
    }
}

fn hint_of_package(source: &DownloadError) -> &'static str {
    if source.is_not_found() {
        ". Archives drop old versions: `distrobuild bases update` takes the current one, or name a mirror that keeps them, such as --mirror https://snapshot.debian.org/archive/debian/DATE"
    } else {
        ""
    }
}
