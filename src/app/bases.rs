//! Which bases have which runtimes, for messages: what to do when one is missing.

use super::hosted::Runtime;

/// Bases that have a runtime, each with the version of it that a release does not change.
const BASES: [(Runtime, &str, &str); 7] = [
    (Runtime::Python, "3.11", "debian:bookworm/python3"),
    (Runtime::Python, "3.12", "ubuntu:noble/python3"),
    (Runtime::Python, "3.13", "debian:trixie/python3"),
    (Runtime::Node, "18", "debian:bookworm/nodejs"),
    (Runtime::Node, "20", "debian:trixie/nodejs"),
    (Runtime::Java, "17", "debian:bookworm/java"),
    (Runtime::Java, "21", "debian:trixie/java"),
];

/// A base that has this runtime.
pub(super) fn with(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Python => "debian:bookworm/python3",
        Runtime::Node => "debian:bookworm/nodejs",
        Runtime::Java => "debian:bookworm/java",
    }
}

/// The base that has just this version of the runtime, where there is one.
pub(super) fn with_version(runtime: Runtime, version: &str) -> Option<&'static str> {
    let mut bases = BASES.iter();
    bases
        .find(|(of, known, _)| *of == runtime && *known == version)
        .map(|(_, _, base)| *base)
}
