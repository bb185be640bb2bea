"""Type hints where code exists in several copies: a workflow sandbox executes modules again for each run.

Annotations written as text mean what they mean in the copy of the module the class or function belongs to, which
``sys.modules`` does not know. And what is derived from a copy must not outlive it, so caches are split: hints that mean
the same in every copy go to the process's cache, others to that of the run.
"""

from __future__ import annotations

import inspect
import sys
import threading
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any, Optional


class _Local(threading.local):
    """What the sandbox whose code this thread runs keeps for it; ``None`` outside of sandboxes."""

    decoders: Optional[dict[int, Any]] = None


local = _Local()

# The module copy each class of a sandbox was defined in. Weak both ways: the module holds the class.
class_modules: weakref.WeakKeyDictionary[type, weakref.ref[types.ModuleType]] = weakref.WeakKeyDictionary()

# Hints of functions by their code, which all copies share, as far as they mean the same in each
function_hints: dict[types.CodeType, tuple[Any, Any]] = {}
_FUNCTION_HINTS_MAX = 10_000


def class_hints(cls: Any) -> dict[str, Any]:
    """As ``typing.get_type_hints`` of a class, but each base is resolved where it was defined."""
    bases = getattr(cls, "__mro__", ())
    if not class_modules or not any(base in class_modules for base in bases if isinstance(base, type)):
        return typing.get_type_hints(cls)
    hints: dict[str, Any] = {}
    for base in reversed(bases):
        # Those of its own body; from 3.14 on they are evaluated when first asked for
        annotations = inspect.get_annotations(base)
        if not annotations:
            continue
        reference = class_modules.get(base)
        module = reference() if reference is not None else sys.modules.get(base.__module__)
        # Of a class: nowhere else is ClassVar an annotation
        holder = type(base.__name__, (), {"__annotations__": annotations})
        names = {p.__name__: p for p in getattr(base, "__type_params__", ())} | dict(vars(base))
        hints.update(typing.get_type_hints(holder, getattr(module, "__dict__", {}), names))
    return hints


def is_shared(hint: Any) -> bool:
    """Whether a hint means the same in every copy: its classes are those that the import system knows."""
    if hint is None or hint is Any or isinstance(hint, (str, bytes, int, typing.TypeVar)):
        return True
    arguments = typing.get_args(hint)
    if arguments:
        origin = typing.get_origin(hint)
        if origin is typing.Literal:
            return True
        return is_shared(origin) and all(
            all(is_shared(a) for a in argument) if isinstance(argument, list) else is_shared(argument)
            for argument in arguments
        )
    if not isinstance(hint, type):
        return hint is ... or getattr(hint, "__module__", None) in ("typing", "typing_extensions")
    if hint in class_modules:
        return False
    found: Any = sys.modules.get(hint.__module__)
    for part in hint.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is hint


def hints_of_function(
    function: Any, resolve: Callable[[Any], tuple[Optional[list[type]], Optional[type]]]
) -> tuple[Optional[list[type]], Optional[type]]:
    """What ``resolve`` finds out about a function, remembered for its other copies while in a sandbox."""
    if local.decoders is None:
        return resolve(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return resolve(function)
    known = function_hints.get(code)
    if known is not None:
        parameters, result = known
        return (list(parameters) if parameters is not None else None), result
    parameters, result = resolve(function)
    if is_shared(result) and all(is_shared(p) for p in parameters or ()):
        if len(function_hints) >= _FUNCTION_HINTS_MAX:
            function_hints.clear()
        function_hints[code] = (tuple(parameters) if parameters is not None else None, result)
    return parameters, result
