//! Images checked with tools that nobody here wrote: `umoci` unpacks them, `runc` runs
//! them as user 65532, `skopeo` and `buildah` exchange them, the real loaders agree.
//!
//! `cargo test --test interop -- --ignored`, as root, on Debian with the packages of
//! `.ci/packages`: `cargo test` by itself compiles them and runs none. A missing tool is a
//! failure that names its package: an image that is not run is not tested.
//! `DISTROBUILD=PATH` tests another binary than the one that cargo has just built.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod architectures;
mod archive;
mod bases;
mod compression;
mod container;
mod cosign;
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

/// One without the attribute would fail on every machine that has a C compiler only, and be
/// left out where all the others run.
#[test]
fn every_test_here_waits_for_its_tools() {
    let suite = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    let mut tests = 0;
    for entry in suite.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() || path.ends_with("main.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line == "#[test]" {
                tests += 1;
                let next = lines.next().unwrap_or_default();
                assert!(
                    next.starts_with("#[ignore = \"needs the tools"),
                    "{}: {next}",
                    path.display()
                );
            }
        }
    }
    assert!(tests > 100, "only {tests} tests are found");
}
