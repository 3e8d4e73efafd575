//! ELF objects and the search for the shared libraries that they need.
//!
//! Nothing here executes anything: the files are read, and the rules of the
//! glibc and musl loaders (`ld.so(8)`, musl's `ldso/dynlink.c`) are followed.

pub mod cache;
mod closure;
mod files;
mod glibc;
mod implied;
mod literals;
mod loader;
mod musl;
mod object;
mod process;
mod profile;
mod resolution;
mod search;
mod segments;
pub mod strip;
mod symbols;
mod versions;

pub use closure::{
    Closure, Finding, Flavour, LoadedObject, Loader, MissingLibrary, Notice, Priority, Rejected,
    Request, ResolveError, Resolver, Root, Rule, UnmetVersion, resolve,
};
pub use object::{
    ByteOrder, Class, DlopenNote, Foreign, Machine, Object, ObjectError, ObjectKind, Refusal,
    VersionDefinition, VersionNeed,
};
pub(crate) use symbols::Symbols;
