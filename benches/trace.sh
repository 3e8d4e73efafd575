#!/usr/bin/env bash
# What tracing costs an app, beside strace(1), as a Markdown table.
#
# Usage: benches/trace.sh [APP…]   (python find gcc node; all without one)
# DISTROBUILD names the binary (default target/release/distrobuild), RUNS the runs of each
# command (default 10). The cost is what a run takes longer than the app alone: of distrobuild,
# the phase `trace` of --timings, without the build that follows it.
set -euo pipefail
cd "$(dirname "$0")/.."

DISTROBUILD=$(realpath "${DISTROBUILD:-target/release/distrobuild}")
RUNS=${RUNS:-10}
apps=("${@:-all}")

for tool in hyperfine strace jq cc; do
    command -v "$tool" >/dev/null || {
        echo "$tool is missing: apt-get install hyperfine strace jq gcc" >&2
        exit 1
    }
done
[[ -x $DISTROBUILD ]] || {
    echo "$DISTROBUILD is missing: cargo build --release" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wanted() {
    [[ " ${apps[*]} " == *" all "* || " ${apps[*]} " == *" $1 "* ]]
}

# alone COMMAND…: the median of its runs in milliseconds.
alone() {
    hyperfine --style none --shell none --warmup 2 --runs "$RUNS" --export-json "$work/times.json" \
        "$*" >/dev/null 2>"$work/messages" || {
        cat "$work/messages" >&2
        exit 1
    }
    jq '.results[0].median * 1000' "$work/times.json"
}

# traced COMMAND…: the median of the time that distrobuild says it traced, in milliseconds.
traced() {
    local program=$1 run
    shift
    for ((run = -2; run < RUNS; run++)); do
        rm -rf "$work/image"
        "$DISTROBUILD" --trace --timings --runtime none --base none --compression none \
            -o "$work/image" "$program" -- "$@" >/dev/null 2>"$work/messages" || {
            cat "$work/messages" >&2
            exit 1
        }
        ((run < 0)) || sed -n 's/^ *\([0-9.]*\) ms  trace$/\1/p' "$work/messages"
    done | sort -n | awk '{ times[NR] = $1 } END { print (times[int((NR + 1) / 2)] + times[int(NR / 2) + 1]) / 2 }'
}

# row NAME PROGRAM ARGUMENT…: the arguments have no spaces.
row() {
    local name=$1 own ours theirs filtered
    shift
    own=$(alone "$@")
    ours=$(traced "$@")
    theirs=$(alone strace -f -e trace=file -o /dev/null "$@")
    filtered=$(alone strace -f --seccomp-bpf -e trace=file -o /dev/null "$@")
    awk -v name="$name" -v own="$own" -v ours="$ours" -v theirs="$theirs" -v filtered="$filtered" \
        'BEGIN {
            cost = ours - own
            # A cost below one in fifty is not told from the noise of the runs.
            is_told = cost > own / 50 && theirs - own > own / 50
            ratio = is_told ? sprintf("%.1f", (theirs - own) / cost) : "not measurable"
            printf "| %s | %.1f ms | %+.1f ms | %+.1f ms | %+.1f ms | %s |\n", \
                name, own, cost, theirs - own, filtered - own, ratio
        }'
}

printf '### What tracing costs\n\n'
printf '| app | alone | distrobuild --trace | strace -f -e trace=file | the same with --seccomp-bpf | strace / distrobuild |\n'
printf '|---|--:|--:|--:|--:|--:|\n'

if wanted python; then
    echo 'import json, http.server, asyncio' >"$work/imports.py"
    row 'python3, imports json, http.server, asyncio' \
        "$(python3 -c 'import sys; print(sys.executable)')" "$work/imports.py"
fi
if wanted find; then
    row 'find /usr/include' "$(command -v find)" /usr/include -name none
fi
if wanted gcc; then
    printf '#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(""); }\n' >"$work/main.c"
    row 'gcc, a small program' "$(command -v gcc)" -o "$work/main" "$work/main.c"
fi
if wanted node && command -v node >/dev/null; then
    echo 'require("http"); require("crypto"); require("zlib")' >"$work/main.js"
    row 'node, requires http, crypto, zlib' "$(command -v node)" "$work/main.js"
fi
