#!/usr/bin/env bash
# Workers of the official TypeScript SDK against our server: once with the SDK's usual cache of workflows, once with a cache of two, so
# that nearly every workflow task is replayed from the first event. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/../../.."
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "perdure: no Node.js with npm here: the TypeScript SDK's workers are left out"
  exit 0
fi
if [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
  echo "perdure: the TypeScript SDK needs Node.js 20 and this is $(node --version): its workers are left out"
  exit 0
fi
here=tests/interop/typescript out=$PWD/build/interop/typescript
mkdir -p "$out"
fail() { tail -40 "$1"; echo "0 passed, 1 failed"; exit 1; }

# Everything made is below build/: the package files and sources are copied there. What did not change is kept.
if ! cmp -s $here/package-lock.json "$out/installed"; then
  echo "perdure: installing the TypeScript SDK from the npm registry (once, half a minute)"
  rm -f "$out/installed"
  cp $here/package.json $here/package-lock.json $here/.npmrc "$out/"
  (cd "$out" && npm ci --ignore-scripts >npm.log 2>&1) || fail "$out/npm.log"
  cp $here/package-lock.json "$out/installed"
fi
sum=$(cat $here/package-lock.json $here/tsconfig.json $here/src/* | sha256sum)
if [ "$(cat "$out/built" 2>/dev/null)" != "$sum" ]; then
  echo "perdure: compiling the workers of the TypeScript SDK"
  rm -rf "$out/src" "$out/lib" "$out/built"
  cp -r $here/src $here/tsconfig.json "$out/"
  (cd "$out" && node_modules/.bin/tsc && node lib/bundle.js) >"$out/build.log" 2>&1 || fail "$out/build.log"
  echo "$sum" >"$out/built"
fi

. tests/interop/serve.sh
serve typescript || { echo "0 passed, 1 failed"; exit 1; }
passed=0 failed=0
for cache in usual 2; do
  log=$out/cache-$cache.log
  (cd "$out" && PERDURE_CACHE=$cache node --test-reporter=spec --test-reporter-destination=stdout "$@" lib/main.test.js) >"$log" 2>&1
  status=$?
  p=$(sed -n 's/^ℹ pass //p' "$log") f=$(sed -n 's/^ℹ fail //p' "$log")
  p=${p:-0} f=${f:-0}
  [ $status -eq 0 ] || [ "$f" -ne 0 ] || f=1
  echo "perdure: TypeScript SDK, cache $cache: $p as wanted, $f not"
  [ "$f" -eq 0 ] || grep -v ' ✔ ' "$log" | tail -120
  passed=$((passed + p)) failed=$((failed + f))
done
check_server typescript || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
