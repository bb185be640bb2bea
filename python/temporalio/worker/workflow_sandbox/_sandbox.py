"""A sandbox: one run's own copies of modules.

Code is isolated by its built-ins. Every function has, through its module's namespace, the built-in functions it sees, and
among them ``__import__``; a module executed with other built-ins imports through the sandbox, and so does what it
imports. Nothing of the process is replaced but what ``_lookup`` says, other threads notice nothing, and a copy costs one
execution of the module's code object, which is compiled once.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, Optional

from temporalio import _hints
from temporalio.workflow import SandboxImportNotificationPolicy, _in_sandbox, unsafe

from .._debugger import break_at
from ._guards import GuardedModule, guard, real_bases, refuse, state
from ._restrictions import (
    RestrictedWorkflowAccessError,
    RestrictionContext,
    SandboxRestrictions,
    UnintentionalPassthroughError,
)

# What a copy of a program's main module is called, so that `if __name__ == "__main__"` does not run it
MAIN = "__temporal_main__"

# Modules of debuggers; where the first is passed through, workflow code may call breakpoint()
DEBUGGERS = ("_pydevd_bundle", "pydevd_plugins", "pydevd", "debugpy")

# For imports that fail inside
ADVICE = (
    "Workflow code imports its modules again for each run, in a sandbox. One that can only be imported outside goes within "
    "`with workflow.unsafe.imports_passed_through():`"
)


class _Source:
    """What a module's copies are made from."""

    __slots__ = ("code", "attributes")

    def __init__(self, code: Optional[types.CodeType], attributes: Mapping[str, Any]) -> None:
        self.code = code
        self.attributes = attributes


_sources: dict[str, Optional[_Source]] = {}
_sources_lock = threading.Lock()


def _find_source(name: str) -> Optional[_Source]:
    """The source of a module, ``None`` for one that cannot be executed again (an extension module)."""
    with _sources_lock:
        if name in _sources:
            return _sources[name]
        source = _main_source() if name == MAIN else _read_source(name)
        _sources[name] = source
        return source


def _read_source(name: str) -> Optional[_Source]:
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if spec is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    attributes: dict[str, Any] = {
        "__name__": name,
        "__spec__": spec,
        "__loader__": spec.loader,
        "__package__": spec.parent,
    }
    if spec.submodule_search_locations is not None:
        attributes["__path__"] = list(spec.submodule_search_locations)
    if spec.has_location:
        attributes["__file__"] = spec.origin
    code = None
    get_code = getattr(spec.loader, "get_code", None)
    if get_code is not None:
        try:
            code = get_code(name)
        except ImportError:
            pass
    if code is None and spec.has_location and (spec.origin or "").endswith(".py"):
        # A loader that does not tell, such as that of a test runner which rewrites assertions
        code = _compile(str(spec.origin))
    if code is None and (spec.submodule_search_locations is None or spec.has_location):
        return None
    # A namespace package has nothing to execute
    return _Source(code, attributes)


def _compile(path: str) -> types.CodeType:
    with open(path, "rb") as file:
        code: types.CodeType = compile(file.read(), path, "exec", dont_inherit=True)
    return code


def _main_source() -> Optional[_Source]:
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None:
        return None
    spec = getattr(main, "__spec__", None)
    if spec is not None and hasattr(spec.loader, "get_code"):
        code = spec.loader.get_code(spec.name)
    else:
        code = _compile(path)
    attributes = {
        "__name__": MAIN,
        "__file__": path,
        "__package__": getattr(main, "__package__", None),
        "__spec__": None,
        "__loader__": getattr(main, "__loader__", None),
    }
    return _Source(code, attributes)


class _Shared:
    """What all sandboxes of the same restrictions share."""

    def __init__(self, restrictions: SandboxRestrictions) -> None:
        self.restrictions = restrictions
        self.modules: dict[str, types.ModuleType] = {}
        self.passed_through: dict[str, bool] = {}
        members = restrictions.invalid_module_members
        rules = members.child_matcher("__builtins__")
        self.builtins = dict(builtins.__dict__)
        if rules is not None:
            for member in {*rules.use, *rules.access, *rules.children}:
                if member in self.builtins:
                    self.builtins[member] = self._builtin(member, rules)

    def _builtin(self, member: str, rules: Any) -> Any:
        real = getattr(builtins, member)
        rule = rules.children.get(member) or rules

        def guarded(*args: Any, **kwargs: Any) -> Any:
            if member == "breakpoint" and self._passes_through(DEBUGGERS[0]):
                return real(*args, **kwargs) if os.environ.get("PYTHONBREAKPOINT") else break_at(sys._getframe(1))
            refuse(f"__builtins__.{member}", rule, only_runtime=rules.only_runtime or rule.only_runtime)
            return real(*args, **kwargs)

        guarded.__name__ = member
        guarded.__doc__ = real.__doc__
        return guarded

    def _passes_through(self, name: str) -> bool:
        known = self.passed_through.get(name)
        if known is None:
            known = self.passed_through[name] = self.restrictions._passes_through(name)
        return known

    def real_module(self, name: str) -> types.ModuleType:
        """A module from outside, guarded where there are rules about its members."""
        found = self.modules.get(name)
        if found is not None:
            return found
        module = sys.modules.get(name) or importlib.import_module(name)
        rule = self.restrictions.invalid_module_members.child_matcher(*name.split("."))
        if rule is not None:
            module = guard(module, name, rule, False)
        self.modules[name] = module
        return module


_shared: dict[int, _Shared] = {}
_shared_lock = threading.Lock()


def shared_of(restrictions: SandboxRestrictions) -> _Shared:
    """The shared part for restrictions; made once for each object."""
    with _shared_lock:
        found = _shared.get(id(restrictions))
        # The restrictions are kept by their shared part, so an id is not used again
        if found is None:
            found = _shared[id(restrictions)] = _Shared(restrictions)
        return found


class _Modules(MutableMapping[str, Any]):
    """``sys.modules`` as sandboxed code sees it: its own copies, and what is passed through and loaded outside."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def __getitem__(self, name: str) -> Any:
        sandbox = self._sandbox
        found = sandbox.modules.get(name)
        if found is not None:
            return found
        shared = sandbox.shared
        if (
            name in sys.modules
            and not shared.restrictions.disable_lazy_sys_module_passthrough
            and shared._passes_through(name)
        ):
            return shared.real_module(name)
        raise KeyError(name)

    def __setitem__(self, name: str, module: Any) -> None:
        self._sandbox.modules[name] = module

    def __delitem__(self, name: str) -> None:
        del self._sandbox.modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._sandbox.modules))

    def __len__(self) -> int:
        return len(self._sandbox.modules)


class Sandbox:
    """The modules of one run."""

    __slots__ = ("shared", "modules", "builtins", "decoders", "__weakref__")

    def __init__(self, restrictions: SandboxRestrictions) -> None:
        self.shared = shared_of(restrictions)
        self.modules: dict[str, Any] = {}
        self.decoders: dict[int, Any] = {}
        self.builtins = dict(self.shared.builtins)
        self.builtins["__import__"] = self._import
        self.builtins["__build_class__"] = self._build_class

    @contextmanager
    def entered(self, *, is_runtime: bool) -> Iterator[None]:
        """Makes this thread the sandbox's while something is loaded or run."""
        before = self.enter(is_runtime)
        try:
            yield
        finally:
            self.leave(before)

    def enter(self, is_runtime: bool) -> Any:
        """The first half of ``entered``; returns what ``leave`` takes."""
        local = _hints.local
        before = state.sandbox, state.is_runtime, getattr(_in_sandbox, "value", None), local.decoders
        state.sandbox, state.is_runtime, _in_sandbox.value, local.decoders = self, is_runtime, True, self.decoders
        return before

    @staticmethod
    def leave(before: Any) -> None:
        """The second half of ``entered``."""
        state.sandbox, state.is_runtime, _in_sandbox.value, _hints.local.decoders = before

    def load(self, name: str) -> types.ModuleType:
        """The sandbox's copy of a module."""
        module: types.ModuleType = self._load(MAIN if name == "__main__" else name, is_wanted=True)
        return module

    # ---------------------------------------------------------------------------------------------------------- imports

    def _import(
        self,
        name: str,
        globals: Optional[Mapping[str, Any]] = None,
        locals: Optional[Mapping[str, Any]] = None,
        fromlist: Optional[Sequence[str]] = (),
        level: int = 0,
    ) -> Any:
        """``__import__`` of sandboxed code."""
        full_name = "." * level + name
        try:
            if level:
                package = (globals or {}).get("__package__") or (globals or {}).get("__name__", "").rpartition(".")[0]
                full_name = importlib.util.resolve_name("." * level + name, package)
            module = self._load(full_name)
            if not fromlist:
                return module if level else self._load(name.partition(".")[0])
            for member in fromlist:
                if member != "*" and not self._has(module, member):
                    self._load_submodule(module, full_name, member)
        except Exception as err:
            self._say_where(err, full_name, sys._getframe(1))
            raise
        return module

    @staticmethod
    def _has(module: Any, member: str) -> bool:
        if isinstance(module, GuardedModule):
            return hasattr(object.__getattribute__(module, "__dict__")["__temporal_guarded_object__"], member)
        return hasattr(module, member)

    def _load_submodule(self, module: Any, full_name: str, member: str) -> None:
        if not self._has(module, "__path__"):
            return
        child = f"{full_name}.{member}"
        try:
            self._load(child)
        except ModuleNotFoundError as err:
            # Not there: the import statement itself says that the name is missing
            if err.name != child:
                raise

    def _load(self, name: str, *, is_wanted: bool = False) -> Any:
        found = self.modules.get(name)
        if found is not None:
            return found
        if name == "sys":
            module = self.modules["sys"] = self._make_sys()
            return module
        if name == "importlib":
            module = self.modules["importlib"] = self._make_importlib()
            return module
        if name == "dataclasses":
            module = self.modules["dataclasses"] = _lazy_dataclasses()
            return module
        shared = self.shared
        if not is_wanted and (shared._passes_through(name) or unsafe.is_imports_passed_through()):
            return self._take_from_outside(name)
        self._check(name, is_wanted)
        return self._copy(name)

    def _check(self, name: str, is_wanted: bool) -> None:
        """Refuses or mentions the import of a module that is not passed through."""
        rules = self.shared.restrictions.invalid_modules
        context = RestrictionContext()
        context.is_runtime = state.is_runtime
        rule = rules.access_matcher(context, *name.split("."))
        if rule is not None and not unsafe.is_sandbox_unrestricted():
            raise RestrictedWorkflowAccessError(name, override_message=rule.leaf_message)
        if not is_wanted:
            notify(self, name)

    def _take_from_outside(self, name: str) -> Any:
        parent, dot, child = name.rpartition(".")
        if dot:
            parent_module = self._load(parent)
        before = state.sandbox
        state.sandbox = None
        try:
            module = self.shared.real_module(name)
        finally:
            state.sandbox = before
        self.modules[name] = module
        if dot and not isinstance(parent_module, GuardedModule) and parent_module is not sys.modules.get(parent):
            setattr(parent_module, child, module)
        return module

    def _copy(self, name: str) -> Any:
        parent, dot, child = name.rpartition(".")
        if dot:
            parent_module = self._load(parent)
            found = self.modules.get(name)
            if found is not None:
                return found
        source = _find_source(name)
        if source is None:
            return self._take_from_outside(name)
        module = types.ModuleType(name)
        namespace = module.__dict__
        namespace.update(source.attributes)
        namespace["__builtins__"] = self.builtins
        self.modules[name] = module
        try:
            if source.code is not None:
                exec(source.code, namespace)
        except BaseException:
            self.modules.pop(name, None)
            raise
        # A module may have replaced itself
        module = self.modules[name]
        if dot and not isinstance(parent_module, GuardedModule):
            setattr(parent_module, child, module)
        return module

    @staticmethod
    def _say_where(err: Exception, name: str, importer: types.FrameType) -> None:
        """Adds to what went wrong in an import which import it was, the file and line of both, and what can be done."""
        if getattr(err, "_temporal_import", None) is not None:
            return
        place, trace = "", err.__traceback__
        while trace is not None:
            filename = trace.tb_frame.f_code.co_filename
            is_inside = trace.tb_frame.f_globals.get("__builtins__") is not builtins.__dict__
            if is_inside and filename != __file__ and trace.tb_frame is not importer:
                place = f", which failed at {filename}:{trace.tb_lineno}"
            trace = trace.tb_next
        where = f"{importer.f_code.co_filename}:{importer.f_lineno} imports {name}{place}"
        try:
            err._temporal_import = where  # type: ignore[attr-defined]
        except AttributeError:  # an exception with slots
            return
        if isinstance(err, ImportError):
            _reword(err, f"{err.msg} ({where}. {ADVICE})")
        elif isinstance(err, (RestrictedWorkflowAccessError, UnintentionalPassthroughError)):
            _reword(err, f"{err.args[0]} ({where})")
        elif hasattr(err, "add_note"):
            err.add_note(f"{where}. {ADVICE}")

    # ------------------------------------------------------------------------------------------------ special modules

    def _make_sys(self) -> types.ModuleType:
        module = types.ModuleType("sys")
        module.__dict__.update(sys.__dict__)
        module.modules = _Modules(self)  # type: ignore[attr-defined]
        return module

    def _make_importlib(self) -> types.ModuleType:
        module = types.ModuleType("importlib")
        module.__dict__.update(importlib.__dict__)

        def import_module(name: str, package: Optional[str] = None) -> Any:
            if name.startswith("."):
                if not package:
                    raise TypeError(f"the package argument is required to import {name!r}")
                name = importlib.util.resolve_name(name, package)
            return self._load(name)

        module.import_module = import_module  # type: ignore[attr-defined]
        module.__import__ = self._import  # type: ignore[attr-defined]
        return module

    def _build_class(self, function: Any, name: str, /, *bases: Any, **keywords: Any) -> Any:
        """``__build_class__`` of sandboxed code: real bases, and a note of where the class was defined."""
        cls = builtins.__build_class__(function, name, *real_bases(bases), **keywords)
        if isinstance(cls, type):
            module = self.modules.get(function.__globals__.get("__name__", ""))
            if module is not None and module.__dict__ is function.__globals__:
                _hints.class_modules[cls] = weakref.ref(module)
        return cls


def _reword(err: Any, message: str) -> None:
    err.args = (message, *err.args[1:])
    if isinstance(err, ImportError):
        err.msg = message
    elif isinstance(err, RestrictedWorkflowAccessError):
        err.message = message


def _lazy_dataclasses() -> types.ModuleType:
    """The dataclasses module with a decorator that does its work when the class is first used: 0.2 ms for each class
    of a file, of which a run uses few."""
    global _dataclasses
    if _dataclasses is None:
        import dataclasses

        from temporalio._lazy import dataclass as lazy

        def dataclass(cls: Any = None, /, **options: Any) -> Any:
            if options.get("slots") or options.get("weakref_slot"):
                return dataclasses.dataclass(cls, **options) if cls is not None else dataclasses.dataclass(**options)
            return lazy(cls, **options)

        _dataclasses = types.ModuleType("dataclasses", dataclasses.__doc__)
        _dataclasses.__dict__.update(dataclasses.__dict__)
        _dataclasses.dataclass = dataclass  # type: ignore[attr-defined]
    return _dataclasses


_dataclasses: Optional[types.ModuleType] = None


def watch_imports() -> None:
    """Lets imports of code that is passed through be mentioned too, which needs a hook for the whole process.

    Called for a workflow whose own module is passed through: nothing of it is isolated, but its late imports are still
    worth a word.
    """
    global _watched_import
    if _watched_import is not None:
        return
    real = _watched_import = builtins.__import__

    def __import__(
        name: str,
        globals: Optional[Mapping[str, Any]] = None,
        locals: Optional[Mapping[str, Any]] = None,
        fromlist: Optional[Sequence[str]] = (),
        level: int = 0,
    ) -> Any:
        sandbox = state.sandbox
        if sandbox is not None and state.is_runtime and level == 0 and not sandbox.shared._passes_through(name):
            if not unsafe.is_imports_passed_through():
                notify(sandbox, name)
        return real(name, globals, locals, fromlist or (), level)

    builtins.__import__ = __import__  # type: ignore[assignment]


_watched_import: Any = None


def notify(sandbox: Sandbox, name: str) -> None:
    """Says what the policy wants said about the import of a module that is not passed through."""
    policy = unsafe.current_import_notification_policy_override() or sandbox.shared.restrictions.import_notification_policy
    if policy & SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT and state.is_runtime:
        warnings.warn(f"Module {name} was imported after initial workflow load.", stacklevel=4)
    if policy & SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH:
        raise UnintentionalPassthroughError(name)
    if policy & SandboxImportNotificationPolicy.WARN_ON_UNINTENTIONAL_PASSTHROUGH:
        warnings.warn(
            f"Module {name} was not intentionally passed through to the sandbox.", stacklevel=4
        )
