#!/usr/bin/env bash
# Each fuzz target for SECONDS_EACH seconds (60) under ASan and UBSan, from its corpus beside the source.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh build fuzz
scripts/build.sh fuzz
found=0 ran=0
for target in build/fuzz/src/*/*_fuzz; do
  [ -x "$target" ] || continue
  name=$(basename "$target")
  folder=$(basename "$(dirname "$target")")
  corpus=build/fuzz-corpus/$name
  mkdir -p "$corpus"
  seeds=src/$folder/${name}_corpus
  [ -d "$seeds" ] || seeds=""
  echo "perdure: fuzzing $folder/$name for ${SECONDS_EACH:-60} s"
  ran=$((ran + 1))
  if ! "$target" -max_total_time="${SECONDS_EACH:-60}" -rss_limit_mb=4096 -artifact_prefix="$corpus/crash-" "$corpus" $seeds >"build/log/$name.log" 2>&1; then
    tail -30 "build/log/$name.log" >&2
    found=$((found + 1))
  else
    tail -1 "build/log/$name.log"
  fi
done
[ "$ran" -gt 0 ] || { echo "perdure: there is no fuzz target" >&2; exit 1; }
echo "$((ran - found)) passed, $found failed"
[ "$found" -eq 0 ]
