#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

PATH+=:/usr/sbin
command -v nginx >/dev/null || {
    echo '(nginx is not installed)'
    exit 0
}
"${DISTROBUILD:-distrobuild}" "$(command -v nginx)" --output nginx.oci --port 8080 \
    --include nginx.conf:/etc/nginx/nginx.conf --include site:/srv/site \
    --smoke-port 8080 --smoke-writable /tmp \
    -- -e stderr -g 'daemon off;'
# The server would run on: let it judge its configuration.
../run-image nginx.oci -t
