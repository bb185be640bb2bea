"""Where libraries outside of a sandbox look for the module of a class that was made inside.

``typing``, ``inspect`` and the libraries that build on them resolve annotations written as text in
``sys.modules[cls.__module__]``. That is the module outside, whose classes of the same names are others than those of the
copy the class belongs to. So the ``sys`` that these modules see has ``modules`` of a kind that shows the copies of the
sandbox whose code the thread runs, and is the real one for every other thread.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

from ._guards import GuardedModule, state
from ._sandbox import MAIN

# Those that look; ones that are not loaded, or that an installed version does not have, are passed over
_READERS = (
    "annotationlib",
    "dataclasses",
    "inspect",
    "nexusrpc._util",
    "pydantic._internal._generics",
    "pydantic._internal._namespace_utils",
    "pydantic._internal._typing_extra",
    "pydantic.v1.generics",
    "pydantic.v1.typing",
    "typing",
    "typing_extensions",
)


class _Modules:
    """``sys.modules``, with the copies of this thread's sandbox in place of what they are copies of."""

    def get(self, name: Any, default: Any = None) -> Any:
        sandbox = state.sandbox
        if sandbox is not None:
            found = sandbox.modules.get(name)
            if found is not None and not isinstance(found, GuardedModule):
                return found
        # A thread outside of sandboxes may be the first to look into a class
        return sys.modules.get("__main__" if name == MAIN else name, default)

    def __getitem__(self, name: Any) -> Any:
        found = self.get(name, self)
        if found is self:
            raise KeyError(name)
        return found

    def __contains__(self, name: Any) -> bool:
        return self.get(name, self) is not self

    def __setitem__(self, name: str, module: Any) -> None:
        sys.modules[name] = module

    def __iter__(self) -> Iterator[str]:
        return iter(sys.modules)

    def __len__(self) -> int:
        return len(sys.modules)

    def __getattr__(self, member: str) -> Any:
        return getattr(sys.modules, member)


class _Sys(types.ModuleType):
    """``sys`` with other ``modules``."""

    def __getattr__(self, member: str) -> Any:
        return getattr(sys, member)


_sys = _Sys("sys")
_sys.modules = _Modules()  # type: ignore[attr-defined]


def show_copies() -> None:
    """Lets the modules that look for others see the copies; those loaded since the last call, too."""
    for name in _READERS:
        module = sys.modules.get(name)
        if module is not None and getattr(module, "sys", None) is sys:
            module.sys = _sys  # type: ignore[attr-defined]
