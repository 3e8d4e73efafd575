#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

mkdir -p plugins
"${CXX:-c++}" -std=c++17 -O2 -o host main.cpp -ldl
"${CXX:-c++}" -std=c++17 -O2 -shared -fPIC -o plugins/roots.so plugin.cpp -lm
"${DISTROBUILD:-distrobuild}" ./host --include plugins:/plugins
../run-image host.oci
