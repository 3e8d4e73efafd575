#!/usr/bin/env bash
# Apps of language runtimes, tracing and the smoke test, as Markdown tables.
#
# Usage: benches/apps.sh [SECTION…]   (image trace smoke; all without one)
# DISTROBUILD names the binary (default target/release/distrobuild), RUNS the runs of the slow
# commands (default 5). As root on Debian with the packages of .ci/packages. A virtual environment
# with numpy and pandas is fetched once and kept below target/.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH+=:/usr/sbin:/sbin
DISTROBUILD=$(realpath "${DISTROBUILD:-target/release/distrobuild}")
RUNS=${RUNS:-5}
sections=("${@:-all}")

# shellcheck source=table.sh
source benches/table.sh
need hyperfine:hyperfine jq:jq pigz:pigz tar:tar umoci:umoci strace:strace gcc:gcc \
    /usr/bin/python3:python3-venv

work=$(mktemp -d)
cleanup() {
    chmod -R u+w "$work"
    rm -rf "$work"
}
trap cleanup EXIT
export XDG_CACHE_HOME=$work/cache
JQ=$(command -v jq)

# --- the app ------------------------------------------------------------------------------------

project=$PWD/target/bench-apps/science
requirements=(numpy==2.2.6 pandas==2.2.3 python-dateutil==2.9.0.post0 pytz==2025.2 six==1.17.0
    tzdata==2025.2)
if [[ $(cat "$project/made-of" 2>/dev/null) != "${requirements[*]}" ]]; then
    rm -rf "$project"
    mkdir -p "$project"
    /usr/bin/python3 -m venv "$project/.venv"
    "$project/.venv/bin/pip" install --quiet --disable-pip-version-check --retries 5 "${requirements[@]}"
    echo "${requirements[*]}" >"$project/made-of"
fi
cat >"$project/compute.py" <<'SCRIPT'
#!/usr/bin/env python3
import numpy
import pandas

frame = pandas.DataFrame({"value": numpy.arange(10)})
print(frame["value"].sum())
SCRIPT
chmod +x "$project/compute.py"

# difference A B C…: A without B and C, in milliseconds.
difference() {
    awk 'BEGIN { d = ARGV[1]; for (i = 2; i < ARGC; i++) d -= ARGV[i]; printf "%.1f", d }' "$@"
}

heading 'Apps, tracing, smoke test'

if wanted image; then
    # The image's own files, unpacked, for the peer.
    "$DISTROBUILD" -q -o "$work/seed.oci" "$project/compute.py" >/dev/null
    umoci unpack --image "$work/seed.oci:latest" "$work/seed" >/dev/null
    tar -C "$work/seed/rootfs" -cf /dev/null . # the page cache is warm for both
    rm -rf "$work/seed.oci"
    row 'distrobuild --no-cache' "rm -rf $work/image.oci" \
        "$DISTROBUILD -q --no-cache -o $work/image.oci $project/compute.py" "$work/image.oci"
    row 'tar \| pigz' "rm -f $work/image.tar.gz" \
        "tar -C $work/seed/rootfs --sort=name -cf - . | pigz >$work/image.tar.gz" \
        "$work/image.tar.gz"
    measure 'Image of a virtual environment with numpy and pandas' "$RUNS"
fi

# slowdown TITLE APP COMMAND…: what tracing adds to a command, by strace and by us. Planning without
# a trace is taken off ours, as it is no part of the run.
slowdown() {
    local title=$1 app=$2
    shift 2
    row 'alone' true "$*"
    row 'strace -f -e trace=file' true "strace -f -e trace=file -o /dev/null $*"
    row 'the same with --seccomp-bpf' true "strace -f --seccomp-bpf -e trace=file -o /dev/null $*"
    row 'distrobuild --dry-run' true "$DISTROBUILD -q --dry-run $app"
    row 'distrobuild --dry-run --trace' true "$DISTROBUILD -q --dry-run --trace $app"
    measure "$title" "$RUNS"
    local strace filtered ours
    strace=$(difference "$(mean 1)" "$(mean 0)")
    filtered=$(difference "$(mean 2)" "$(mean 0)")
    ours=$(difference "$(mean 4)" "$(mean 3)" "$(mean 0)")
    printf '\nAdded to the run: strace %s ms, with --seccomp-bpf %s ms, --trace %s ms.\n' \
        "$strace" "$filtered" "$ours"
}

if wanted trace; then
    # Many system calls that concern no file name, and some that do.
    cat >"$work/calls.c" <<'SOURCE'
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    for (int round = 0; round < 300; round++) {
        int file = open("/etc/passwd", O_RDONLY);
        char byte;
        for (int call = 0; call < 1000; call++)
            if (pread(file, &byte, 1, 0) < 0) return 1;
        close(file);
    }
    return 0;
}
SOURCE
    gcc -O2 -o "$work/calls" "$work/calls.c"
    slowdown 'Tracing a program of 300,000 system calls' "$work/calls" "$work/calls"
    slowdown 'Tracing an import of numpy and pandas' "$project/compute.py" \
        "$project/.venv/bin/python $project/compute.py"
fi

if wanted smoke; then
    "$DISTROBUILD" -q -o "$work/smoke.oci" "$JQ" -- --version >/dev/null
    row 'jq --version' true "$JQ --version"
    row 'distrobuild jq' true "$DISTROBUILD -q -o $work/smoke.oci $JQ -- --version"
    row 'distrobuild --smoke jq' true "$DISTROBUILD -q -o $work/smoke.oci --smoke $JQ -- --version"
    measure 'Smoke test of an image that is there already' 30
    printf '\nAdded to the time of the program: %s ms.\n' \
        "$(difference "$(mean 2)" "$(mean 1)" "$(mean 0)")"
fi
