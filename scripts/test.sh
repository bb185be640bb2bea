#!/usr/bin/env bash
# Every test, group by group; the last line is "N passed, N failed". Exit status 0 only when nothing failed.
# Usage: scripts/test.sh [group ...]   groups: build unit sim clang asan integration histories interop python extension tidy
set -uo pipefail
# Whoever runs this in the background may have Ctrl-C ignored, and what is started here would not hear of it either.
[ -n "${PERDURE_HEARS_SIGNALS:-}" ] || PERDURE_HEARS_SIGNALS=1 exec env --default-signal "$0" "$@"
cd "$(dirname "$0")/.."
mkdir -p build/log
passed=0 failed=0
groups=${*:-build tidy unit sim clang asan integration histories interop python extension}

# Adds up every "N passed, N failed" and pytest summary of a log; a group that counted nothing counts as one failure.
tally() { # group, exit status, log
  local p f
  p=$(grep -oE '(^|[ =,])[0-9]+ passed' "$3" | grep -oE '[0-9]+' | paste -sd+ | bc 2>/dev/null)
  f=$(grep -oE '(^|[ =,])[0-9]+ (failed|errors?)\b' "$3" | grep -oE '[0-9]+' | paste -sd+ | bc 2>/dev/null)
  p=${p:-0} f=${f:-0}
  if [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  if [ "$2" -eq 0 ] && [ "$f" -ne 0 ]; then echo "perdure: $1 says it failed but ended well" >&2; fi
  passed=$((passed + p)) failed=$((failed + f))
  printf '%-12s %5d passed %5d failed %5ds\n' "$1" "$p" "$f" "$SECONDS"
  if [ "$f" -ne 0 ]; then tail -60 "$3" >&2; fi
}

group() { # name, command...
  local name=$1 log=build/log/test-$1.log status
  shift
  SECONDS=0
  "$@" >"$log" 2>&1 </dev/null
  status=$?
  tally "$name" "$status" "$log"
}

unit() { # flavour: runs the unit tests of a build directory and shows what each printed
  scripts/build.sh "$1" || return 1
  local status=0
  meson test -C "build/$1" --suite unit --no-rebuild --print-errorlogs --num-processes 2 --timeout-multiplier 4 >"build/log/meson-$1.log" 2>&1 || status=1
  grep -E '^[0-9]+ passed, [0-9]+ failed' "build/$1/meson-logs/testlog.txt"
  if [ $status -ne 0 ]; then grep -vE '^ *[0-9]+/[0-9]+ .* OK ' "build/log/meson-$1.log" | tail -60; fi
  return $status
}

build_release() { scripts/build.sh release && echo "1 passed, 0 failed"; }
build_clang() { scripts/build.sh clang && echo "1 passed, 0 failed"; }
sim() { scripts/build.sh test src/sim/perdure-sim && build/test/src/sim/perdure-sim --seed 1 --runs 300 --wall 4; }
histories() {
  scripts/build.sh release || return 1
  "$(scripts/venv.sh official)" -m pytest -q --timeout 300 -p no:cacheprovider tests/histories
}
integration() {
  scripts/build.sh release || return 1
  "$(scripts/venv.sh official)" -m pytest -q -x --timeout 300 -p no:cacheprovider tests/integration
}
interop() { scripts/build.sh release && tests/interop/run.sh; }
python_package() { "$(scripts/wheel.sh --venv test)" -m pytest -q --timeout 300 -p no:cacheprovider python/tests; }

# The extension under ASan, and in a debug build of Python that counts references; the package's tests that press it hardest.
extension() {
  local status=0
  local -x PERDURE_CALLS=${PERDURE_CALLS:-400} CHECK_TIMEOUT=300 # one more reference a call shows in few calls; what is slow here is the count
  scripts/check_ext.sh asan python/tests/test_core_codec.py python/tests/test_core_connection.py python/tests/test_core_runtime.py python/tests/test_hooks.py python/tests/test_leaks.py -k "not memory" || status=1
  scripts/check_ext.sh refs python/tests/test_leaks.py -k references || status=1
  return $status
}

scripts/deps.sh test
for g in $groups; do
  case $g in
    build) group build build_release ;;
    unit) group unit unit test ;;
    sim) group sim sim ;;
    clang) group clang build_clang ;;
    asan) group asan unit asan ;;
    integration) group integration integration ;;
    histories) group histories histories ;;
    interop) group interop interop ;;
    python) group python python_package ;;
    extension) group extension extension ;;
    tidy) group tidy python3 scripts/tidy.py ;;
    *) echo "test.sh: no such group: $g" >&2; exit 2 ;;
  esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
