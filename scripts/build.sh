#!/usr/bin/env bash
# Builds one flavour into build/<flavour>: scripts/build.sh release|test|asan|tsan|fuzz|clang|cover [ninja targets]
set -euo pipefail
cd "$(dirname "$0")/.."
flavour=$1; shift
mkdir -p build/log

scripts/deps.sh build
[ "$flavour" = release ] || [ "$flavour" = test ] || scripts/deps.sh test
scripts/fetch_api.sh >/dev/null

options=(-Dwerror=true)
case $flavour in
  release) options+=(--buildtype=release -Doptimization=2 -Dstatic_libs=true -Dstrip=true) ;;
  test) options+=(-Doptimization=1 -Ddebug=true -Dslow_checks=true) ;;
  # A sanitizer's own instrumentation makes gcc warn of what is not there; release, test and clang are the builds that must be clean.
  asan) options=(-Dwerror=false -Doptimization=1 -Ddebug=true -Dslow_checks=true -Db_sanitize=address,undefined -Db_lundef=false) ;;
  tsan) options=(-Dwerror=false -Doptimization=1 -Ddebug=true -Dslow_checks=true -Db_sanitize=thread -Db_lundef=false) ;;
  fuzz) options+=(-Doptimization=1 -Ddebug=true -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false) ;;
  clang) options+=(-Doptimization=1 -Dslow_checks=true) ;;
  cover) options+=(-Doptimization=0 -Ddebug=true -Dslow_checks=true -Db_coverage=true) ;;
  *) echo "build.sh: no such flavour: $flavour" >&2; exit 2 ;;
esac
export CC=gcc
case $flavour in fuzz | clang) export CC=clang ;; esac

log=build/log/build-$flavour.log
if [ ! -f "build/$flavour/build.ninja" ]; then
  echo "perdure: configuring build/$flavour"
  meson setup "build/$flavour" "${options[@]}" >"$log" 2>&1 || { tail -30 "$log" >&2; exit 1; }
fi
[ -t 1 ] && echo "perdure: building ($flavour)"
ninja -C "build/$flavour" "$@" >"$log" 2>&1 || { grep -vE '^\[[0-9]+/[0-9]+\]' "$log" | head -60 >&2; echo "perdure: the build failed; see $log" >&2; exit 1; }
if [ "$flavour" = release ] && [ -f build/release/src/server/perdure ]; then
  ln -sf release/src/server/perdure build/perdure
fi
