//! Bases from Debian packages (`--base debian:bookworm/cc`): from a name to verified files.
//!
//! | stage | what it does | gives |
//! |---|---|---|
//! | [`Recipe`] | what `bases/debian/*.toml` say of the base | packages, exclusions, archives |
//! | [`Release`] | `InRelease`, its OpenPGP signature checked | sha256 of every index |
//! | [`Index`] | a `Packages` index | candidates |
//! | [`resolve`] | dependencies, less the recorded exclusions | [`Selection`] |
//! | [`Lock`] | the selection, written down | sha256 of every package |
//! | [`Pool`] | each `.deb` unpacked once, checked whenever it is used | [`Unpacked`] |
//! | [`arrange`] | packages laid out as they would be installed | a [`Rootfs`](crate::Rootfs) |
//!
//! [`Session`] calls them in this order. Nothing of a package is ever executed. All that is read
//! is hostile until its hash, which a signature or a lock vouches for, was checked.

mod architecture;
mod arrange;
mod contents;
mod control;
mod deb;
mod index;
mod keyring;
mod lock;
mod pool;
mod recipe;
mod reference;
mod relation;
mod release;
mod resolve;
mod session;
mod sources;
mod version;

pub use architecture::{Architecture, ArchitectureError};
pub use arrange::{ArrangeError, Arranged, Arrangement, Laid, arrange, forbidden};
pub use contents::{ContentsError, Found, find_in_contents};
pub use control::{ControlError, Paragraph, paragraphs};
pub use deb::{Deb, DebError, DebFault, Discard, Member, MemberKind, Sink, read_deb};
pub use index::{Candidate, Index, IndexError, MultiArch, Priority};
pub use keyring::{Keyring, KeyringError, SignatureFault};
pub use lock::{LOCK_FILE, Lock, LockError, LockedBase, LockedPackage};
pub use pool::{Pool, PoolError, PoolSummary, Unpacked};
pub use recipe::{
    Alternative, Archive, Exclusion, Omission, Recipe, RecipeError, RecipeSummary, Recipes,
};
pub use reference::{Reference, ReferenceError};
pub use relation::{Alternatives, Constraint, Operator, Relation, RelationError};
pub use release::{IndexFile, Release, ReleaseError, Trust};
pub use resolve::{Because, Chosen, LeftOut, ResolutionError, Selection, Step, Wanted, resolve};
pub use session::{
    BaseRequest, Mirror, MirrorError, Missing, PackagedBase, ResolvedBase, Session, SessionError,
    SessionOptions, Supply, Unfound,
};
pub use sources::{AptSource, apt_sources};
pub use version::{Version, VersionError};
