#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"

"${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
"${DISTROBUILD:-distrobuild}" ./app.py --port 8080 --smoke-port 8080
../run-image app.oci check
