#!/bin/sh
# Prints the folder with the API's interface files, fetching them first if need be. They never enter the repository: they
# come out of the source archive of a pinned package, asked for by name and checked against its hash by pip, into a cache
# that later builds use without a network (XDG_CACHE_HOME shares it between clones).
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
pin=$here/api-requirements.txt
version=$(sed -n 's/^temporalio==\([0-9.]*\).*/\1/p' "$pin")
if [ -n "${XDG_CACHE_HOME:-}" ]; then cache=$XDG_CACHE_HOME/perdure/api; else cache=$here/../.cache/api; fi
out=$cache/$version
parts='api_upstream api_cloud_upstream testsrv_upstream google grpc protoc-gen-openapiv2'

if [ ! -f "$out/complete" ] || [ ! -d "$out/api_cloud_upstream" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # pip asks every source archive for its metadata, for which this one wants its build tool and a compiler. The files
    # inside are all that is wanted here, so a stand-in of the tool's name answers with a name and a version.
    mkdir "$work/tool"
    cat > "$work/tool/maturin.py" <<END
import os

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name = "temporalio-$version.dist-info"
    os.mkdir(os.path.join(folder, name))
    with open(os.path.join(folder, name, "METADATA"), "w") as out:
        out.write("Metadata-Version: 2.1\nName: temporalio\nVersion: $version\n")
    return name
END
    PYTHONPATH=$work/tool python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary temporalio \
        --no-build-isolation --require-hashes --dest "$work" -r "$pin" >&2
    tar -xzf "$work/temporalio-$version.tar.gz" -C "$work"
    protos=$(find "$work" -type d -path '*/protos/protos' | head -n 1)
    for part in api_upstream api_cloud_upstream testsrv_upstream google grpc protoc-gen-openapiv2; do
        (cd "$protos" && find "$part" -name '*.proto') | while read -r file; do
            mkdir -p "$work/out/$(dirname "$file")"
            cp "$protos/$file" "$work/out/$file"
        done
    done
    echo "$parts" > "$work/out/complete"
    rm -rf "$out"
    mv "$work/out" "$out"
fi
cd "$out" && pwd
