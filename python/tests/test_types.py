"""Type checkers agree with the tutorial and with the programs of typed/, wrong calls in them included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TYPED, TUTORIAL = HERE / "typed", HERE.parent.parent / "examples/hello"


def check(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=TYPED, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    common = ["--warn-unused-ignores", "--cache-dir", str(tmp_path)]
    check("mypy", "--strict", *common, str(TYPED))
    check("mypy", "--check-untyped-defs", *common, str(TUTORIAL))


def test_pyright_finds_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    config = tmp_path / "pyrightconfig.json"
    folders = [str(TYPED), str(TUTORIAL)]
    options = {"typeCheckingMode": "standard", "reportUnnecessaryTypeIgnoreComment": "error", "extraPaths": folders}
    config.write_text(json.dumps({"include": folders, **options}))
    check("basedpyright", "--project", str(config), "--pythonpath", sys.executable)
