#!/usr/bin/env bash
# What the server costs, measured on this machine: start-up, size, memory, throughput, latency and CPU by scenario, on a SQLite file with
# every commit synced. OFFICIAL=path of the official `temporal` program puts the same load on it in the same run.
# Last, lists over a million workflows (BENCH_ROWS=n takes another number). Figures of one run compare; figures of different runs do not.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh build bench
scripts/build.sh release src/server/perdure bench/perdure-load bench/visibility_bench
ln -sf release/src/server/perdure build/perdure
exec python3 scripts/bench.py "$@"
