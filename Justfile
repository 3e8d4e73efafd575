# What a contributor runs. `just` lists it.

set shell := ["bash", "-euo", "pipefail", "-c"]

_default:
    @just --list --unsorted

# Build the program
build:
    cargo build --release

# The suite: needs a C compiler only
test:
    cargo test

# Formatting and lints, warnings denied
lint:
    cargo fmt --check
    cargo clippy --all-targets --all-features -- -D warnings
    cargo clippy --no-default-features -- -D warnings

# Images checked with other people's tools, as root (packages: .ci/packages)
interop *ARGS:
    cargo test --test interop -- --ignored {{ ARGS }}

# Whole commands against their peers, then the inner parts
bench: build
    benches/compare.sh
    benches/apps.sh
    benches/bases.sh
    benches/registry.sh
    benches/sign.sh
    cargo bench --bench layer

# Fuzz a reader of hostile input: object or ld_so_cache
fuzz TARGET="object" SECONDS="60":
    cargo +nightly fuzz run {{ TARGET }} -- -max_total_time={{ SECONDS }}

# Build an image of jq, look at it, and run it if umoci and runc are here
demo: build
    target/release/distrobuild deps "$(command -v jq)"
    target/release/distrobuild "$(command -v jq)" --output target/jq.oci -- -n '"hello from an image"'
    examples/run-image target/jq.oci

# Everything that CI runs
ci:
    .ci/run
