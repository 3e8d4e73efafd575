//! Images checked with tools that nobody here wrote: `umoci` unpacks them, `runc` runs
//! them as user 65532, `skopeo` and `buildah` exchange them, the real loaders agree.
//!
//! `cargo test --features interop --test interop`, as root, on Debian with the packages
//! of `.ci/packages`. A missing tool is a failure that names its package: an image that
//! is not run is not tested. `DISTROBUILD=PATH` tests another binary than the one that
//! cargo has just built.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod architectures;
mod archive;
mod bases;
mod compression;
mod container;
mod exchange;
mod identity;
mod image;
mod interruptions;
mod java;
mod kept;
mod loaders;
mod node;
mod packages;
mod plugins;
mod programs;
mod python;
mod registries;
mod registry;
mod reports;
mod reproducibility;
mod servers;
mod smoke;
mod tools;
mod tracing;
mod trees;
mod workshop;
