#!/usr/bin/env bash
# Unit tests, and under asan some simulated worlds and the Python package on its extension, with a sanitizer: scripts/sanitize.sh asan|tsan
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh "$1"
meson test -C "build/$1" --suite unit --no-rebuild --print-errorlogs --num-processes 2 --timeout-multiplier 8
if [ "$1" = asan ] && [ -x build/asan/src/sim/perdure-sim ]; then build/asan/src/sim/perdure-sim --seed 1 --runs 30 --wall 5; fi
if [ "$1" = asan ]; then scripts/check_ext.sh asan python/tests -k "not blocked_loop_is and not memory and not recorded"; fi
