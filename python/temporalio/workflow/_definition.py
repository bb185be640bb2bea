"""The decorators that make a class a workflow, and what they record.

A definition is found through an attribute on the class or function it belongs to. Outside a sandbox it is made and
checked when the decorator runs. Inside one the module was already decorated and checked outside, and is executed again
for every run: there a decorator only notes its parameters, and the definition is made when somebody asks for it.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union, overload

import temporalio.common as common
from temporalio.types import (
    CallableAsyncType,
    CallableSyncOrAsyncReturnNoneType,
    CallableSyncOrAsyncType,
    CallableType,
    ClassType,
    MethodSyncNoParam,
    MultiParamSpec,
    ProtocolReturnType,
    ReturnType,
    SelfType,
)

from . import _sandbox

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from temporalio._lazy import dataclass

_RUN = "__temporal_workflow_run"
_DEFN = "__temporal_workflow_definition"
_PENDING = "__temporal_workflow_pending"  # parameters of defn() in a sandbox
_INIT = "__temporal_workflow_init"
_DYNAMIC_CONFIG = "__temporal_workflow_dynamic_config"
_SIGNAL = "__temporal_signal_definition"
_QUERY = "__temporal_query_definition"
_UPDATE = "__temporal_update_definition"

_DYNAMIC_SHAPE = "A dynamic handler must have 3 arguments: self, the name as str, the arguments as Sequence[RawValue]"


class HandlerUnfinishedPolicy(Enum):
    """What to do when a workflow ends while one of its handlers is still at work."""

    WARN_AND_ABANDON = 1
    ABANDON = 2


@dataclass(frozen=True)
class DynamicWorkflowConfig:
    """What a dynamic workflow decides for itself once it knows its type and input."""

    failure_exception_types: Sequence[type[BaseException]] | None = None
    """Replaces the failure exception types given to :func:`defn`; ``None`` keeps them."""
    versioning_behavior: common.VersioningBehavior = common.VersioningBehavior.UNSPECIFIED
    """Replaces the versioning behavior given to :func:`defn`, unless unspecified."""


class UpdateMethodMultiParam(Protocol[MultiParamSpec, ProtocolReturnType]):
    """An update method, as :func:`update` returns it."""

    def __call__(
        self, *args: MultiParamSpec.args, **kwargs: MultiParamSpec.kwargs
    ) -> ProtocolReturnType | Awaitable[ProtocolReturnType]: ...

    def validator(self, vfunc: Callable[MultiParamSpec, None]) -> Callable[MultiParamSpec, None]:
        """Decorates a method that looks at an update's arguments before it is accepted, and raises to reject it."""
        ...


# --------------------------------------------------------------------------------------------------------- decorators


@overload
def defn(cls: ClassType) -> ClassType: ...


@overload
def defn(
    *,
    name: Optional[str] = None,
    sandboxed: bool = True,
    failure_exception_types: Sequence[type[BaseException]] = [],
    versioning_behavior: common.VersioningBehavior = common.VersioningBehavior.UNSPECIFIED,
) -> Callable[[ClassType], ClassType]: ...


@overload
def defn(
    *,
    sandboxed: bool = True,
    dynamic: bool = False,
    failure_exception_types: Sequence[type[BaseException]] = [],
    versioning_behavior: common.VersioningBehavior = common.VersioningBehavior.UNSPECIFIED,
) -> Callable[[ClassType], ClassType]: ...


def defn(
    cls: Optional[ClassType] = None,
    *,
    name: Optional[str] = None,
    sandboxed: bool = True,
    dynamic: bool = False,
    failure_exception_types: Sequence[type[BaseException]] = [],
    versioning_behavior: common.VersioningBehavior = common.VersioningBehavior.UNSPECIFIED,
) -> Any:
    """Makes a class a workflow.

    Args:
        cls: The class.
        name: The workflow type; the class's name when absent.
        sandboxed: False lets the class run without the sandbox.
        dynamic: True makes it the workflow for every type that no other workflow has. Its run method takes one
            ``Sequence[temporalio.common.RawValue]``.
        failure_exception_types: Exceptions, besides failures, that fail the workflow when they leave its code; any
            other exception fails the workflow task, which is tried again. ``[Exception]`` makes every one fail it.
        versioning_behavior: How runs move between versions of a worker deployment.
    """
    if name is not None and dynamic:
        raise RuntimeError("A dynamic workflow has no name of its own: give either name or dynamic")

    def decorate(cls: ClassType) -> ClassType:
        parameters: dict[str, Any] = dict(
            workflow_name=None if dynamic else (name or cls.__name__),
            sandboxed=sandboxed,
            failure_exception_types=failure_exception_types,
            versioning_behavior=versioning_behavior,
        )
        if _sandbox.unsafe.in_sandbox():
            setattr(cls, _PENDING, parameters)
            for member in vars(cls).values():
                if getattr(member, _RUN, False):
                    setattr(member, _PENDING, cls)
        else:
            _Definition._apply_to_class(cls, **parameters)
        return cls

    return decorate(cls) if cls is not None else decorate


def init(init_fn: CallableType) -> CallableType:
    """Marks an ``__init__`` that takes the same parameters as the run method and receives its arguments."""
    if init_fn.__name__ != "__init__":
        raise ValueError("@workflow.init may only be used on the __init__ method")
    setattr(init_fn, _INIT, True)
    return init_fn


def run(fn: CallableAsyncType) -> CallableAsyncType:
    """Marks the one ``async def`` method that is the workflow's body."""
    if not inspect.iscoroutinefunction(fn):
        raise ValueError("What @workflow.run marks must be an async function")
    if "<locals>" in fn.__qualname__:
        raise ValueError(f"Local classes unsupported: {fn.__qualname__} is defined within a function, so no worker can load it again")
    setattr(fn, _RUN, True)
    return fn  # type: ignore[return-value]


def dynamic_config(fn: MethodSyncNoParam[SelfType, DynamicWorkflowConfig]) -> MethodSyncNoParam[SelfType, DynamicWorkflowConfig]:
    """Marks the method of a dynamic workflow that returns its :class:`DynamicWorkflowConfig`."""
    if inspect.iscoroutinefunction(fn):
        raise ValueError("What @workflow.dynamic_config marks is called before the workflow runs, so it cannot be async")
    setattr(fn, _DYNAMIC_CONFIG, True)
    return fn


def _check_names(name: Optional[str], dynamic: Optional[bool]) -> None:
    if name is not None and dynamic:
        raise RuntimeError("A dynamic handler has no name of its own: give either name or dynamic")


def _handler_name(fn: Any, name: Optional[str], dynamic: Optional[bool]) -> Optional[str]:
    return None if dynamic else name or fn.__name__


def _decorate_handler(fn: Any, decorate: Callable[[Any], Any]) -> Any:
    return decorate(fn) if fn is not None else decorate


@overload
def signal(fn: CallableSyncOrAsyncReturnNoneType) -> CallableSyncOrAsyncReturnNoneType: ...


@overload
def signal(
    *,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: Optional[str] = None,
) -> Callable[[CallableSyncOrAsyncReturnNoneType], CallableSyncOrAsyncReturnNoneType]: ...


@overload
def signal(
    *,
    name: str,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: Optional[str] = None,
) -> Callable[[CallableSyncOrAsyncReturnNoneType], CallableSyncOrAsyncReturnNoneType]: ...


@overload
def signal(
    *,
    dynamic: bool = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: Optional[str] = None,
) -> Callable[[CallableSyncOrAsyncReturnNoneType], CallableSyncOrAsyncReturnNoneType]: ...


def signal(
    fn: Optional[CallableSyncOrAsyncReturnNoneType] = None,
    *,
    name: Optional[str] = None,
    dynamic: Optional[bool] = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: Optional[str] = None,
) -> Any:
    """Makes a method, ``def`` or ``async def``, a signal handler.

    Args:
        fn: The method.
        name: The signal's name; the method's when absent.
        dynamic: True makes it the handler of every signal that has no other. It then takes the signal's name and a
            ``Sequence[temporalio.common.RawValue]``.
        unfinished_policy: What to do when the workflow ends before the handler does.
        description: Shown by tools that list a workflow's handlers.
    """
    _check_names(name, dynamic)

    def decorate(fn: Any) -> Any:
        setattr(
            fn,
            _SIGNAL,
            _SignalDefinition(
                name=_handler_name(fn, name, dynamic),
                fn=fn,
                is_method=True,
                unfinished_policy=unfinished_policy,
                description=description,
            ),
        )
        if getattr(fn, _SIGNAL).dynamic_vararg:
            warnings.warn(
                "A dynamic signal should take its arguments as one Sequence[RawValue]; *args is deprecated",
                DeprecationWarning,
                stacklevel=2,
            )
        return fn

    return _decorate_handler(fn, decorate)


@overload
def query(fn: CallableType) -> CallableType: ...


@overload
def query(*, name: str, description: Optional[str] = None) -> Callable[[CallableType], CallableType]: ...


@overload
def query(*, dynamic: bool, description: Optional[str] = None) -> Callable[[CallableType], CallableType]: ...


@overload
def query(*, description: str) -> Callable[[CallableType], CallableType]: ...


def query(
    fn: Optional[CallableType] = None,
    *,
    name: Optional[str] = None,
    dynamic: Optional[bool] = False,
    description: Optional[str] = None,
) -> Any:
    """Makes a method a query handler: it may look at the workflow's state and change nothing.

    Args:
        fn: The method.
        name: The query's name; the method's when absent.
        dynamic: True makes it the handler of every query that has no other.
        description: Shown by tools that list a workflow's handlers.
    """
    _check_names(name, dynamic)

    def decorate(fn: Any) -> Any:
        if inspect.iscoroutinefunction(fn):
            warnings.warn(
                "A query is answered at once: an `async def` query handler is deprecated",
                DeprecationWarning,
                stacklevel=2,
            )
        definition = _QueryDefinition(
            name=_handler_name(fn, name, dynamic), fn=fn, is_method=True, description=description
        )
        setattr(fn, _QUERY, definition)
        if definition.dynamic_vararg:
            warnings.warn(
                "A dynamic query should take its arguments as one Sequence[RawValue]; *args is deprecated",
                DeprecationWarning,
                stacklevel=2,
            )
        return fn

    return _decorate_handler(fn, decorate)


@overload
def update(
    fn: Callable[MultiParamSpec, Awaitable[ReturnType]],
) -> UpdateMethodMultiParam[MultiParamSpec, ReturnType]: ...


@overload
def update(fn: Callable[MultiParamSpec, ReturnType]) -> UpdateMethodMultiParam[MultiParamSpec, ReturnType]: ...


@overload
def update(
    *,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: Optional[str] = None,
) -> Callable[[Callable[MultiParamSpec, ReturnType]], UpdateMethodMultiParam[MultiParamSpec, ReturnType]]: ...


@overload
def update(
    *,
    name: str,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: Optional[str] = None,
) -> Callable[[Callable[MultiParamSpec, ReturnType]], UpdateMethodMultiParam[MultiParamSpec, ReturnType]]: ...


@overload
def update(
    *,
    dynamic: bool = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: Optional[str] = None,
) -> Callable[[Callable[MultiParamSpec, ReturnType]], UpdateMethodMultiParam[MultiParamSpec, ReturnType]]: ...


def update(
    fn: Optional[CallableSyncOrAsyncType] = None,
    *,
    name: Optional[str] = None,
    dynamic: Optional[bool] = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: Optional[str] = None,
) -> Any:
    """Makes a method, ``def`` or ``async def``, an update handler; what it returns goes back to the caller.

    Args:
        fn: The method.
        name: The update's name; the method's when absent.
        dynamic: True makes it the handler of every update that has no other.
        unfinished_policy: What to do when the workflow ends before the handler does.
        description: Shown by tools that list a workflow's handlers.
    """
    _check_names(name, dynamic)

    def decorate(fn: Any) -> Any:
        definition = _UpdateDefinition(
            name=_handler_name(fn, name, dynamic),
            fn=fn,
            is_method=True,
            unfinished_policy=unfinished_policy,
            description=description,
        )
        if definition.dynamic_vararg:
            raise RuntimeError("A dynamic update takes its arguments as one Sequence[RawValue], not as *args")
        setattr(fn, _UPDATE, definition)
        fn._defn = definition
        fn.validator = lambda vfunc: _update_validator(definition, vfunc)
        return fn

    return _decorate_handler(fn, decorate)


def _update_validator(update_def: _UpdateDefinition, fn: Optional[Callable[..., None]] = None) -> Optional[Callable[..., None]]:
    if fn is not None:
        update_def.set_validator(fn)
    return fn


# -------------------------------------------------------------------------------------------------------- definitions


class _HandlerDefinition:
    """What signal, query and update definitions share: types worked out when first needed in a sandbox."""

    fn: Callable[..., Any]
    is_method: bool
    name: Optional[str]
    dynamic_vararg: bool

    def __post_init__(self) -> None:
        if not _sandbox.unsafe.in_sandbox():
            self._resolve()

    def _resolve(self) -> None:
        arg_types, ret_type = common._type_hints_from_func(self.fn)
        if self.name is None:
            object.__setattr__(
                self, "dynamic_vararg", not _assert_dynamic_handler_args(self.fn, arg_types, self.is_method)
            )
        values = self.__dict__
        if values["arg_types"] is None:
            values["arg_types"] = arg_types
        if "ret_type" in values and values["ret_type"] is None:
            values["ret_type"] = ret_type
        values["_is_resolved"] = True

    def resolved(self) -> Any:
        """This definition with its types known."""
        if "_is_resolved" not in self.__dict__:
            self._resolve()
        return self

    def bind_fn(self, obj: Any) -> Callable[..., Any]:
        return _bind_method(obj, self.fn) if self.is_method else self.fn


@dataclass(frozen=True)
class _SignalDefinition(_HandlerDefinition):
    name: Optional[str]
    fn: Callable[..., Optional[Awaitable[None]]]
    is_method: bool
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON
    description: Optional[str] = None
    arg_types: Optional[list[type]] = None
    dynamic_vararg: bool = False

    @staticmethod
    def from_fn(fn: Callable) -> Optional[_SignalDefinition]:
        return getattr(fn, _SIGNAL, None)

    @staticmethod
    def must_name_from_fn_or_str(signal: Union[str, Callable]) -> str:
        if not callable(signal):
            return signal
        definition = _SignalDefinition.from_fn(signal)
        if definition is None:
            raise RuntimeError(f"{signal.__qualname__} is not a signal: @workflow.signal makes a method one")
        if definition.name is None:
            raise RuntimeError("Cannot invoke dynamic signal definition")
        return definition.name


@dataclass(frozen=True)
class _QueryDefinition(_HandlerDefinition):
    name: Optional[str]
    fn: Callable[..., Any]
    is_method: bool
    description: Optional[str] = None
    arg_types: Optional[list[type]] = None
    ret_type: Optional[type] = None
    dynamic_vararg: bool = False

    @staticmethod
    def from_fn(fn: Callable) -> Optional[_QueryDefinition]:
        return getattr(fn, _QUERY, None)


@dataclass(frozen=True)
class _UpdateDefinition(_HandlerDefinition):
    name: Optional[str]
    fn: Callable[..., Union[Any, Awaitable[Any]]]
    is_method: bool
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON
    description: Optional[str] = None
    arg_types: Optional[list[type]] = None
    ret_type: Optional[type] = None
    validator: Optional[Callable[..., None]] = None
    dynamic_vararg: bool = False

    def set_validator(self, validator: Callable[..., None]) -> None:
        if self.validator is not None:
            raise RuntimeError(f"Update {self.name} has a validator and takes no second one")
        object.__setattr__(self, "validator", validator)

    def bind_validator(self, obj: Any) -> Callable[..., Any]:
        if self.validator is None:
            return lambda *args, **kwargs: None
        return _bind_method(obj, self.validator) if self.is_method else self.validator

    @classmethod
    def get_name_and_result_type(cls, name_or_update_fn: Union[str, Callable[..., Any]]) -> tuple[str, Optional[type]]:
        if isinstance(name_or_update_fn, str):
            return name_or_update_fn, None
        definition = getattr(name_or_update_fn, _UPDATE, None)
        if definition is None:
            raise RuntimeError(f"{name_or_update_fn} is not an update: @workflow.update makes a method one")
        if definition.name is None:
            raise RuntimeError("Cannot invoke dynamic update definition")
        return definition.name, definition.resolved().ret_type


@dataclass(frozen=True)
class _Definition:
    """Everything known of one workflow class."""

    name: Optional[str]
    cls: type
    run_fn: Callable[..., Awaitable]
    signals: Mapping[Optional[str], _SignalDefinition]
    queries: Mapping[Optional[str], _QueryDefinition]
    updates: Mapping[Optional[str], _UpdateDefinition]
    sandboxed: bool
    failure_exception_types: Sequence[type[BaseException]]
    arg_types: Optional[list[type]] = None
    ret_type: Optional[type] = None
    versioning_behavior: Optional[common.VersioningBehavior] = None
    dynamic_config_fn: Optional[Callable[..., DynamicWorkflowConfig]] = None

    def __post_init__(self) -> None:
        if self.arg_types is None and self.ret_type is None:
            dynamic = self.name is None
            arg_types, ret_type = common._type_hints_from_func(self.run_fn)
            if dynamic and not (arg_types and len(arg_types) == 1 and _is_raw_values(arg_types[0])):
                raise TypeError("The run method of a dynamic workflow takes one parameter, of type Sequence[temporalio.common.RawValue]")
            object.__setattr__(self, "arg_types", arg_types)
            object.__setattr__(self, "ret_type", ret_type)

    @staticmethod
    def from_class(cls: type) -> Optional[_Definition]:
        """The definition of exactly this class, or None: a definition is not inherited."""
        members = vars(cls) if isinstance(cls, type) else getattr(cls, "__dict__", {})
        found = members.get(_DEFN)
        if found is None and _PENDING in members:
            found = _Definition._apply_to_class(cls, **members[_PENDING])
        return found if found is not None and found.cls is cls else None

    def rebound(self, cls: type) -> _Definition:
        """The definition of a copy of the class, whose members are copies of this one's: nothing is checked again."""
        members = vars(cls)
        run_fn = members[self.run_fn.__name__]
        arg_types, ret_type = common._type_hints_from_func(run_fn)
        copy = object.__new__(_Definition)
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(
            cls=cls,
            run_fn=run_fn,
            arg_types=arg_types,
            ret_type=ret_type,
            signals=_rebound_handlers(self.signals, cls, _SIGNAL),
            queries=_rebound_handlers(self.queries, cls, _QUERY),
            updates=_rebound_handlers(self.updates, cls, _UPDATE),
            failure_exception_types=members[_PENDING]["failure_exception_types"],
        )
        if self.dynamic_config_fn is not None:
            copy.__dict__["dynamic_config_fn"] = getattr(cls, self.dynamic_config_fn.__name__)
        setattr(cls, _DEFN, copy)
        setattr(run_fn, _DEFN, copy)
        return copy

    @staticmethod
    def must_from_class(cls: type) -> _Definition:
        found = _Definition.from_class(cls)
        if found is None:
            name = getattr(cls, "__name__", "<unknown>")
            raise ValueError(f"{name} is not a workflow: @workflow.defn makes a class one")
        return found

    @staticmethod
    def from_run_fn(fn: Callable[..., Awaitable[Any]]) -> Optional[_Definition]:
        found = getattr(fn, _DEFN, None)
        if found is None:
            cls = getattr(fn, _PENDING, None)
            if cls is not None:
                found = _Definition.from_class(cls)
        return found

    @staticmethod
    def must_from_run_fn(fn: Callable[..., Awaitable[Any]]) -> _Definition:
        found = _Definition.from_run_fn(fn)
        if found is None:
            name = getattr(fn, "__qualname__", "<unknown>")
            raise ValueError(
                f"{name} is not the run method of a workflow: it needs @workflow.run, and its class @workflow.defn"
            )
        return found

    @classmethod
    def get_name_and_result_type(cls, name_or_run_fn: Union[str, Callable[..., Awaitable[Any]]]) -> tuple[str, Optional[type]]:
        if isinstance(name_or_run_fn, str):
            return name_or_run_fn, None
        if callable(name_or_run_fn):
            found = cls.must_from_run_fn(name_or_run_fn)
            if found.name is None:
                raise ValueError("Cannot invoke dynamic workflow explicitly")
            return found.name, found.ret_type
        raise TypeError("A workflow is named by a string or by its run method")

    @staticmethod
    def _apply_to_class(
        cls: type,
        *,
        workflow_name: Optional[str],
        sandboxed: bool,
        failure_exception_types: Sequence[type[BaseException]],
        versioning_behavior: common.VersioningBehavior,
    ) -> _Definition:
        if _DEFN in vars(cls):
            raise ValueError("Class already contains workflow definition")
        found = _Members(cls)
        found.check(is_dynamic=workflow_name is None)
        assert found.run_fn is not None
        definition = _Definition(
            name=workflow_name,
            cls=cls,
            run_fn=found.run_fn,
            signals=found.signals,
            queries=found.queries,
            updates=found.updates,
            sandboxed=sandboxed,
            failure_exception_types=failure_exception_types,
            versioning_behavior=versioning_behavior,
            dynamic_config_fn=found.dynamic_config_fn,
        )
        setattr(cls, _DEFN, definition)
        setattr(found.run_fn, _DEFN, definition)
        return definition


class _Members:
    """The decorated members of a class, in the order of their names, and what is wrong with them."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.run_fn: Optional[Callable[..., Awaitable]] = None
        self.has_run = False
        self.dynamic_config_fn: Optional[Callable[..., DynamicWorkflowConfig]] = None
        self.signals: dict[Optional[str], _SignalDefinition] = {}
        self.queries: dict[Optional[str], _QueryDefinition] = {}
        self.updates: dict[Optional[str], _UpdateDefinition] = {}
        self.issues: list[str] = []
        for name in sorted(dir(cls)):
            if name.startswith("__") and name != "__init__":
                continue
            member = inspect.getattr_static(cls, name, None)
            member = getattr(member, "__func__", member)
            if callable(member):
                self._look_at(name, member)

    def _look_at(self, name: str, member: Any) -> None:
        attributes = getattr(member, "__dict__", {})
        if _RUN in attributes:
            self._take_run(name, member)
        elif _SIGNAL in attributes:
            self._take_handler("signal", self.signals, attributes[_SIGNAL], name)
        elif _QUERY in attributes:
            self._take_handler("query", self.queries, attributes[_QUERY], name)
        elif _UPDATE in attributes:
            self._take_handler("update", self.updates, attributes[_UPDATE], name)
        elif _DYNAMIC_CONFIG in attributes:
            if self.dynamic_config_fn is not None:
                self.issues.append("@workflow.dynamic_config can only be defined once")
            self.dynamic_config_fn = member
        else:
            self._missing_decorator(name)

    def _take_run(self, name: str, member: Any) -> None:
        self.has_run = True
        if self.run_fn is not None:
            self.issues.append(
                f"Multiple @workflow.run methods found (at least on {name} and {self.run_fn.__name__})"
            )
        elif name not in vars(self.cls):
            self.issues.append(f"@workflow.run method {name} must be defined on {self.cls.__qualname__}")
        else:
            self.run_fn = member

    def _take_handler(self, kind: str, taken: dict[Optional[str], Any], definition: Any, name: str) -> None:
        other = taken.get(definition.name)
        if other is not None:
            what = definition.name or "<dynamic>"
            self.issues.append(
                f"Multiple {kind} methods found for {what} (at least on {name} and {other.fn.__name__})"
            )
            return
        if kind == "update" and definition.validator is not None:
            if not _parameters_identical_up_to_naming(definition.fn, definition.validator):
                self.issues.append(
                    f"Update validator method {definition.validator.__name__} parameters do not match update method "
                    f"{definition.fn.__name__} parameters"
                )
        taken[definition.name] = definition

    def _missing_decorator(self, name: str) -> None:
        """A decorated method of a base class must be decorated again where it is overridden."""
        for base in self.cls.__mro__[1:]:
            attributes = getattr(vars(base).get(name), "__dict__", {})
            for marker, kind in ((_RUN, "run"), (_SIGNAL, "signal"), (_QUERY, "query"), (_UPDATE, "update")):
                if marker in attributes:
                    self.has_run = self.has_run or kind == "run"
                    self.issues.append(
                        f"@workflow.{kind} defined on {base.__qualname__}.{name} but not on the override"
                    )
                    return

    def check(self, *, is_dynamic: bool) -> None:
        issues = self.issues
        if not self.has_run:
            issues.append("Missing @workflow.run method")
        init_fn = vars(self.cls).get("__init__")
        if self.run_fn is not None and getattr(init_fn, _INIT, False):
            if not _parameters_identical_up_to_naming(init_fn, self.run_fn):  # type: ignore[arg-type]
                issues.append("`__init__`, marked @workflow.init, must take the same parameters as the run method")
        if self.dynamic_config_fn is not None and not is_dynamic:
            issues.append(
                f"@workflow.dynamic_config is for dynamic workflows, and {self.cls.__qualname__} has a name"
            )
        if len(issues) == 1:
            raise ValueError(f"Invalid workflow class: {issues[0]}")
        if issues:
            raise ValueError(f"Invalid workflow class for {len(issues)} reasons: {', '.join(issues)}")


def _rebound_handlers(defns: Mapping[Optional[str], Any], cls: type, attribute: str) -> dict[Optional[str], Any]:
    if not defns:
        return {}
    rebound = {}
    for name, defn in defns.items():
        # The function's name is that of the member, unless somebody renamed it: then the slow way finds it
        member = getattr(cls, defn.fn.__name__, None)
        found = getattr(member, attribute, None)
        if found is None:
            raise LookupError(defn.fn.__name__)
        rebound[name] = found
    return rebound


def _is_raw_values(hint: Any) -> bool:
    """Whether a type hint is ``Sequence[RawValue]``, from either of the two homes of Sequence."""
    origin = getattr(hint, "__origin__", None)
    return origin is Sequence and getattr(hint, "__args__", None) == (common.RawValue,)


def _assert_dynamic_handler_args(fn: Callable, arg_types: Optional[list[type]], is_method: bool) -> bool:
    """False for the older form with ``*args`` as last parameter, True for a sequence of raw values."""
    if arg_types is not None and len(arg_types) == 2 and arg_types[0] is str and _is_raw_values(arg_types[1]):
        return True
    params = list(inspect.signature(fn).parameters.values())
    if not is_method and len(params) == 2:
        params.insert(0, params[0])
    if len(params) == 3 and params[2].kind is inspect.Parameter.VAR_POSITIONAL:
        if all(p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for p in params[:2]):
            return False
    raise RuntimeError(_DYNAMIC_SHAPE)


def _bind_method(obj: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
    # Through the instance where it is there, so that a subclass's or an instance's own method counts
    name = getattr(fn, "__name__", None)
    bound = getattr(obj, name, None) if name else None
    if bound is not None and getattr(bound, "__func__", None) is fn:
        return bound
    return fn.__get__(obj, type(obj))  # type: ignore[attr-defined, no-any-return]


def _is_unbound_method_on_cls(fn: Callable[..., Any], cls: type) -> bool:
    return (
        inspect.isfunction(fn)
        and bool(getattr(fn, "__qualname__", ""))
        and inspect.getmodule(fn) is inspect.getmodule(cls)
        and fn.__qualname__.rpartition(".")[0] == cls.__name__
    )


def _parameters_identical_up_to_naming(fn1: Callable, fn2: Callable) -> bool:
    """Same kinds, types and defaults of parameters; names and the return type do not matter."""

    def keys(fn: Callable) -> list[tuple[Any, ...]]:
        return [(p.kind, p.annotation, p.default) for p in inspect.signature(fn).parameters.values()]

    return keys(fn1) == keys(fn2)
