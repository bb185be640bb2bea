#!/usr/bin/env bash
# Installs the Debian packages a group of work needs, those that are missing only, with a line of progress.
# Usage: scripts/deps.sh build|test|fuzz|bench ...
set -euo pipefail
cd "$(dirname "$0")/.."

build="gcc libc6-dev meson ninja-build pkg-config python3 python3-venv python3-pip python3-dev protobuf-compiler libnghttp2-dev libuv1-dev libssl-dev libsqlite3-dev zlib1g-dev libxxhash-dev tzdata ca-certificates"
test="bc clang libclang-rt-14-dev sqlite3 openssl procps zsh fish"
fuzz="clang libclang-rt-14-dev"
bench="nghttp2-client"

wanted=""
for group in "$@"; do
  case $group in
    build) wanted+=" $build" ;; test) wanted+=" $test" ;; fuzz) wanted+=" $fuzz" ;; bench) wanted+=" $bench" ;;
    *) echo "deps.sh: no such group: $group" >&2; exit 2 ;;
  esac
done
missing=""
for package in $wanted; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=" $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "perdure: these packages are missing and there is no sudo to install them:$missing" >&2; exit 1; }
  as_root=sudo
fi
mkdir -p build/log
echo "perdure: installing$missing"
if ! { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing; } >build/log/apt.log 2>&1; then
  tail -20 build/log/apt.log >&2
  echo "perdure: apt-get could not install them; see build/log/apt.log" >&2
  exit 1
fi
