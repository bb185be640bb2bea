#!/usr/bin/env bash
# Our Python package against the official server: the tutorial, scenarios of tests/integration, and the histories of tests/core,
# which then replay in the official package (and the official package's in ours, see python/tests/test_recorded_histories.py).
# The server is the one of the official command line (PERDURE_TEMPORAL, else the one tests/interop/run.sh builds).
set -euo pipefail
cd "$(dirname "$0")/../../.."
. scripts/processes.sh
temporal=${PERDURE_TEMPORAL:-$PWD/build/interop/bin/temporal}
if [ ! -x "$temporal" ]; then
  echo "perdure: no official server here: our package is not run against it"
  exit 0
fi
ours=$(scripts/wheel.sh --venv test)
official=$(scripts/venv.sh official)
dir=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
address=127.0.0.1:$port
server="" worker=""
stop() {
  for process in $worker $server; do end "$process"; done
  rm -rf "$dir"
}
trap stop EXIT
HOME=$dir "$temporal" server start-dev --headless --ip 127.0.0.1 --port "$port" --search-attribute CustomKeywordField=Keyword --log-level error >"$dir/server.log" 2>&1 &
server=$!
for _ in $(seq 600); do
  if HOME=$dir "$temporal" operator cluster health --address "$address" >/dev/null 2>&1; then break; fi
  kill -0 "$server" 2>/dev/null || { cat "$dir/server.log"; echo "0 passed, 1 failed"; exit 1; }
  sleep 0.1
done
status=0

# The tutorial, with another address in its files
sed "s/localhost:7233/$address/" examples/hello/run_worker.py >"$dir/run_worker.py"
sed "s/localhost:7233/$address/" examples/hello/run_workflow.py >"$dir/run_workflow.py"
(cd "$dir" && exec "$ours" run_worker.py) >"$dir/worker.log" 2>&1 &
worker=$!
said=$(cd "$dir" && timeout 60 "$ours" run_workflow.py 2>&1 || true)
end "$worker"
worker=""
if [ "$said" = "Result: Hello, Temporal!" ]; then echo "tutorial: 1 passed, 0 failed"; else echo "$said"; cat "$dir/worker.log"; echo "tutorial: 0 passed, 1 failed"; status=1; fi

PERDURE_ADDRESS=$address "$ours" -m pytest -q --timeout 120 -p no:cacheprovider tests/integration/test_basics.py tests/integration/test_updates.py || status=1

# What our worker wrote on the official server replays in the official package, and in ours
mkdir -p "$dir/histories"
(cd tests/core && MIXES=4 timeout 300 "$ours" record_histories.py "$address" "$dir/histories") >"$dir/record.log" 2>&1 || { tail -20 "$dir/record.log"; echo "recording: 0 passed, 1 failed"; status=1; }
for python in "$official" "$ours"; do (cd tests/core && "$python" replay_histories.py "$dir/histories") || status=1; done
exit $status
