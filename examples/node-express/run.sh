#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

command -v npm >/dev/null || {
    echo '(npm is not installed)'
    exit 0
}
# The addon comes compiled: nothing has to run at its installation.
npm install --silent --no-audit --no-fund --ignore-scripts
"${DISTROBUILD:-distrobuild}" . --output server.oci --port 8080 --smoke-port 8080
../run-image server.oci check
