#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

command -v javac >/dev/null || {
    echo '(a JDK is not installed)'
    exit 0
}
javac -d classes Server.java
jar --create --file server.jar --main-class Server -C classes .
"${DISTROBUILD:-distrobuild}" ./server.jar --port 8080 --smoke-port 8080
../run-image server.oci check
