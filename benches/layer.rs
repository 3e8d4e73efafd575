//! How fast layers are packed, by compression, and with a warm cache.
//!
//! The input is 64 MiB of this program's own machine code and text, repeated with changes,
//! so that the figures do not depend on what is installed.

use std::sync::OnceLock;

use distrobuild::ImagePath;
use distrobuild::layer::{Cache, Compression, Digest, Layer, Packer};
use distrobuild::rootfs::{Content, Entry, EntryKind, Origin};
use divan::Bencher;
use divan::counter::BytesCount;

const SIZE: usize = 64 << 20;

fn main() {
    divan::main();
}

/// Files of 4 MiB, as a closure of large libraries has them.
fn entries() -> &'static [(ImagePath, Entry)] {
    static ENTRIES: OnceLock<Vec<(ImagePath, Entry)>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let program = std::env::current_exe()
            .and_then(std::fs::read)
            .unwrap_or_default();
        let mut bytes = program.iter().copied().cycle().enumerate();
        (0..SIZE / (4 << 20))
            .filter_map(|number| {
                // A byte in 4 KiB differs, so that no two files are the same.
                let content: Vec<u8> = bytes
                    .by_ref()
                    .take(4 << 20)
                    .map(|(at, byte)| {
                        if at % 4096 == 0 {
                            byte ^ number as u8
                        } else {
                            byte
                        }
                    })
                    .collect();
                let path = ImagePath::new(format!("/lib{number:02}.so")).ok()?;
                Some((path, file(content)))
            })
            .collect()
    })
}

fn file(content: Vec<u8>) -> Entry {
    Entry {
        kind: EntryKind::File(Content::Bytes(content.into())),
        mode: 0o755,
        uid: 0,
        gid: 0,
        origin: Origin::Library,
    }
}

fn pack(compression: Compression, cache: Option<&Cache>) -> Option<Layer> {
    let packer = Packer {
        compression,
        epoch: 0,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        cache,
        progress: &|_| {},
    };
    let entries: Vec<(&ImagePath, &Entry)> = entries().iter().map(|(p, e)| (p, e)).collect();
    packer.pack(&entries, &mut std::io::sink()).ok()
}

#[divan::bench(
    args = ["none", "zstd:1", "zstd:3", "zstd:9", "gzip:1", "gzip:6", "gzip:9", "estargz:6"],
    sample_count = 3,
    sample_size = 1
)]
fn cold(bencher: Bencher<'_, '_>, compression: &str) {
    let compression = compression.parse().unwrap_or_default();
    bencher
        .counter(BytesCount::new(SIZE))
        .bench(|| pack(compression, None));
}

#[divan::bench(args = ["zstd:3", "gzip:6"], sample_count = 3, sample_size = 1)]
fn cached(bencher: Bencher<'_, '_>, compression: &str) {
    let compression = compression.parse().unwrap_or_default();
    let Ok(directory) = tempfile::tempdir() else {
        return;
    };
    let cache = Cache::open(directory.path().join("cache"), Cache::DEFAULT_LIMIT);
    pack(compression, Some(&cache));
    bencher
        .counter(BytesCount::new(SIZE))
        .bench(|| pack(compression, Some(&cache)));
}

/// The limit that no layer can pass: one hash over all of it.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn sha256(bencher: Bencher<'_, '_>) {
    let bytes = vec![7; SIZE];
    bencher
        .counter(BytesCount::new(SIZE))
        .bench(|| Digest::of(&bytes));
}
