#!/usr/bin/env bash
# Signing and verifying in a registry, beside cosign, as Markdown tables.
#
# Usage: benches/sign.sh [SECTION…]   (sign verify layout memory; all without one)
# DISTROBUILD names the binary (default target/release/distrobuild), RUNS the runs (default 20). On
# Debian with the packages of .ci/packages and cosign 3: its docker-registry listens on loopback
# while this runs.
set -euo pipefail
cd "$(dirname "$0")/.."

DISTROBUILD=$(realpath "${DISTROBUILD:-target/release/distrobuild}")
RUNS=${RUNS:-20}
PORT=${PORT:-5078}
sections=("${@:-all}")

# shellcheck source=table.sh
source benches/table.sh
need hyperfine:hyperfine jq:jq gcc:gcc docker-registry:docker-registry
command -v cosign >/dev/null || {
    echo 'cosign is missing: .ci/install' >&2
    exit 1
}

work=$(mktemp -d)
trap 'kill "$registry" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export XDG_CACHE_HOME=$work/cache HOME=$work/home
# Opening the key is a part of signing: both programs read the same.
export COSIGN_PASSWORD=secret

cat >registry.yml <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/data}, delete: {enabled: true}}
http: {addr: 127.0.0.1:$PORT}
END
docker-registry serve registry.yml >/dev/null 2>&1 &
registry=$!
until curl -fs "http://127.0.0.1:$PORT/v2/" >/dev/null; do sleep 0.1; done

printf 'int main(void) { return 0; }\n' >app.c
gcc -O1 -o app app.c
"$DISTROBUILD" -q ./app -o app.oci --report none >/dev/null
"$DISTROBUILD" -q keygen >/dev/null
host=localhost:$PORT
image=$host/app@$("$DISTROBUILD" -q push app.oci "$host/app:1" | sed 's/.*@//')
cp -a data unsigned

ours="$DISTROBUILD -q sign --key cosign.key --signature-form"
theirs='cosign sign --key cosign.key -y --use-signing-config=false --tlog-upload=false'
# Every run finds the image unsigned.
unsigned="rm -rf $work/data && cp -a $work/unsigned $work/data"

heading "Signatures: a small image, docker-registry on loopback, $(cosign version 2>/dev/null |
    sed -n 's/^GitVersion: */cosign /p')"

if wanted sign; then
    for form in bundle classic; do
        flag=--new-bundle-format=$([[ $form == bundle ]] && echo true || echo false)
        row 'sign' "$unsigned" "$ours $form $image"
        row '`cosign sign`' "$unsigned" "$theirs $flag $image"
        measure "Sign, $form" "$RUNS"
    done
fi

if wanted verify; then
    for form in bundle classic; do
        eval "$unsigned"
        $ours "$form" "$image" >/dev/null
        flag=--new-bundle-format=$([[ $form == bundle ]] && echo true || echo false)
        row 'verify, every layer too' true "$DISTROBUILD -q verify --key cosign.pub $image"
        row '`cosign verify`, no layer' true \
            "cosign verify --key cosign.pub --insecure-ignore-tlog $flag $image"
        measure "Verify, $form" "$RUNS"
    done
fi

if wanted layout; then
    "$DISTROBUILD" -q sign --key cosign.key app.oci >/dev/null
    row 'verify, every layer too' true "$DISTROBUILD -q verify --key cosign.pub app.oci"
    row '`cosign verify --local-image`, no layer' true \
        'cosign verify --local-image --key cosign.pub --insecure-ignore-tlog app.oci'
    measure 'Verify, a layout' "$RUNS"
fi

if wanted memory; then
    for program in distrobuild cosign; do
        eval "$unsigned"
        words="$ours bundle $image"
        [[ $program == distrobuild ]] || words="$theirs $image"
        # shellcheck disable=SC2086
        /usr/bin/time -f "%M" -o memory $words >/dev/null 2>&1
        printf '%s sign: %s MiB of memory at most\n' "$program" "$(($(tail -1 memory) / 1024))"
    done
fi
