#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

make --silent hello
"${DISTROBUILD:-distrobuild}" ./hello --env TZ=Europe/Berlin -- "from the image"
../run-image hello.oci
