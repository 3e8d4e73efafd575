//! The readers of what comes from outside, over inputs made to hurt: no panic, and no input that
//! takes long. The fuzz targets in `fuzz/` enter at the same places.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use distrobuild::elf::cache::{Cache, CacheEntry};
use distrobuild::elf::{ByteOrder, Class, Machine, Object, strip};
use distrobuild::sysroot::OpenFile;

fn read(bytes: &[u8]) {
    match Object::read(&OpenFile::from_memory(Arc::from(bytes), 0o755, 1)) {
        Ok(object) => {
            let _ = (object.machine.platform(), object.machine.name());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn strip_it(bytes: &[u8]) {
    if let Err(error) = strip::strip(bytes) {
        assert!(!error.to_string().is_empty());
    }
}

fn parse(bytes: &[u8]) {
    const X86_64: Machine = Machine {
        number: 62,
        class: Class::Elf64,
        order: ByteOrder::Little,
        flags: 0,
    };
    match Cache::parse(bytes) {
        Ok(cache) => {
            for name in [&b"libz.so.1"[..], b"libm.so.6", b"", b"\xff"] {
                let _ = cache.lookup(name, &X86_64);
            }
            let written = Cache::write(cache.entries());
            let again = Cache::parse(&written).unwrap();
            assert_eq!(again.entries().len(), cache.entries().len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A program with version needs, a run path and notes.
fn program() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("x.c");
    let output = directory.path().join("x");
    std::fs::write(
        &source,
        "#include <stdio.h>\nint main(void) { puts(\"x\"); return 0; }\n",
    )
    .unwrap();
    let status = Command::new("cc")
        .args([&source, Path::new("-o"), &output])
        .args(["-g", "-Wl,-rpath,$ORIGIN/lib"])
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(output).unwrap()
}

fn cache() -> Vec<u8> {
    let entry = |soname: &str, hwcap: Option<&str>| CacheEntry {
        soname: soname.into(),
        path: format!("/lib/{soname}").into(),
        flags: 0x0303,
        hwcap: hwcap.map(Into::into),
    };
    Cache::write(&[
        entry("libz.so.1", None),
        entry("libz.so.1", Some("x86-64-v3")),
        entry("libm.so.6", None),
        entry("libc.so.6", None),
    ])
}

/// Every length up to `dense`, then in steps.
fn lengths(size: usize, dense: usize) -> impl Iterator<Item = usize> {
    (0..size.min(dense)).chain((dense..size).step_by(61))
}

/// A linear congruential generator (Knuth's MMIX constants): the same inputs in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Calls `check` with `original` in many damaged forms.
fn damaged(original: &[u8], first: usize, rounds: usize, check: fn(&[u8])) {
    check(original);
    for length in lengths(original.len(), first) {
        check(&original[..length]);
    }
    let mut bytes = original.to_vec();
    for at in 0..first.min(bytes.len()) {
        let kept = bytes[at];
        for value in [0x00, 0xff, kept ^ 0x80, kept.wrapping_add(1)] {
            bytes[at] = value;
            check(&bytes);
        }
        bytes[at] = kept;
    }
    let mut random = Random(42);
    for _ in 0..rounds {
        let mut bytes = original.to_vec();
        for _ in 0..=random.below(12) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        check(&bytes);
    }
}

#[test]
fn no_damage_to_a_program_makes_the_reader_panic_or_run_on() {
    damaged(&program(), 1024, 3000, read);
}

#[test]
fn no_damage_to_the_dynamic_section_makes_the_reader_panic_or_run_on() {
    let original = program();
    // Without the debug sections behind it, most flips hit what is read.
    let stripped = strip::strip(&original).unwrap();
    damaged(&stripped, 0, 3000, read);
    let mut bytes = stripped.clone();
    for at in (0..stripped.len() - 8).step_by(8) {
        let kept: [u8; 8] = bytes[at..at + 8].try_into().unwrap();
        for value in [u64::MAX, i64::MAX as u64, 0x1000, 1] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            read(&bytes);
        }
        bytes[at..at + 8].copy_from_slice(&kept);
    }
}

#[test]
fn no_damage_to_a_program_makes_stripping_panic_or_run_on() {
    damaged(&program(), 64, 500, strip_it);
}

#[test]
fn no_damage_to_a_cache_makes_the_reader_panic_or_run_on() {
    damaged(&cache(), 1024, 20_000, parse);
}

#[test]
fn a_cache_behind_an_old_table_is_as_safe() {
    let mut bytes = b"ld.so-1.7.0\0\x01\0\0\0".to_vec();
    bytes.resize(32, 0);
    bytes.extend(cache());
    damaged(&bytes, 1024, 5000, parse);
}
