#!/usr/bin/env bash
# The official command line (and SDKs of other languages) against our server, as far as this machine has their toolchains: the
# programs come by name from their own registries. Says what it leaves out. The last line is "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0
bin=$PWD/build/interop/bin
if command -v go >/dev/null; then
  if [ ! -x "$bin/temporal" ]; then
    echo "perdure: building the official command line (once, some minutes)"
    mkdir -p "$bin"
    GOBIN=$bin GOFLAGS=-buildvcs=false go install github.com/temporalio/cli/cmd/temporal@v1.5.1 >build/log/interop-go.log 2>&1 || { tail -20 build/log/interop-go.log; exit 1; }
  fi
  PERDURE_TEMPORAL=$bin/temporal "$(scripts/venv.sh official)" -m pytest -q --timeout 300 -p no:cacheprovider tests/interop || status=1
else
  echo "perdure: no Go toolchain here: the official command line is not run, ours is"
  "$(scripts/venv.sh official)" -m pytest -q --timeout 300 -p no:cacheprovider --ignore tests/interop/test_official_cli.py tests/interop || status=1
fi
for folder in tests/interop/*/; do
  [ ! -x "$folder/run.sh" ] || "$folder/run.sh" || status=1
done
exit $status
