#!/bin/sh
# Builds the extension and puts it into the package's folder, for running from a checkout.
# Usage: python/build_ext.sh [BUILD_DIR]   (build/test)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=${1:-$root/build/test}
[ -f "$build/build.ninja" ] || meson setup "$build" "$root" >/dev/null
ninja -C "$build" python/_core.abi3.so >/dev/null || exec ninja -C "$build" python/_core.abi3.so
# Moved into place, because a running Python may have the old one mapped.
cp "$build/python/_core.abi3.so" "$root/python/temporalio/_core.abi3.so.new"
mv "$root/python/temporalio/_core.abi3.so.new" "$root/python/temporalio/_core.abi3.so"
