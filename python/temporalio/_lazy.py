"""What keeps ``import temporalio.client`` fast: work put off until somebody looks.

* :py:func:`dataclass` is the standard decorator, run when the class is first instantiated or inspected. The standard
  one compiles source text for each class, 0.3 ms apiece, and this package has some two hundred of them.
* :py:func:`lazy_attributes` gives a module attributes that import their home on first use (PEP 562).

Type checkers never see this module: importers take the real decorator from the standard library under TYPE_CHECKING.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_T = TypeVar("_T")

_finishing = threading.RLock()


class _Finisher:
    """Class attribute that stands for one the finished dataclass has; reading it finishes the class."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        # The stub may have been inherited: finish the class that holds it, which then has the real attribute.
        for cls in owner.__mro__:
            if cls.__dict__.get(self._name) is self:
                _finish(cls)
                break
        # AttributeError is the right answer where the finished class has no such attribute (__signature__).
        return getattr(owner if instance is None else instance, self._name)


def _stub(cls: type, name: str) -> Callable[..., Any]:
    def stub(self: Any, *args: Any, **kwargs: Any) -> Any:
        # A subclass may have called this by name or through super(), so it is this class's method that must run.
        _finish(cls)
        return getattr(cls, name)(self, *args, **kwargs)

    stub.__name__ = name
    stub.__qualname__ = f"{cls.__qualname__}.{name}"
    return stub


def _freeze(cls: Any) -> None:
    def __setattr__(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in cls.__dataclass_fields__:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in cls.__dataclass_fields__:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    cls.__setattr__ = __setattr__
    cls.__delattr__ = __delattr__


def _finish(cls: Any) -> None:
    """Gives the class what the standard decorator makes, from a twin: at no moment is the class without a method."""
    with _finishing:
        pending = cls.__dict__.get("__perdure_pending__")
        if pending is None:
            return
        stubs, options = pending
        left_out = {*stubs, "__perdure_pending__", "__dict__", "__weakref__", "__setattr__", "__delattr__"}
        twin: Any = type(cls)(
            cls.__name__, cls.__bases__, {k: v for k, v in cls.__dict__.items() if k not in left_out}
        )
        twin.__qualname__ = cls.__qualname__
        dataclasses.dataclass(**options)(twin)
        made = twin.__dict__
        del cls.__signature__
        for name in ("__dataclass_params__", "__dataclass_fields__", "__match_args__", "__replace__", *stubs):
            if name in made and name != "__signature__":
                setattr(cls, name, made[name])
        for name, value in list(cls.__dict__.items()):
            # What field() left in the class gives way to the default, or to nothing.
            if isinstance(value, dataclasses.Field):
                if name in made:
                    setattr(cls, name, made[name])
                else:
                    delattr(cls, name)
        del cls.__perdure_pending__


def dataclass(cls: Any = None, /, **options: Any) -> Any:
    """As ``dataclasses.dataclass``, but does its work at the first instance or inspection. Slots are not supported."""
    if cls is None:
        return lambda c: dataclass(c, **options)
    own = cls.__dict__
    stubs: dict[str, Any] = {}
    if "__init__" not in own and options.get("init", True):
        stubs["__init__"] = _stub(cls, "__init__")
    if "__repr__" not in own and options.get("repr", True):
        stubs["__repr__"] = _stub(cls, "__repr__")
    frozen = options.get("frozen", False)
    if "__eq__" not in own and options.get("eq", True):
        stubs["__eq__"] = _stub(cls, "__eq__")
        if "__hash__" not in own:
            stubs["__hash__"] = _stub(cls, "__hash__") if frozen else None
    if frozen:
        _freeze(cls)
    for name in ("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__signature__"):
        stubs[name] = _Finisher(name)
    for name, stub in stubs.items():
        setattr(cls, name, stub)
    cls.__perdure_pending__ = (stubs, options)
    return cls


def instance(cls: type[_T], **fields: Any) -> _T:
    """An instance of one of these classes with these fields, made without finishing the class.

    For constants made at import. Nothing is checked and nothing filled in: ``__post_init__`` does not run.
    """
    made = object.__new__(cls)
    made.__dict__.update(fields)
    return made


def lazy_attributes(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes a module's ``__getattr__``: each name in ``homes`` is taken from that submodule when first asked for.

    A home that starts with a dot is relative to ``module``; a value of ``"pkg:name"`` renames.
    """

    def __getattr__(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        path, _, original = home.partition(":")
        value = getattr(importlib.import_module(path, module), original or name)
        setattr(sys.modules[module], name, value)
        return value

    return __getattr__
