#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

if command -v go >/dev/null; then
    CGO_ENABLED=0 GO111MODULE=off go build -trimpath -ldflags='-s -w' -o static-go main.go
else
    echo '(Go is not installed: the same program in C, linked statically)'
    "${CC:-cc}" -O2 -static -o static-go main.c
fi
"${DISTROBUILD:-distrobuild}" ./static-go
../run-image static-go.oci
