//! cosign reads what distrobuild signs and distrobuild what cosign signs: both of its lines, every
//! kind of key, both forms, in a registry and in a layout.
//!
//! Where cosign does not verify its own signatures, the tests say so: they fail when it begins to.

mod attesting;
mod bench;
mod keys;
mod layouts;
mod platforms;
mod refusing;
mod signing;
mod travelling;
