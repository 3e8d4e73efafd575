//! Registries as they are met: good ones, slow ones, broken ones, and those that want to know who
//! asks. The registry is `server.rs`, which [`itself`] holds against the distribution spec.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod command;
mod credentials;
mod downloads;
mod fixture;
mod itself;
mod lists;
mod round_trip;
mod secure;
mod server;
mod signatures;
mod uploads;
