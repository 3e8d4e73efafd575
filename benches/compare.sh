#!/usr/bin/env bash
# Whole commands against their peers, side by side in one run, as Markdown tables.
#
# Usage: benches/compare.sh [SECTION…]   (closure cold zstd rebuild small memory; all without one)
# DISTROBUILD names the binary (default target/release/distrobuild), RUNS the runs of the slow
# commands (default 5). As root on Debian with the packages of .ci/packages. Every peer gets the
# same files, unpacked, and what it needs prepared outside of the timed part.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH+=:/usr/sbin:/sbin
DISTROBUILD=$(realpath "${DISTROBUILD:-target/release/distrobuild}")
RUNS=${RUNS:-5}
sections=("${@:-all}")

# shellcheck source=table.sh
source benches/table.sh
need hyperfine:hyperfine umoci:umoci buildah:buildah pigz:pigz jq:jq ffmpeg:ffmpeg gcc:gcc tar:tar \
    ldd:libc-bin /usr/bin/time:time

work=$(mktemp -d)
cleanup() {
    chmod -R u+w "$work"
    rm -rf "$work"
}
trap cleanup EXIT
export XDG_CACHE_HOME=$work/cache
FFMPEG=$(command -v ffmpeg)
JQ=$(command -v jq)

# --- the comparisons ---------------------------------------------------------------------------

# The files of ffmpeg's closure, unpacked, for the peers.
unpack_closure() {
    [[ ! -d $work/tree ]] || return 0
    "$DISTROBUILD" -q --base none --compression none -o "$work/seed.oci" "$FFMPEG" >/dev/null
    umoci unpack --image "$work/seed.oci:latest" "$work/seed" >/dev/null
    mv "$work/seed/rootfs" "$work/tree"
    rm -rf "$work/seed" "$work/seed.oci"
    tar -C "$work/tree" -cf /dev/null . # the page cache is warm for everybody
}

ours() { # ours OUTPUT OPTIONS…: the command line
    local output=$1
    shift
    echo "$DISTROBUILD -q --base none -o $output $* $FFMPEG"
}

umoci_row() {
    local out=$work/umoci.oci
    row 'umoci insert' \
        "rm -rf $out && umoci init --layout $out && umoci new --image $out:latest" \
        "umoci insert --image $out:latest $work/tree /" "$out"
}

pigz_row() {
    row 'tar \| pigz -p2 -6, sha256sum' "rm -f $work/layer.tar.gz" \
        "tar -C $work/tree --sort=name -cf - . | pigz -p2 -6 >$work/layer.tar.gz && sha256sum $work/layer.tar.gz" \
        "$work/layer.tar.gz"
}

buildah_row() {
    local out=$work/buildah.oci
    local buildah="buildah --storage-driver vfs --root $work/buildah/root --runroot $work/buildah/run"
    cat >"$work/buildah.sh" <<SCRIPT
set -e
container=\$($buildah from scratch)
$buildah copy -q \$container $work/tree / >/dev/null
$buildah commit -q --rm --disable-compression=false \$container oci:$out:latest >/dev/null
SCRIPT
    row 'buildah from scratch' "rm -rf $out $work/buildah" "sh $work/buildah.sh" "$out"
}

heading 'distrobuild and its peers'

if wanted closure; then
    row 'distrobuild deps --json' true "$DISTROBUILD deps --json $FFMPEG"
    row 'ldd' true "ldd $FFMPEG"
    measure 'Closure of ffmpeg' 30
fi

if wanted cold; then
    unpack_closure
    row 'distrobuild --no-cache' "rm -rf $work/cold.oci" "$(ours "$work/cold.oci" --no-cache)" "$work/cold.oci"
    umoci_row
    pigz_row
    buildah_row
    measure 'Image of ffmpeg, cold, gzip' "$RUNS"
fi

if wanted zstd; then
    unpack_closure
    row 'distrobuild --no-cache --compression zstd' "rm -rf $work/zstd.oci" \
        "$(ours "$work/zstd.oci" --no-cache --compression zstd)" "$work/zstd.oci"
    umoci_row
    measure 'Image of ffmpeg, cold, zstd' "$RUNS"
fi

if wanted rebuild; then
    # An app of one's own, outside of the system's directories; a few bytes at its end change.
    mkdir -p "$work/app"
    cp "$FFMPEG" "$work/app/ffmpeg"
    app="$DISTROBUILD -q --base none -o $work/app.oci $work/app/ffmpeg"
    row 'cold (--no-cache)' "rm -rf $work/app.oci" "$app --no-cache" "$work/app.oci"
    row 'first with an empty cache' "rm -rf $work/app.oci $XDG_CACHE_HOME" "$app" "$work/app.oci"
    row 'the app has changed' "date +%N >>$work/app/ffmpeg" "$app" "$work/app.oci"
    row 'nothing has changed' true "$app" "$work/app.oci"
    row 'nothing has changed, no output yet' "rm -rf $work/app.oci" "$app" "$work/app.oci"
    measure 'Image of ffmpeg, again' "$RUNS"
fi

if wanted small; then
    row 'distrobuild --no-cache jq' "rm -rf $work/jq.oci" \
        "$DISTROBUILD -q --no-cache -o $work/jq.oci $JQ" "$work/jq.oci"
    measure 'Image of jq with the static base, cold' 20
fi

if wanted memory; then
    # Eight libraries of 128 MiB, half noise and half text, and a program that needs them.
    mkdir -p "$work/big"
    (
        cd "$work/big"
        libraries=()
        for number in 1 2 3 4 5 6 7 8; do
            head -c 64M /dev/urandom >data
            yes "line of library $number" | head -c 64M >>data || [[ ${PIPESTATUS[0]} == 141 ]]
            printf '.data\n.incbin "data"\n.section .note.GNU-stack,"",@progbits\n' >data.s
            echo "int library_$number(void) { return $number; }" >library.c
            gcc -shared -fPIC -o "libbig$number.so" library.c data.s
            libraries+=("-lbig$number")
        done
        rm data data.s
        echo 'int main(void) { return 0; }' >main.c
        gcc -o big main.c -L. -Wl,--no-as-needed "${libraries[@]}" -Wl,-rpath,'$ORIGIN'
    )
    printf '\n### Peak memory, closure of 1 GiB\n\n| command | peak | time |\n|---|--:|--:|\n'
    for options in '' '--compression zstd'; do
        rm -rf "$work/big.oci"
        # shellcheck disable=SC2086 # the options are words
        /usr/bin/time -f '%M %e' -o "$work/usage" \
            "$DISTROBUILD" -q --no-cache $options -o "$work/big.oci" "$work/big/big" >/dev/null
        read -r peak seconds <"$work/usage"
        echo "| distrobuild --no-cache $options | $((peak / 1024)) MiB | $seconds s |"
    done
fi
