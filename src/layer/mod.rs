//! Packing a part of a root file system into a layer: deterministic tar, compressed in
//! parallel as a sequence of independent members; and reading any layer back.
//!
//! The road of a layer: [`Packer::pack`] plans the tar of its entries and where it is cut
//! into members (`tar.rs`), before anything is read. Threads read, hash, compress and write
//! the members (`pipeline.rs`, `source.rs`, `compress.rs`), and find those of an earlier
//! build in the [`Cache`]. eStargz adds its table of contents (`estargz.rs`).

mod buffer;
mod cache;
mod compress;
mod digest;
mod estargz;
mod pack;
mod pipeline;
pub mod read;
mod source;
mod tar;

pub use cache::{Cache, CacheSummary, Pruned};
pub use compress::{Compression, CompressionError};
pub use digest::{Digest, DigestError, Hasher};
pub use pack::{Layer, PackError, Packer};
pub use read::{LayerEntry, LayerEntryKind, LayerSummary, ReadError, ReadLimits, read_layer};
