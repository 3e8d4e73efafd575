#![doc = include_str!("../README.md")]
//!
//! # The library
//!
//! The command line is a thin layer over this crate: whatever `distrobuild` does,
//! another Rust program can do too. [`Builder`] is the way in, and its methods are the
//! road that data takes; each stage takes the former one's value and none reaches back:
//!
//! | value | stage | room |
//! |---|---|---|
//! | [`App`](app::App) | what the user pointed at, recognised | [`app`] |
//! | [`Closure`](elf::Closure) | every ELF object that the loader would map, and why | [`elf`] |
//! | [`Rootfs`] | one ordered tree of all that lands in the image | [`rootfs`] |
//! | [`Layer`](layer::Layer) | a packed part of the tree | [`layer`] |
//! | [`Image`](image::Image) | config and manifest over layers | [`image`] |
//! | [`Source`](store::Source), [`Writer`](store::Writer) | where images live | [`store`] |
//! | [`PrivateKey`](sign::key::PrivateKey), [`Check`](sign::Check) | an image signed by its digest, and verified | [`sign`] |
//! | [`Report`](report::Report) | what takes the room, a pure function of an image | [`report`] |
//!
//! Look-ups go through a [`Sysroot`](sysroot::Sysroot), never to the file system itself.
//! What is known about bases, users or slim images is data in `bases/`.

pub mod app;
mod build;
pub mod cli;
#[cfg(feature = "debian")]
pub mod debian;
pub mod download;
pub mod elf;
pub mod helper;
pub mod image;
pub mod layer;
pub mod load;
pub mod packages;
pub mod parent;
mod path;
pub mod plugins;
mod private;
pub mod registry;
pub mod report;
pub mod rootfs;
mod scratch;
mod shelf;
pub mod sign;
pub mod smoke;
pub mod store;
pub mod sysroot;
pub mod trace;
pub mod transfer;

pub use build::{
    Builder, Built, Difference, Error, LayerPart, LayerSplit, Lent, Observer, Output, Phase, Plan,
    Resolved, Silent, Unresolved,
};
pub use path::{ImagePath, ImagePathError};
pub use rootfs::Rootfs;
