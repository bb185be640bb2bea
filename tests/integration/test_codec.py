"""Our protobuf and JSON codecs beside the official runtime, on random messages of every type of the API."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PERDURE_BUILD_DIR", ROOT / "build" / "release"))


@pytest.mark.parametrize("seed", [1, 2])
def test_every_type_agrees_with_the_official_runtime(seed: int) -> None:
    command = [sys.executable, ROOT / "src/proto/codec_differential.py", BUILD / "src/proto/codec_driver", str(seed), "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
