"""The server fixture of tests/integration, for the official command line."""

import importlib.util
import pathlib
import sys

_folder = pathlib.Path(__file__).resolve().parent.parent / "integration"
sys.path.insert(0, str(_folder))
_spec = importlib.util.spec_from_file_location("integration_conftest", _folder / "conftest.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

server, client, queue = _module.server, _module.client, _module.queue
