#!/usr/bin/env bash
# The Python package as a wheel, at build/wheel/.
# Usage: scripts/wheel.sh               build it, print its path
#        scripts/wheel.sh --compile     only what meson builds for it; prints the build directory
#        scripts/wheel.sh --venv NAME   also install it into the virtual environment NAME; prints that one's Python
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/log

compile() {
  local dir=build/wheel-lib
  if [ ! -f $dir/build.ninja ]; then
    # Shared libraries: they are smaller packed once than linked twice. They lie beside the extension (_libs).
    meson setup $dir --buildtype=release -Db_lto=true -Dstrip=true -Dwerror=false "-Dc_link_args=-Wl,-rpath,\$ORIGIN/_libs:\$ORIGIN/../_libs" >build/log/wheel-meson.log 2>&1 ||
      { tail -30 build/log/wheel-meson.log >&2; exit 1; }
  fi
  ninja -C $dir python/_core.abi3.so src/server/perdure >build/log/wheel-ninja.log 2>&1 || { grep -v '^\[' build/log/wheel-ninja.log | head -40 >&2; exit 1; }
  echo "$PWD/$dir"
}

# What the wheel is made of; it changes when any of it does.
fingerprint() { # build directory
  { find python scripts/wheel.sh scripts/requirements-wheel.txt scripts/api-requirements.txt "$1/python/_core.abi3.so" "$1/src/server/perdure" \
      -type f -not -path 'python/temporalio/api/*' -not -name '*.pyc' -printf '%p %s %T@\n' | sort; } | sha256sum | cut -c1-16
}

pack() {
  local lib python now
  scripts/deps.sh build >&2
  lib=$(compile)
  now=$(fingerprint "$lib")
  if [ "$(cat build/wheel/.stamp 2>/dev/null || true)" = "$now" ]; then
    ls "$PWD"/build/wheel/*.whl
    return
  fi
  python=$(scripts/venv.sh wheel)
  PATH="$(dirname "$python"):$PATH" "$python" python/generate_api.py --protos "$(scripts/fetch_api.sh)" --out python/temporalio/api >build/log/wheel-api.log 2>&1 ||
    { tail -20 build/log/wheel-api.log >&2; exit 1; }
  rm -rf build/wheel build/wheel-stage
  mkdir -p build/wheel build/wheel-stage
  # Packed from a copy, so that setuptools leaves nothing behind in the checkout.
  cp meson.build build/wheel-stage/
  cp -r python build/wheel-stage/python
  PERDURE_BUILD_DIR=$lib "$python" -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w build/wheel build/wheel-stage/python >build/log/wheel-pip.log 2>&1 ||
    { tail -30 build/log/wheel-pip.log >&2; exit 1; }
  rm -rf build/wheel-stage
  echo "$now" >build/wheel/.stamp
  ls "$PWD"/build/wheel/*.whl
}

case ${1:-} in
  --compile) compile ;;
  --venv)
    wheel=$(pack)
    python=$(scripts/venv.sh "$2")
    stamp=$(dirname "$python")/../.wheel
    if [ "$(cat "$stamp" 2>/dev/null || true)" = "$(cat build/wheel/.stamp)" ]; then
      echo "$python"
      exit 0
    fi
    "$python" -m pip install -q --disable-pip-version-check --no-deps --force-reinstall "$wheel" >build/log/wheel-install.log 2>&1 || { tail -20 build/log/wheel-install.log >&2; exit 1; }
    cp build/wheel/.stamp "$stamp"
    echo "$python"
    ;;
  "") pack ;;
  *) echo "wheel.sh: no such option: $1" >&2; exit 2 ;;
esac
