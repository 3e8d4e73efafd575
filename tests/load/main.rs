//! Images loaded into engines: a Docker daemon that a test scripts, and programs that stand in for
//! podman, nerdctl and ctr.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod command;
mod daemon;
mod engines;
