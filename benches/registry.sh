#!/usr/bin/env bash
# Push and pull of a large image, beside skopeo, as Markdown tables.
#
# Usage: benches/registry.sh [SECTION…]   (push pull again base memory; all without one)
# DISTROBUILD names the binary (default target/release/distrobuild), RUNS the runs (default 5),
# SIZE the size of the image in MB (default 500). On Debian with the packages of .ci/packages: its
# docker-registry listens on loopback while this runs.
set -euo pipefail
cd "$(dirname "$0")/.."

DISTROBUILD=$(realpath "${DISTROBUILD:-target/release/distrobuild}")
RUNS=${RUNS:-5}
SIZE=${SIZE:-500}
PORT=${PORT:-5077}
sections=("${@:-all}")

# shellcheck source=table.sh
source benches/table.sh
need hyperfine:hyperfine jq:jq gcc:gcc skopeo:skopeo docker-registry:docker-registry

work=$(mktemp -d)
trap 'kill "$registry" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export XDG_CACHE_HOME=$work/cache

cat >registry.yml <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/data}, delete: {enabled: true}}
http: {addr: 127.0.0.1:$PORT}
END
docker-registry serve registry.yml >/dev/null 2>&1 &
registry=$!
until curl -fs "http://127.0.0.1:$PORT/v2/" >/dev/null; do sleep 0.1; done

# Data that does not compress, in four layers' worth of files: what is measured is the way, not gzip.
mkdir data
for part in 1 2 3 4; do
    head -c $((SIZE * 250000)) /dev/urandom >"data/$part"
done
printf 'int main(void) { return 0; }\n' >app.c
gcc -O1 -o app app.c
"$DISTROBUILD" -q ./app --include data:/srv/data -o app.oci --report none >/dev/null
host=localhost:$PORT

heading "Registries: an image of $SIZE MB, docker-registry on loopback"

if wanted push; then
    row 'push' "rm -rf $work/data/docker" "$DISTROBUILD -q push app.oci $host/app:1"
    row '`skopeo copy`' "rm -rf $work/data/docker" \
        "skopeo copy -q --dest-tls-verify=false oci:app.oci:latest docker://$host/app:1"
    measure 'Push' "$RUNS"
fi

"$DISTROBUILD" -q push app.oci "$host/app:1" >/dev/null
if wanted pull; then
    row 'pull' 'rm -rf out.oci' "$DISTROBUILD -q pull $host/app:1 -o out.oci"
    row '`skopeo copy`' 'rm -rf out.oci' \
        "skopeo copy -q --src-tls-verify=false docker://$host/app:1 oci:out.oci:latest"
    measure 'Pull' "$RUNS"
fi

if wanted again; then
    row 'push of what is there' true "$DISTROBUILD -q push app.oci $host/app:1"
    row '`skopeo copy`' true \
        "skopeo copy -q --dest-tls-verify=false oci:app.oci:latest docker://$host/app:1"
    measure 'Again, nothing has changed' 10
fi

if wanted base; then
    "$DISTROBUILD" -q "$(command -v jq)" -o base.oci --report none >/dev/null
    "$DISTROBUILD" -q push base.oci "$host/base:1" >/dev/null
    row 'build on an image of the registry, and push' true \
        "$DISTROBUILD -q ./app --base $host/base:1 --report none --push $host/onbase:1"
    measure 'A base from the registry, in the cache' 10
fi

if wanted memory; then
    for direction in push pull; do
        rm -rf "$work/data/docker" out.oci
        [[ $direction == push ]] || "$DISTROBUILD" -q push app.oci "$host/app:1" >/dev/null
        words=(push app.oci "$host/app:1")
        [[ $direction == push ]] || words=(pull "$host/app:1" -o out.oci)
        /usr/bin/time -f "%M" -o memory "$DISTROBUILD" -q "${words[@]}" >/dev/null
        printf '%s: %s MiB of memory at most\n' "$direction" "$(($(tail -1 memory) / 1024))"
    done
fi
