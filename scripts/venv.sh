#!/usr/bin/env bash
# Makes a virtual environment with the packages of a requirements file, once; prints the path of its Python.
# Usage: scripts/venv.sh NAME   (requirements in scripts/requirements-NAME.txt)
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
dir=build/venv/$name
stamp=$dir/.stamp
sum=$(sha256sum "scripts/requirements-$name.txt" | cut -c1-16)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$sum" ]; then
  mkdir -p build/log
  echo "perdure: installing Python packages ($name)" >&2
  rm -rf "$dir"
  python3 -m venv "$dir"
  "$dir/bin/python" -m pip install -q --disable-pip-version-check -r "scripts/requirements-$name.txt" >"build/log/pip-$name.log" 2>&1 ||
    { tail -20 "build/log/pip-$name.log" >&2; exit 1; }
  echo "$sum" >"$stamp"
fi
echo "$PWD/$dir/bin/python"
