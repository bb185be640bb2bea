"""Packs the wheel: the Python modules, the extension, the libraries it needs and the server.

Everything compiled comes from a meson build directory (PERDURE_BUILD_DIR; made by scripts/wheel.sh). setuptools only
names and packs; the one extension it is told about is there to make it a platform wheel for every CPython from 3.10 on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# Not on every system, other than libssl and libcrypto, which come with every one that has this C library.
BUNDLED = ("libuv.", "libnghttp2.", "libsqlite3.", "libxxhash.", "libz.", "libzstd.")


def build_dir() -> Path:
    if "PERDURE_BUILD_DIR" in os.environ:
        return Path(os.environ["PERDURE_BUILD_DIR"])
    made = subprocess.run([ROOT / "scripts/wheel.sh", "--compile"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip())


def needed(binary: Path) -> dict[str, Path]:
    """The libraries of the system that a binary loads and that travel with it."""
    listed = subprocess.run(["ldd", binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    pairs = re.findall(r"^\s*(\S+) => (\S+)", listed, re.M)
    return {name: Path(path).resolve() for name, path in pairs if name.startswith(BUNDLED)}


class Compiled(build_ext):
    """Copies what meson built into the package."""

    def run(self) -> None:
        build, package = build_dir(), Path(self.build_lib) / "temporalio"
        server, extension = build / "src/server/perdure", build / "python/_core.abi3.so"
        for folder in ("_libs", "bin"):
            (package / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy2(extension, package / "_core.abi3.so")
        shutil.copy2(server, package / "bin/perdure")
        for name, path in {**needed(server), **needed(extension)}.items():
            shutil.copy2(path, package / "_libs" / name)
        for file in [package / "_core.abi3.so", package / "bin/perdure", *(package / "_libs").iterdir()]:
            subprocess.run(["strip", "--strip-unneeded", file], check=True)


class Modules(build_py):
    """Takes the modules as they are, without the traces of running from a checkout."""

    def run(self) -> None:
        super().run()
        for stale in Path(self.build_lib).rglob("*.so"):
            stale.unlink()


version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())
assert version is not None
setup(
    version=version.group(1),
    packages=find_packages(include=["temporalio", "temporalio.*"]),
    package_data={"temporalio": ["py.typed", "*.pyi"], "temporalio.api": ["**/*.pyi", "*.pyi"]},
    ext_modules=[Extension("temporalio._core", sources=[], py_limited_api=True)],
    cmdclass={"build_ext": Compiled, "build_py": Modules},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
