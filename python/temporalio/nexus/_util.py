"""Looking at the functions that Nexus decorators decorate."""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Callable
from typing import Any

import nexusrpc

# Where the nexusrpc package looks for it.
_FACTORY = "__nexus_operation_factory__"


def input_and_output_types(
    start: Callable[..., Any], context_types: tuple[type, ...], result_type: type
) -> tuple[Any, Any]:
    """The types of an operation's input and output, None where the annotations do not tell.

    Args:
        start: The function: self, one parameter for each context, the input.
        context_types: What is handed to it for the contexts. An annotation must be that or a base of it.
        result_type: The generic class it returns, whose argument is the output's type.
    """
    try:
        hints = typing.get_type_hints(start)
    except (TypeError, NameError):
        return None, None
    output: Any = None
    returned = hints.pop("return", None)
    if typing.get_origin(returned) is result_type:
        arguments = typing.get_args(returned)
        output = arguments[0] if arguments else None
    names = [
        p.name
        for p in inspect.signature(start).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ][1:]
    if len(names) != len(context_types) + 1:
        warnings.warn(
            f"Expected {get_callable_name(start)} to take self and {len(context_types) + 1} parameters, "
            f"it takes {len(names)}"
        )
        return None, output
    for position, (name, expected) in enumerate(zip(names, context_types, strict=False), 1):
        hint = hints.get(name, expected)
        if not (isinstance(hint, type) and issubclass(expected, hint)):
            warnings.warn(
                f"Expected parameter {position} of {get_callable_name(start)}, which gets a {expected.__name__}, not to be declared as {hint}"
            )
            return None, output
    return hints.get(names[-1]), output


def get_callable_name(fn: Callable[..., Any]) -> str:
    """The name of a function, or of the class of what can be called."""
    return getattr(fn, "__name__", None) or type(fn).__name__


def get_operation_factory(obj: Any) -> tuple[Callable[[Any], Any] | None, nexusrpc.Operation[Any, Any] | None]:
    """The factory of an operation handler, given by a decorator, and its operation."""
    operation = nexusrpc.get_operation(obj)
    if operation is not None:
        return obj, operation
    factory = getattr(obj, _FACTORY, None)
    return factory, None if factory is None else nexusrpc.get_operation(factory)


def set_operation_factory(obj: Any, factory: Callable[[Any], Any], operation: nexusrpc.Operation[Any, Any]) -> None:
    """Gives a function the factory of its operation handler, and that its operation."""
    nexusrpc.set_operation(factory, operation)
    setattr(obj, _FACTORY, factory)


def is_async_callable(obj: Any) -> bool:
    """Whether calling this gives something to be awaited."""
    return inspect.iscoroutinefunction(obj) or (
        callable(obj) and inspect.iscoroutinefunction(getattr(obj, "__call__", None))
    )
