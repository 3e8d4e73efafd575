#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

distrobuild=${DISTROBUILD:-distrobuild}
# The key of an example has no password. Without this variable it is asked for.
export COSIGN_PASSWORD=

rm -rf app.oci tampered.oci cosign.key cosign.pub
cc -O2 -o app app.c
"$distrobuild" ./app
"$distrobuild" keygen
"$distrobuild" sign --key cosign.key --annotation env=prod app.oci
"$distrobuild" verify --key cosign.pub --annotation env=prod app.oci

# What else is to be known of the image, by the same key.
"$distrobuild" attest --key cosign.key --type https://example.com/tests --predicate tests.json app.oci
"$distrobuild" verify-attestation --key cosign.pub --type https://example.com/tests app.oci

if command -v cosign >/dev/null; then
    cosign verify --local-image --insecure-ignore-tlog --key cosign.pub app.oci
fi

# One byte of the largest layer.
cp -r app.oci tampered.oci
layer=tampered.oci/blobs/sha256/$(ls -S tampered.oci/blobs/sha256 | sed -n 1p)
byte=$(od -An -tu1 -j 1000 -N 1 "$layer")
printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$layer" bs=1 seek=1000 conv=notrunc status=none
if "$distrobuild" verify --key cosign.pub tampered.oci; then
    echo 'a tampered image was verified' >&2
    exit 1
fi
echo 'the tampered image is not verified, as it should be'
../run-image app.oci
