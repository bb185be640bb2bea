"""Failure converters: between Python exceptions and failures.

As with payload converters there is a public face of protobuf objects and a private one of dicts, ``_to_dict`` and
``_from_dict``; a subclass that overrides a public method gets the private one derived from it.
"""

from __future__ import annotations

import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from temporalio import exceptions
from temporalio._values import duration_ns, to_timedelta_or_none
from temporalio.converter._messages import FAILURE, FailureDict, message_from_dict, message_to_dict, payload_list
from temporalio.converter._payload_converter import PayloadConverter, _derive_private, _not_derived

if TYPE_CHECKING:
    import temporalio.api.failure.v1

# What takes the place of a message that is encoded.
_ENCODED_MESSAGE = "Encoded failure"
_RETRYABLE, _NON_RETRYABLE = 1, 2  # NexusHandlerErrorRetryBehavior

_EnumType = TypeVar("_EnumType", exceptions.RetryState, exceptions.TimeoutType)


class FailureConverter(ABC):
    """Turns exceptions into failures and back.

    Workflows use it on their own thread, so it must not block, and must give the same failure for the same exception.
    """

    default: ClassVar[FailureConverter]
    """The converter of a client that names none."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Lets a subclass's own methods be used throughout."""
        super().__init_subclass__(**kwargs)
        _derive_private(
            cls,
            (
                ("to_failure", "_to_dict", FailureConverter._to_dict),
                ("from_failure", "_from_dict", FailureConverter._from_dict),
            ),
        )

    @abstractmethod
    def to_failure(
        self,
        exception: BaseException,
        payload_converter: PayloadConverter,
        failure: temporalio.api.failure.v1.Failure,
    ) -> None:
        """Writes an exception into a failure.

        Args:
            exception: The exception; not to be changed.
            payload_converter: For values that go with it.
            failure: An empty failure to fill in.
        """
        ...

    @abstractmethod
    def from_failure(
        self,
        failure: temporalio.api.failure.v1.Failure,
        payload_converter: PayloadConverter,
    ) -> BaseException:
        """Makes an exception of a failure.

        Args:
            failure: The failure; not to be changed.
            payload_converter: For values that go with it.

        Returns:
            The exception, with its causes in ``__cause__``.
        """
        ...

    def _to_dict(self, exception: BaseException, payload_converter: PayloadConverter) -> FailureDict:
        from temporalio.api.failure.v1 import Failure

        failure = Failure()
        self.to_failure(exception, payload_converter, failure)
        return message_to_dict(failure)

    def _from_dict(self, failure: FailureDict, payload_converter: PayloadConverter) -> BaseException:
        return self.from_failure(message_from_dict(FAILURE, failure), payload_converter)


class DefaultFailureConverter(FailureConverter):
    """Keeps message, stack trace, details and the chain of causes; a plain exception becomes an application error."""

    def __init__(self, *, encode_common_attributes: bool = False) -> None:
        """Makes a converter.

        Args:
            encode_common_attributes: Whether message and stack trace go into a payload, where a codec can encrypt
                them. Readers recognise that by themselves.
        """
        super().__init__()
        self._encode_common_attributes = encode_common_attributes

    def to_failure(
        self,
        exception: BaseException,
        payload_converter: PayloadConverter,
        failure: temporalio.api.failure.v1.Failure,
    ) -> None:
        """See base class."""
        convert = _not_derived(self, "_to_dict", FailureConverter._to_dict)
        failure.MergeFrom(message_from_dict(FAILURE, convert(exception, payload_converter)))

    def from_failure(
        self,
        failure: temporalio.api.failure.v1.Failure,
        payload_converter: PayloadConverter,
    ) -> BaseException:
        """See base class."""
        convert = _not_derived(self, "_from_dict", FailureConverter._from_dict)
        return convert(message_to_dict(failure), payload_converter)

    def _to_dict(self, exception: BaseException, payload_converter: PayloadConverter) -> FailureDict:
        nexusrpc = sys.modules.get("nexusrpc")
        if isinstance(exception, exceptions.FailureError):
            failure = self._failure_error_to_dict(exception, payload_converter)
        elif nexusrpc is not None and isinstance(exception, nexusrpc.HandlerError):
            failure = self._handler_error_to_dict(exception, payload_converter)
        else:
            # Whatever else was raised is the application's.
            failure = self._error_to_dict(
                exceptions.ApplicationError(str(exception), type=exception.__class__.__name__),
                payload_converter,
                raised=exception,
            )
        return failure

    def _failure_error_to_dict(self, error: exceptions.FailureError, converter: PayloadConverter) -> FailureDict:
        if error._raw_failure is not None:
            return self._passed_on(error._raw_failure, converter)  # came over the wire and goes on as it came
        if error.failure is not None:
            return self._passed_on(message_to_dict(error.failure), converter)
        return self._error_to_dict(error, converter, raised=error)

    def _passed_on(self, failure: Mapping[str, Any], converter: PayloadConverter) -> FailureDict:
        """A failure from elsewhere; its words are encoded here where they have not been, or were decoded."""
        failure = dict(failure)
        if not self._encode_common_attributes:
            return failure
        if failure.get("message") != _ENCODED_MESSAGE or "encoded_attributes" not in failure:
            self._encode_words(failure, converter)
        if failure.get("cause") is not None:
            failure["cause"] = self._passed_on(failure["cause"], converter)
        return failure

    @staticmethod
    def _encode_words(failure: FailureDict, converter: PayloadConverter) -> None:
        words = {"message": failure.get("message", ""), "stack_trace": failure.get("stack_trace", "")}
        failure["encoded_attributes"] = converter._to_dict(words)
        failure["message"] = _ENCODED_MESSAGE
        failure.pop("stack_trace", None)

    def _error_to_dict(
        self, error: exceptions.FailureError, converter: PayloadConverter, *, raised: BaseException
    ) -> FailureDict:
        failure = self._common_to_dict(error.message, raised, converter)
        write = _INFO_WRITERS.get(type(error)) or _inherited_writer(type(error))
        if write is not None:
            field, info = write(error, converter)
            failure[field] = info
        return failure

    def _common_to_dict(self, message: str, raised: BaseException, converter: PayloadConverter) -> FailureDict:
        failure: FailureDict = {"message": message}
        if raised.__traceback__ is not None:
            failure["stack_trace"] = "\n".join(traceback.format_tb(raised.__traceback__))
        cause = raised.__cause__
        if cause is None and isinstance(raised, exceptions.FailureError) and not raised.__suppress_context__:
            # Raised while another error was handled, without saying so.
            cause = raised.__context__
        if cause is not None:
            failure["cause"] = self._to_dict(cause, converter)
        if self._encode_common_attributes:
            self._encode_words(failure, converter)
        return failure

    def _handler_error_to_dict(self, error: Any, converter: PayloadConverter) -> FailureDict:
        original = error.original_failure
        if original is not None and (original.metadata or {}).get("type") == FAILURE:
            return self._nexus_failure_to_dict(original, error.__cause__, converter)
        failure = self._common_to_dict(error.message, error, converter)
        info: dict[str, Any] = {"type": error.type.name}
        if error.retryable_override is not None:
            info["retry_behavior"] = _RETRYABLE if error.retryable_override else _NON_RETRYABLE
        failure["nexus_handler_failure_info"] = info
        return failure

    def _nexus_failure_to_dict(
        self, original: Any, cause: BaseException | None, converter: PayloadConverter
    ) -> FailureDict:
        import json

        from temporalio import _core

        text = json.dumps({**(original.details or {}), "message": original.message})
        failure = _core.decode(FAILURE, _core.from_json(FAILURE, text))
        if original.stack_trace:
            failure["stack_trace"] = original.stack_trace
        if cause is not None:
            failure["cause"] = self._to_dict(cause, converter)
        return failure

    def _from_dict(self, failure: FailureDict, payload_converter: PayloadConverter) -> BaseException:
        failure = self._with_encoded_attributes(failure, payload_converter)
        message = failure.get("message", "")
        error: BaseException | None = None
        for field, read in _INFO_READERS.items():
            info = failure.get(field)
            if info is not None:
                error = read(message, info, payload_converter)
                break
        if error is None:
            if failure.get("nexus_handler_failure_info") is not None:
                error = _read_handler_error(message, failure)
            else:
                error = exceptions.FailureError(message or "Failure error")
        if isinstance(error, exceptions.FailureError):
            error._raw_failure = failure
        cause = failure.get("cause")
        if cause is not None:
            error.__cause__ = self._from_dict(cause, payload_converter)
        return error

    def _with_encoded_attributes(self, failure: FailureDict, converter: PayloadConverter) -> FailureDict:
        encoded = failure.get("encoded_attributes")
        if encoded is None:
            return failure
        attributes = converter._from_dict(encoded)
        if not isinstance(attributes, dict):
            return failure
        failure = dict(failure)
        for name in ("message", "stack_trace"):
            if isinstance(attributes.get(name), str):
                failure[name] = attributes[name]
        return failure


class DefaultFailureConverterWithEncodedAttributes(DefaultFailureConverter):
    """The default converter, with messages and stack traces in payloads."""

    def __init__(self) -> None:
        """Makes the converter."""
        super().__init__(encode_common_attributes=True)


FailureConverter.default = DefaultFailureConverter()


# --- writing ----------------------------------------------------------------------------------------------------------

_Written = tuple[str, dict[str, Any]]


def _details(values: Sequence[Any], converter: PayloadConverter) -> dict[str, Any]:
    return {"payloads": converter._to_dicts(values)}


def _write_application(error: exceptions.ApplicationError, converter: PayloadConverter) -> _Written:
    info: dict[str, Any] = {}
    if error.type:
        info["type"] = error.type
    if error.non_retryable:
        info["non_retryable"] = True
    if error.details:
        info["details"] = _details(error.details, converter)
    if error.next_retry_delay is not None:
        info["next_retry_delay"] = duration_ns(error.next_retry_delay)
    if error.category:
        info["category"] = int(error.category)
    return "application_failure_info", info


def _write_timeout(error: exceptions.TimeoutError, converter: PayloadConverter) -> _Written:
    info: dict[str, Any] = {"timeout_type": int(error.type or 0)}
    if error.last_heartbeat_details:
        info["last_heartbeat_details"] = _details(error.last_heartbeat_details, converter)
    return "timeout_failure_info", info


def _write_cancelled(error: exceptions.CancelledError, converter: PayloadConverter) -> _Written:
    return "canceled_failure_info", {"details": _details(error.details, converter)} if error.details else {}


def _write_terminated(error: exceptions.TerminatedError, converter: PayloadConverter) -> _Written:
    return "terminated_failure_info", {}


def _write_server(error: exceptions.ServerError, converter: PayloadConverter) -> _Written:
    return "server_failure_info", {"non_retryable": error.non_retryable}


def _write_activity(error: exceptions.ActivityError, converter: PayloadConverter) -> _Written:
    return "activity_failure_info", {
        "scheduled_event_id": error.scheduled_event_id,
        "started_event_id": error.started_event_id,
        "identity": error.identity,
        "activity_type": {"name": error.activity_type},
        "activity_id": error.activity_id,
        "retry_state": int(error.retry_state or 0),
    }


def _write_child(error: exceptions.ChildWorkflowError, converter: PayloadConverter) -> _Written:
    return "child_workflow_execution_failure_info", {
        "namespace": error.namespace,
        "workflow_execution": {"workflow_id": error.workflow_id, "run_id": error.run_id},
        "workflow_type": {"name": error.workflow_type},
        "initiated_event_id": error.initiated_event_id,
        "started_event_id": error.started_event_id,
        "retry_state": int(error.retry_state or 0),
    }


def _write_nexus_operation(error: exceptions.NexusOperationError, converter: PayloadConverter) -> _Written:
    return "nexus_operation_execution_failure_info", {
        "scheduled_event_id": error.scheduled_event_id,
        "endpoint": error.endpoint,
        "service": error.service,
        "operation": error.operation,
        "operation_token": error.operation_token,
    }


_INFO_WRITERS: Mapping[type, Callable[[Any, PayloadConverter], _Written]] = {
    exceptions.ApplicationError: _write_application,
    exceptions.TimeoutError: _write_timeout,
    exceptions.CancelledError: _write_cancelled,
    exceptions.TerminatedError: _write_terminated,
    exceptions.ServerError: _write_server,
    exceptions.ActivityError: _write_activity,
    exceptions.ChildWorkflowError: _write_child,
    exceptions.NexusOperationError: _write_nexus_operation,
}


def _inherited_writer(kind: type) -> Callable[[Any, PayloadConverter], _Written] | None:
    for base in kind.__mro__:
        if base in _INFO_WRITERS:
            return _INFO_WRITERS[base]
    return None


# --- reading ----------------------------------------------------------------------------------------------------------


def _values(payloads: Mapping[str, Any] | None, converter: PayloadConverter) -> Sequence[Any]:
    found = payload_list(payloads)
    return converter._from_dicts(found) if found else []


def _enum_or_none(kind: type[_EnumType], value: int) -> _EnumType | None:
    try:
        return kind(value) if value else None
    except ValueError:  # a server newer than this package
        return None


def _read_application(message: str, info: Mapping[str, Any], converter: PayloadConverter) -> BaseException:
    category = info.get("category", 0)
    return exceptions.ApplicationError(
        message or "Application error",
        *_values(info.get("details"), converter),
        type=info.get("type") or None,
        non_retryable=bool(info.get("non_retryable")),
        next_retry_delay=to_timedelta_or_none(info.get("next_retry_delay")),
        category=exceptions.ApplicationErrorCategory(category if category in (0, 1) else 0),
    )


def _read_timeout(message: str, info: Mapping[str, Any], converter: PayloadConverter) -> BaseException:
    return exceptions.TimeoutError(
        message or "Timeout",
        type=_enum_or_none(exceptions.TimeoutType, info.get("timeout_type", 0)),
        last_heartbeat_details=_values(info.get("last_heartbeat_details"), converter),
    )


def _read_cancelled(message: str, info: Mapping[str, Any], converter: PayloadConverter) -> BaseException:
    return exceptions.CancelledError(message or "Cancelled", *_values(info.get("details"), converter))


def _read_terminated(message: str, info: Mapping[str, Any], converter: PayloadConverter) -> BaseException:
    return exceptions.TerminatedError(message or "Terminated")


def _read_server(message: str, info: Mapping[str, Any], converter: PayloadConverter) -> BaseException:
    return exceptions.ServerError(message or "Server error", non_retryable=bool(info.get("non_retryable")))


def _read_activity(message: str, info: Mapping[str, Any], converter: PayloadConverter) -> BaseException:
    return exceptions.ActivityError(
        message or "Activity error",
        scheduled_event_id=info.get("scheduled_event_id", 0),
        started_event_id=info.get("started_event_id", 0),
        identity=info.get("identity", ""),
        activity_type=info.get("activity_type", {}).get("name", ""),
        activity_id=info.get("activity_id", ""),
        retry_state=_enum_or_none(exceptions.RetryState, info.get("retry_state", 0)),
    )


def _read_child(message: str, info: Mapping[str, Any], converter: PayloadConverter) -> BaseException:
    execution = info.get("workflow_execution", {})
    return exceptions.ChildWorkflowError(
        message or "Child workflow error",
        namespace=info.get("namespace", ""),
        workflow_id=execution.get("workflow_id", ""),
        run_id=execution.get("run_id", ""),
        workflow_type=info.get("workflow_type", {}).get("name", ""),
        initiated_event_id=info.get("initiated_event_id", 0),
        started_event_id=info.get("started_event_id", 0),
        retry_state=_enum_or_none(exceptions.RetryState, info.get("retry_state", 0)),
    )


def _read_nexus_operation(message: str, info: Mapping[str, Any], converter: PayloadConverter) -> BaseException:
    return exceptions.NexusOperationError(
        message or "Nexus operation error",
        scheduled_event_id=info.get("scheduled_event_id", 0),
        endpoint=info.get("endpoint", ""),
        service=info.get("service", ""),
        operation=info.get("operation", ""),
        operation_token=info.get("operation_token", ""),
    )


_INFO_READERS: Mapping[str, Callable[[str, Mapping[str, Any], PayloadConverter], BaseException]] = {
    "application_failure_info": _read_application,
    "timeout_failure_info": _read_timeout,
    "canceled_failure_info": _read_cancelled,
    "terminated_failure_info": _read_terminated,
    "server_failure_info": _read_server,
    "activity_failure_info": _read_activity,
    "child_workflow_execution_failure_info": _read_child,
    "nexus_operation_execution_failure_info": _read_nexus_operation,
}


def _read_handler_error(message: str, failure: FailureDict) -> BaseException:
    import json

    import nexusrpc

    from temporalio import _core

    info = failure["nexus_handler_failure_info"]
    name = info.get("type", "")
    try:
        kind = nexusrpc.HandlerErrorType[name]
    except KeyError:
        kind = nexusrpc.HandlerErrorType.INTERNAL
    behavior = info.get("retry_behavior", 0)
    # The failure in Nexus's own form: what it shows as fields is left out of the rest.
    rest = {k: v for k, v in failure.items() if k not in ("message", "stack_trace", "cause")}
    details = json.loads(_core.to_json(FAILURE, _core.encode(FAILURE, rest)))
    return nexusrpc.HandlerError(
        message or "Nexus handler error",
        type=kind,
        retryable_override={_RETRYABLE: True, _NON_RETRYABLE: False}.get(behavior),
        stack_trace=failure.get("stack_trace") or None,
        original_failure=nexusrpc.Failure(
            message=failure.get("message", ""),
            stack_trace=failure.get("stack_trace", ""),
            metadata={"type": FAILURE},
            details=details,
        ),
    )
