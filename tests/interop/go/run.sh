#!/usr/bin/env bash
# Workers of the official Go SDK against our server: once with the SDK's usual cache of workflows, once with a cache of one, so that
# nearly every workflow task is replayed from the first event. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/../../.."
if ! command -v go >/dev/null; then
  echo "perdure: no Go toolchain here: the Go SDK's workers are left out"
  exit 0
fi
needs=$(awk '$1 == "go" { print $2 }' tests/interop/go/go.mod)
has=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')
if [ "$(printf '%s\n' "$needs" "$has" | sort -V | head -1)" != "$needs" ]; then
  echo "perdure: the Go SDK needs Go $needs and this is $has: its workers are left out"
  exit 0
fi
out=$PWD/build/interop/go
mkdir -p "$out"
echo "perdure: building the workers of the Go SDK"
if ! (cd tests/interop/go && GOFLAGS="-buildvcs=false -mod=readonly" go test -c -o "$out/workers.test" . >"$out/build.log" 2>&1); then
  tail -30 "$out/build.log"
  echo "0 passed, 1 failed"
  exit 1
fi
. tests/interop/serve.sh
serve go || { echo "0 passed, 1 failed"; exit 1; }
passed=0 failed=0
for cache in usual 1; do
  log=$out/cache-$cache.log
  PERDURE_CACHE=$cache "$out/workers.test" -test.v -test.parallel 16 -test.timeout 10m "$@" >"$log" 2>&1
  status=$?
  p=$(grep -c '^--- PASS' "$log") f=$(grep -c '^--- FAIL' "$log")
  [ $status -eq 0 ] || [ "$f" -ne 0 ] || f=1
  echo "perdure: Go SDK, cache $cache: $p as wanted, $f not"
  [ "$f" -eq 0 ] || grep -vE '^(=== |--- PASS|PASS)' "$log" | tail -80
  passed=$((passed + p)) failed=$((failed + f))
done
check_server go || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
