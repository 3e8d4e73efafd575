#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

cargo build --quiet --release --target-dir target
"${DISTROBUILD:-distrobuild}" target/release/rust-hello --output rust-hello.oci --port 8080
../run-image rust-hello.oci check
