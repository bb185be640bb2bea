#!/usr/bin/env bash
# The Python package's own tests on an extension that looks closer:
#   scripts/check_ext.sh asan [pytest arguments]   under AddressSanitizer and UndefinedBehaviorSanitizer
#   scripts/check_ext.sh refs [pytest arguments]   in a debug build of Python, which counts every reference
# Both run from a copy of the package below build/; the server is the one of the release build.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1; shift
export PERDURE_SERVER=$PWD/build/perdure

# Debian's debug build of its Python, unpacked beside the system: installing it would replace the system's own Python.
debug_python() {
  local dir=build/python-debug version
  version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if [ ! -x "$dir/usr/bin/python${version}d" ]; then
    echo "perdure: fetching a debug build of Python" >&2
    mkdir -p "$dir/deb"
    (cd "$dir/deb" && apt-get download "python$version-dbg" "libpython$version-dbg") >build/log/python-debug.log 2>&1 ||
      { tail -5 build/log/python-debug.log >&2; exit 1; }
    for deb in "$dir"/deb/*.deb; do dpkg -x "$deb" "$dir"; done
    rm -rf "$dir/deb"
  fi
  PYTHON=$PWD/$dir/usr/bin/python${version}d
  export PYTHONHOME=/usr PYTHONPATH_EXTRA=$PWD/$dir/usr/lib/python$version/lib-dynload
}

scripts/build.sh release
site=$("$(scripts/venv.sh test)" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
PYTHONPATH_EXTRA=""
case $kind in
  asan)
    scripts/build.sh asan python/_core.abi3.so
    lib=build/asan
    PYTHON=$(scripts/venv.sh test)
    ;;
  refs)
    debug_python
    lib=build/refs
    if [ ! -f $lib/build.ninja ]; then
      PYTHONHOME="" meson setup $lib -Doptimization=1 -Ddebug=true -Dslow_checks=true -Dpython_debug=true >build/log/build-refs.log 2>&1 ||
        { tail -20 build/log/build-refs.log >&2; exit 1; }
    fi
    PYTHONHOME="" ninja -C $lib python/_core.abi3.so >build/log/build-refs.log 2>&1 || { tail -30 build/log/build-refs.log >&2; exit 1; }
    ;;
  *) echo "check_ext.sh: no such check: $kind" >&2; exit 2 ;;
esac

rm -rf "build/check-$kind"
mkdir -p "build/check-$kind"
cp -r python/temporalio "build/check-$kind/temporalio"
rm -f "build/check-$kind/temporalio/"*.so
cp $lib/python/_core.abi3.so "build/check-$kind/temporalio/"
export PYTHONPATH=$PWD/build/check-$kind${PYTHONPATH_EXTRA:+:$PYTHONPATH_EXTRA}:$site
if [ "$kind" = asan ]; then
  # Python's own allocator hides what is read after it was freed; what is not freed at the end is not looked at here.
  export PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:handle_segv=1:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
  export LD_PRELOAD
fi
exec "$PYTHON" -m pytest -q --timeout "${CHECK_TIMEOUT:-120}" -p no:cacheprovider -p pytest_asyncio "$@"
