#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

distrobuild=${DISTROBUILD:-distrobuild}
command -v aarch64-linux-gnu-gcc >/dev/null || {
    echo 'skipped: aarch64-linux-gnu-gcc is missing (apt-get install gcc-aarch64-linux-gnu)' >&2
    exit 0
}
mkdir -p out/amd64 out/arm64
x86_64-linux-gnu-gcc -O2 -o out/amd64/app app.c
aarch64-linux-gnu-gcc -O2 -o out/arm64/app app.c
"$distrobuild" 'out/{arch}/app' --platform linux/amd64,linux/arm64 \
    --base debian:bookworm/base --output app.oci
"$distrobuild" inspect app.oci
# The one that this machine runs, by itself.
"$distrobuild" copy app.oci "oci:this.oci:latest" --platform "linux/$(dpkg --print-architecture)"
../run-image this.oci
