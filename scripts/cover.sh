#!/usr/bin/env bash
# Line coverage of the unit tests, folder by folder, and the files that are covered least.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh cover
meson test -C build/cover --suite unit --no-rebuild >/dev/null
python3 scripts/cover.py build/cover
