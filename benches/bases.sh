#!/usr/bin/env bash
# Bases from Debian packages, as Markdown tables.
#
# Usage: benches/bases.sh [SECTION…]   (warm cold resolve size; all without one)
# DISTROBUILD names the binary (default target/release/distrobuild), RUNS the runs of the slow
# commands (default 5). On Debian bookworm with the packages of .ci/packages and a mirror in reach;
# as root, because of `apt-get download`.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH+=:/usr/sbin:/sbin
DISTROBUILD=$(realpath "${DISTROBUILD:-target/release/distrobuild}")
RUNS=${RUNS:-5}
sections=("${@:-all}")

# shellcheck source=table.sh
source benches/table.sh
need hyperfine:hyperfine jq:jq gcc:gcc apt-get:apt

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export XDG_CACHE_HOME=$work/cache
packages=$XDG_CACHE_HOME/distrobuild/packages
base=debian:bookworm/cc

printf 'int main(void) { return 0; }\n' >hello.c
gcc -O1 -o hello hello.c
"$DISTROBUILD" bases lock -q "$base" --lock bases.lock >/dev/null
build="$DISTROBUILD -q ./hello --base $base --report none -o hello.oci"

heading 'Bases from packages'

if wanted warm; then
    $build --lock bases.lock >/dev/null
    row "image on $base from a lock" "rm -rf hello.oci" "$build --lock bases.lock" hello.oci
    row 'without a lock: the archives are asked for news' "rm -rf hello.oci" "$build" hello.oci
    measure 'Everything in the cache' 10
fi

if wanted cold; then
    mapfile -t wanted_packages < <("$DISTROBUILD" bases show -q "$base" --json |
        jq -r '.packages[] | "\(.name)=\(.version)"')
    row "\`apt-get download\` of the ${#wanted_packages[@]} packages" "rm -f ./*.deb" \
        "apt-get download -q ${wanted_packages[*]}"
    row "image on $base from a lock" "rm -rf cache hello.oci" "$build --lock bases.lock" hello.oci
    row 'without a lock, the package lists with it' "rm -rf cache hello.oci" "$build" hello.oci
    measure 'Nothing in the cache' "$RUNS"
fi

if wanted resolve; then
    show="$DISTROBUILD bases show -q debian:bookworm/java --offline"
    "$DISTROBUILD" bases show -q debian:bookworm/java >/dev/null
    row 'the parsed index in the cache' true "$show"
    row 'the index as it was downloaded' "rm -rf $packages/indices" "$show"
    measure 'Resolution of debian:bookworm/java' 10
fi

if wanted size; then
    printf 'print("here")\n' >app.py
    printf 'console.log("here")\n' >app.js
    printf '\n### Images, compressed\n\n| base | packages | image |\n|---|--:|--:|\n'
    for release in debian:bookworm debian:trixie; do
        for pair in base:hello cc:hello python3:app.py nodejs:app.js; do
            name=$release/${pair%%:*}
            "$DISTROBUILD" -q "./${pair#*:}" --base "$name" --report none -o size.oci
            count=$("$DISTROBUILD" bases show -q "$name" --json | jq '.packages | length')
            printf '| %s | %s | %s |\n' "$name" "$count" "$(size_of size.oci)"
            rm -rf size.oci
        done
    done
fi
