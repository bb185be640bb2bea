#!/usr/bin/env bash
# The tutorial, end to end: our server on a file, the tutorial's worker, the tutorial's workflow; first with the official
# Python package, then with ours. Each run prints "Result: Hello, Temporal!".
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/processes.sh
scripts/build.sh release
official=$(scripts/venv.sh official)

dir=$(mktemp -d)
server="" worker=""
stop() {
  for process in $worker $server; do end "$process"; done
  rm -rf "$dir"
}
trap stop EXIT

if (exec 3<>/dev/tcp/127.0.0.1/7233) 2>/dev/null; then
  echo "perdure: something answers at localhost:7233 already; the tutorial needs that port. Stop it and try again." >&2
  exit 1
fi
echo "perdure: starting the server on $dir/hello.db"
build/perdure server start-dev --headless --db-filename "$dir/hello.db" >"$dir/server.log" 2>&1 &
server=$!
for _ in $(seq 200); do
  if build/perdure operator cluster health --address 127.0.0.1:7233 >/dev/null 2>&1; then break; fi
  kill -0 "$server" 2>/dev/null || { cat "$dir/server.log" >&2; exit 1; }
  sleep 0.05
done

# The official package ends some of its scripts by a signal, after their result was printed; ours may not.
ended_late() { [ "$2" -ge 128 ] && [ "$1" = "$official" ] && grep -qx "Result: Hello, Temporal!" "$dir/said"; }

run() { # label, python
  local status=0
  echo "perdure: running the tutorial with $1"
  (cd examples/hello && exec "$2" -u run_worker.py) >"$dir/worker.log" 2>&1 &
  worker=$!
  (cd examples/hello && timeout 60 "$2" run_workflow.py) 2>"$dir/complaints" | tee "$dir/said" || status=$?
  if ended_late "$2" "$status"; then
    echo "perdure: $1 ended by signal $((status - 128)) after its result"
  elif [ "$status" -ne 0 ]; then
    cat "$dir/complaints" >&2
    echo "perdure: the workflow did not finish; server and worker said:" >&2
    cat "$dir/server.log" "$dir/worker.log" >&2
    exit 1
  fi
  end "$worker"
  worker=""
}
run "the official Python package" "$official"
if [ -x scripts/wheel.sh ]; then
  ours=$(scripts/wheel.sh --venv test)
  run "Perdure's own Python package" "$ours"
fi
