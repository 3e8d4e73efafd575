#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

distrobuild=${DISTROBUILD:-distrobuild}
base=debian:bookworm/python3
# Once; the file belongs into version control.
[[ -e distrobuild.lock ]] || "$distrobuild" bases lock "$base"
"$distrobuild" ./app.py --base "$base" --smoke
../run-image app.oci
