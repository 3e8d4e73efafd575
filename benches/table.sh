# Sourced by the benchmarks: comparisons as Markdown tables. Wants hyperfine and jq, a directory
# $work, and the array of wanted sections.

wanted() {
    [[ " ${sections[*]} " == *" all "* || " ${sections[*]} " == *" $1 "* ]]
}

# need COMMAND:PACKAGE…: ends with the package of the first command that is missing.
need() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || {
            echo "${pair%%:*} is missing: apt-get install ${pair#*:}" >&2
            exit 1
        }
    done
    [[ -x $DISTROBUILD ]] || {
        echo "$DISTROBUILD is missing: cargo build --release" >&2
        exit 1
    }
}

# The machine that all is measured on, as a heading.
heading() {
    printf '## %s\n\n%s, %s cores, %s\n' "$1" \
        "$(sed -n '/^model name/{s/^[^:]*: //p;q}' /proc/cpuinfo | grep . || uname -m)" \
        "$(nproc)" "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
}

# One comparison: rows are added, then measured and printed.
names=() commands=() preparations=() outputs=()

# row NAME PREPARATION COMMAND [OUTPUT]: the output's size is told, if one is given.
row() {
    names+=("$1") preparations+=("$2") commands+=("$3") outputs+=("${4:-}")
}

# Bytes of a file, of a layout's blobs, or nothing.
size_of() {
    [[ -e $1 ]] || return 0
    find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.1f MB", sum / 1e6 }'
}

# The shell that a command needs. Where it needs none it is started without: hyperfine's estimate
# of what a shell costs is as large as the time of a short command.
shell_of() {
    if [[ $1 == *[\|\<\>\;\&\$\`\"\'\*\(\)]* || $1 =~ (^| )[A-Z_]+= ]]; then
        echo default
    else
        echo none
    fi
}

# measure TITLE RUNS: ratios are to the first row; the results stay in $work/N.json by row.
measure() {
    local arguments=() sizes=() i
    for i in "${!names[@]}"; do
        hyperfine --style none --shell "$(shell_of "${commands[$i]} ${preparations[$i]}")" \
            --warmup 1 --runs "$2" --export-json "$work/$i.json" \
            --command-name "${names[$i]}" --prepare "${preparations[$i]}" "${commands[$i]}" \
            >/dev/null 2>"$work/messages" || {
            cat "$work/messages" >&2
            exit 1
        }
        sizes+=("$([[ -z ${outputs[$i]} ]] || size_of "${outputs[$i]}")")
        arguments+=("$work/$i.json")
    done
    printf '\n### %s\n\n| command | time | ± | ratio | size |\n|---|--:|--:|--:|--:|\n' "$1"
    jq --slurp --raw-output '
        def milliseconds: . * 1000 | if . < 100 then (. * 10 | round) / 10 else round end;
        .[0].results[0].mean as $first
        | to_entries[]
        | .key as $row | .value.results[0]
        | "| \(.command) | \(.mean | milliseconds) ms | \(.stddev // 0 | milliseconds) ms"
          + " | \(if $first > 0 then (.mean / $first * 100 | round) / 100 else "" end)"
          + " | \($ARGS.positional[$row]) |"
    ' "${arguments[@]}" --args "${sizes[@]}"
    names=() commands=() preparations=() outputs=()
}

# The mean of a row of the last comparison, in milliseconds.
mean() {
    jq '.results[0].mean * 1000' "$work/$1.json"
}
