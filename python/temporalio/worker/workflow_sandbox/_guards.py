"""Guards: what sandboxed code gets in place of restricted modules, classes, functions and objects.

A guard is made once per rule and shared by all runs, because whether it refuses depends on the thread: what the thread is
doing (loading a workflow, running one, or nothing of the kind) is in ``state``. A guarded module holds what it hands out
in its own dict after the first time, so that code in a sandbox is as fast as outside; instances of guarded classes are
instances of the real ones.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any, Optional

from temporalio.workflow import unsafe

from ._restrictions import RestrictedWorkflowAccessError, SandboxMatcher

# Values of these types cannot do anything, so they are handed out as they are
_HARMLESS = (str, bytes, int, float, bool, complex, type(None), frozenset, range)


class _State(threading.local):
    """What this thread does for a sandbox."""

    sandbox: Any = None  # the Sandbox whose code it runs
    is_runtime = False  # running, not loading


state = _State()


def refuse(name: str, matcher: SandboxMatcher, *, only_runtime: bool, leaf: Optional[SandboxMatcher] = None) -> None:
    """Raises or warns, if this thread is in a sandbox and the rule holds now."""
    if state.sandbox is None or (only_runtime and not state.is_runtime) or unsafe.is_sandbox_unrestricted():
        return
    rule = leaf or matcher
    if rule.leaf_warning is not None:
        warnings.warn(rule.leaf_message or RestrictedWorkflowAccessError.default_message(name), rule.leaf_warning, 3)
        return
    raise RestrictedWorkflowAccessError(name, override_message=rule.leaf_message)


def guard(value: Any, name: str, matcher: SandboxMatcher, parent_only_runtime: bool) -> Any:
    """What stands for a value about whose members there are rules."""
    only_runtime = parent_only_runtime or matcher.only_runtime
    if isinstance(value, types.ModuleType):
        return GuardedModule(value, name, matcher, only_runtime)
    if isinstance(value, type):
        return _guard_class(value, name, matcher, only_runtime)
    if callable(value) and not _is_object(value):
        return _guard_callable(value, name, matcher, only_runtime)
    return ObjectGuard(value, name, matcher, only_runtime)


def guard_used(value: Any, name: str, matcher: SandboxMatcher, only_runtime: bool) -> Any:
    """What stands for a value that may be had but not used."""
    if isinstance(value, _HARMLESS):
        return value
    everything = SandboxMatcher(
        use={"*"},
        children={"__call__": SandboxMatcher(match_self=True, leaf_message=matcher.leaf_message)},
        only_runtime=only_runtime,
        leaf_message=matcher.leaf_message,
    )
    if isinstance(value, types.ModuleType):
        return GuardedModule(value, name, everything, only_runtime)
    if isinstance(value, type):
        if issubclass(value, BaseException):
            return value  # wanted for except clauses and harmless
        return _guard_class(value, name, everything, only_runtime)
    if callable(value) and not _is_object(value):
        return _guard_callable(value, name, everything, only_runtime)
    everything = SandboxMatcher(access={"*"}, only_runtime=only_runtime, leaf_message=matcher.leaf_message)
    return ObjectGuard(value, name, everything, only_runtime)


def _is_object(value: Any) -> bool:
    """Whether a callable is more than a function: an instance of a class of its own."""
    return not isinstance(
        value,
        (
            types.FunctionType,
            types.BuiltinFunctionType,
            types.MethodType,
            types.MethodWrapperType,
            types.MethodDescriptorType,
            types.WrapperDescriptorType,
            functools.partial,
        ),
    ) and not hasattr(value, "__wrapped__")


def guard_member(holder: Any, member: str, name: str, matcher: SandboxMatcher, only_runtime: bool) -> tuple[Any, bool]:
    """A member as a guard hands it out, and whether it may be kept. Raises where it must not be accessed."""
    full_name = f"{name}.{member}"
    child = matcher.children.get(member)
    if matcher._refuses_access(member):
        refuse(full_name, matcher, only_runtime=only_runtime)
        return getattr(holder, member), False
    if child is not None and child.match_self:
        refuse(full_name, child, only_runtime=only_runtime or child.only_runtime)
        return getattr(holder, member), False
    value = getattr(holder, member)
    if matcher._refuses_use(member):
        return guard_used(value, full_name, matcher, only_runtime), True
    if child is not None:
        return guard(value, full_name, child, only_runtime), True
    return value, True


class GuardedModule(types.ModuleType):
    """A module with rules about its members."""

    def __init__(self, module: types.ModuleType, name: str, matcher: SandboxMatcher, only_runtime: bool) -> None:
        super().__init__(module.__name__, module.__doc__)
        own = self.__dict__
        own["__temporal_guarded_object__"] = module
        own["_GuardedModule__rule"] = (name, matcher, only_runtime)
        for special in ("__spec__", "__loader__", "__package__", "__file__", "__path__", "__all__"):
            if special in module.__dict__:
                own[special] = module.__dict__[special]

    def __getattr__(self, member: str) -> Any:
        own = self.__dict__
        name, matcher, only_runtime = own["_GuardedModule__rule"]
        value, is_kept = guard_member(own["__temporal_guarded_object__"], member, name, matcher, only_runtime)
        if is_kept:
            own[member] = value
        return value

    def __setattr__(self, member: str, value: Any) -> None:
        own = self.__dict__
        name, matcher, only_runtime = own["_GuardedModule__rule"]
        refuse(f"{name}.{member}", matcher, only_runtime=only_runtime)
        setattr(own["__temporal_guarded_object__"], member, value)
        own.pop(member, None)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["__temporal_guarded_object__"])


def _guard_callable(
    value: Callable[..., Any], name: str, matcher: SandboxMatcher, only_runtime: bool
) -> Callable[..., Any]:
    call = matcher.children.get("__call__")
    full_name = f"{name}.__call__"
    is_refused = matcher._refuses_use("__call__") or (call is not None and call.match_self)
    only_runtime = only_runtime or (call is not None and call.only_runtime)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if is_refused:
            refuse(full_name, matcher, only_runtime=only_runtime, leaf=call)
        return value(*args, **kwargs)

    try:
        functools.update_wrapper(guarded, value)
    except (AttributeError, TypeError):
        guarded.__name__ = name.rpartition(".")[2]
    guarded.__temporal_guarded_object__ = value  # type: ignore[attr-defined]
    return guarded


class _GuardedClassMeta(type):
    """Makes a class object that stands for another: calls, checks and members go to the real one."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        real, name, matcher, only_runtime = cls.__temporal_rule__  # type: ignore[attr-defined]
        call = matcher.children.get("__call__")
        if matcher._refuses_use("__call__") or (call is not None and call.match_self):
            refuse(f"{name}.__call__", matcher, only_runtime=only_runtime, leaf=call)
        return _instance_class(cls, real, name, matcher, only_runtime)(*args, **kwargs)

    def __getattribute__(cls, member: str) -> Any:
        if member in _META_OWN:
            return type.__getattribute__(cls, member)
        real, name, matcher, only_runtime = type.__getattribute__(cls, "__temporal_rule__")
        if member == "__get_pydantic_core_schema__" and not hasattr(real, member):
            # Pydantic knows types by identity
            return lambda _source, handler: handler(real)
        value, _ = guard_member(real, member, name, matcher, only_runtime)
        return value

    def __setattr__(cls, member: str, value: Any) -> None:
        raise AttributeError(f"{cls!r} cannot be changed from inside a workflow")

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__temporal_guarded__)  # type: ignore[attr-defined]

    def __subclasscheck__(cls, subclass: Any) -> bool:
        real = cls.__temporal_guarded__  # type: ignore[attr-defined]
        return issubclass(_real(subclass), real)

    def __eq__(cls, other: Any) -> bool:
        return _real(other) is cls.__temporal_guarded__  # type: ignore[attr-defined, no-any-return]

    def __hash__(cls) -> int:
        return hash(cls.__temporal_guarded__)  # type: ignore[attr-defined]

    def __or__(cls, other: Any) -> Any:
        return cls.__temporal_guarded__ | _real(other)  # type: ignore[attr-defined]

    def __ror__(cls, other: Any) -> Any:
        return _real(other) | cls.__temporal_guarded__  # type: ignore[attr-defined]

    def __getitem__(cls, item: Any) -> Any:
        return cls.__temporal_guarded__[item]  # type: ignore[attr-defined]

    def __iter__(cls) -> Any:
        return iter(cls.__temporal_guarded__)  # type: ignore[attr-defined]

    def __repr__(cls) -> str:
        return repr(type.__getattribute__(cls, "__temporal_guarded__"))

    def __dir__(cls) -> list[str]:
        return dir(type.__getattribute__(cls, "__temporal_guarded__"))


_META_OWN = frozenset({"__temporal_rule__", "__temporal_guarded__", "__temporal_instances__", "__class__"})


def _instance_class(guard: Any, real: type, name: str, matcher: SandboxMatcher, only_runtime: bool) -> Any:
    """What a guarded class makes instances of: itself, or a subclass that refuses the methods there are rules about."""
    found = type.__getattribute__(guard, "__temporal_instances__")
    if found is None:
        methods = [m for m in sorted(matcher.use) if isinstance(inspect.getattr_static(real, m, None), types.FunctionType)]
        found = real
        if methods:
            # Some classes make instances of a subclass of theirs
            concrete = type(real()) if real is getattr(sys.modules.get("pathlib"), "Path", None) else real
            overrides = {m: _guarded_method(getattr(concrete, m), f"{name}.{m}", matcher, only_runtime) for m in methods}
            found = type(concrete.__name__, (concrete,), {**overrides, "__slots__": (), "__module__": real.__module__})
        type.__setattr__(guard, "__temporal_instances__", found)
    return found


def _guarded_method(method: Any, name: str, matcher: SandboxMatcher, only_runtime: bool) -> Any:
    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(f"{name}.__call__", matcher, only_runtime=only_runtime)
        return method(self, *args, **kwargs)

    return guarded


def _real(value: Any) -> Any:
    """The class behind a guarded one."""
    if isinstance(type(value), type) and type(value) is _GuardedClassMeta:
        return type.__getattribute__(value, "__temporal_guarded__")
    return value


def _guard_class(real: type, name: str, matcher: SandboxMatcher, only_runtime: bool) -> Any:
    meta = _GuardedClassMeta
    return type.__new__(
        meta,
        real.__name__,
        (),
        {
            "__temporal_rule__": (real, name, matcher, only_runtime),
            "__temporal_guarded__": real,
            "__temporal_instances__": None,
            "__module__": real.__module__,
            "__doc__": real.__doc__,
            "__slots__": (),
        },
    )


def real_bases(bases: tuple[Any, ...]) -> tuple[Any, ...]:
    """Bases of a class statement, guarded ones replaced by what they stand for."""
    if any(type(base) is _GuardedClassMeta for base in bases):
        return tuple(_real(base) for base in bases)
    return bases


def _object_method(method: str) -> Callable[..., Any]:
    def forward(self: Any, *args: Any) -> Any:
        value, name, matcher, only_runtime = object.__getattribute__(self, "_rule")
        # Indexing has a key that names the member in question
        member = str(args[0]) if method in ("__getitem__", "__setitem__", "__delitem__") else method
        child = matcher.children.get(member)
        if matcher._refuses_access(member) or matcher._refuses_use(member) or (child is not None and child.match_self):
            refuse(f"{name}.{member}", matcher, only_runtime=only_runtime, leaf=child)
        if method == "__bool__":
            return bool(value)
        result = getattr(value, method)(*args)
        if child is not None and method == "__getitem__" and not isinstance(result, _HARMLESS):
            return ObjectGuard(result, f"{name}.{member}", child, only_runtime or child.only_runtime)
        return result

    forward.__name__ = method
    return forward


class ObjectGuard:
    """An object with rules about its members."""

    __slots__ = ("_rule", "__temporal_guarded_object__")

    def __init__(self, value: Any, name: str, matcher: SandboxMatcher, only_runtime: bool) -> None:
        object.__setattr__(self, "_rule", (value, name, matcher, only_runtime))
        object.__setattr__(self, "__temporal_guarded_object__", value)

    def __getattribute__(self, member: str) -> Any:
        if member == "__temporal_guarded_object__":
            return object.__getattribute__(self, member)
        value, name, matcher, only_runtime = object.__getattribute__(self, "_rule")
        if member == "__class__":
            return type(value)
        found, _ = guard_member(value, member, name, matcher, only_runtime)
        return found

    def __setattr__(self, member: str, new: Any) -> None:
        value, name, matcher, only_runtime = object.__getattribute__(self, "_rule")
        refuse(f"{name}.{member}", matcher, only_runtime=only_runtime)
        setattr(value, member, new)


for _method in """
    __call__ __getitem__ __setitem__ __delitem__ __iter__ __next__ __len__ __contains__ __bool__ __enter__ __exit__
    __aenter__ __aexit__ __aiter__ __anext__ __await__ __add__ __sub__ __mul__ __truediv__ __floordiv__ __mod__ __and__
    __or__ __xor__ __lt__ __le__ __gt__ __ge__ __eq__ __ne__ __int__ __float__ __index__ __bytes__ __str__ __format__
    __fspath__
""".split():
    setattr(ObjectGuard, _method, _object_method(_method))
ObjectGuard.__hash__ = lambda self: hash(object.__getattribute__(self, "__temporal_guarded_object__"))  # type: ignore[method-assign]
ObjectGuard.__repr__ = lambda self: repr(object.__getattribute__(self, "__temporal_guarded_object__"))  # type: ignore[method-assign]
