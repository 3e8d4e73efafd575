//! The closure is what the real loader maps: programs that are built to be nasty, each compared
//! with the program itself under `LD_TRACE_LOADED_OBJECTS=1`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "closure/builder.rs"]
mod builder;
#[path = "closure/workshop.rs"]
mod workshop;

#[path = "closure/beyond.rs"]
mod beyond;
#[path = "closure/candidates.rs"]
mod candidates;
#[path = "closure/order.rs"]
mod order;
#[path = "closure/sweep.rs"]
mod sweep;
#[path = "closure/systems.rs"]
mod systems;
#[path = "closure/versions.rs"]
mod versions;
