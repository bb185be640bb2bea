"""From what workflow code asks for to commands.

``CommandBuilder`` is a part of the workflow run: it converts values, numbers commands and adds them to the completion.
``RootOutbound`` is the last link of the outbound interceptors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union

import temporalio.activity
import temporalio.common
import temporalio.workflow
from temporalio import _lazy
from temporalio._values import duration_ns
from temporalio.converter import (
    ActivitySerializationContext,
    CompositePayloadConverter,
    DefaultFailureConverter,
    NexusSerializationContext,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)
from temporalio.converter._messages import headers_from_protos, headers_to_protos, payload_from_proto, payload_to_proto
from temporalio.converter._search_attributes import attributes_to_dicts, typed_value_to_dict, values_to_dict
from temporalio.exceptions import FailureError
from temporalio.workflow import EventGroup, VersioningIntent

from ._interceptor import (
    ContinueAsNewInput,
    SignalChildWorkflowInput,
    SignalExternalWorkflowInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    StartNexusOperationInput,
    WorkflowOutboundInterceptor,
)
from ._workflow_handles import (
    ActivityHandleImpl,
    ChildWorkflowHandleImpl,
    ExternalWorkflowHandleImpl,
    NexusOperationHandleImpl,
    group_markers,
    uncancel,
)
from ._workflow_state import RunState

if TYPE_CHECKING:
    import temporalio.converter

    from ._command_aware_visitor import CommandInfo
    from ._workflow_run import WorkflowRun

Message = dict[str, Any]

# temporal.api.enums.v1.CommandType of the commands whose payloads have a context of their own
COMMAND_ACTIVITY, COMMAND_CHILD, COMMAND_SIGNAL, COMMAND_NEXUS = 1, 11, 10, 17
COMMAND_LOCAL_ACTIVITY = 7  # a marker in history

STORED_ELSEWHERE = "[TMPRL1105] Detected externally stored payload(s) but external storage is not configured."

_INTENTS = {None: 0, VersioningIntent.COMPATIBLE: 1, VersioningIntent.DEFAULT: 2}


class Conversion:
    """The converters for the values of one context."""

    __slots__ = ("payload", "failure")

    def __init__(self, payload: Any, failure: Any) -> None:
        self.payload = payload
        self.failure = failure


_plain_conversion: Optional[Conversion] = None  # the last one that holds nothing of its run; that of most


class CommandBuilder(RunState):
    """The part of a workflow run that makes commands."""

    _is_context_aware = False
    _failure_converter: Any

    def _init_conversion(self) -> None:
        global _plain_conversion
        det = self._details
        payload = self._converter = self._workflow_converter = det.payload_converter_factory()
        is_own = det.failure_converter_class is DefaultFailureConverter
        if is_own and _plain_conversion is not None and _plain_conversion.payload is payload:
            self._conversion = _plain_conversion
            return
        failure = self._failure_converter = det.failure_converter_class()
        if is_context_free(payload) and is_context_free(failure):
            self._conversion = Conversion(payload, failure)
            if is_own:
                _plain_conversion = self._conversion
            return
        # Asked anew for every context: one that makes no difference to them says nothing of the next
        probe = WorkflowSerializationContext(self._info.namespace, self._info.workflow_id)
        self._conversion = Conversion(_with_context(payload, probe), _with_context(failure, probe))
        self._is_context_aware = True
        self._workflow_converter = self._conversion.payload

    def _conversion_for(self, make_context: Callable[[], SerializationContext]) -> Conversion:
        if not self._is_context_aware:
            return self._conversion
        context = make_context()
        return Conversion(_with_context(self._converter, context), _with_context(self._failure_converter, context))

    # ------------------------------------------------------------------------------------------------------ conversion

    def _encode_one(self, value: Any, conversion: Optional[Conversion] = None) -> Message:
        payload: Message = (conversion or self._conversion).payload._to_dicts((value,))[0]
        return payload

    def _encode_args(self, values: Sequence[Any], conversion: Optional[Conversion] = None) -> list[Message]:
        if not values:
            return []
        payloads: list[Message] = (conversion or self._conversion).payload._to_dicts(values)
        return payloads

    def _decode_one(self, payload: Message, hint: Any, conversion: Optional[Conversion]) -> Any:
        hints = None if hint is None else [hint]
        return self._decode_args([payload], hints, conversion)[0]

    def _decode_args(
        self,
        payloads: Sequence[Message],
        hints: Optional[list[Any]],
        conversion: Optional[Conversion] = None,
    ) -> list[Any]:
        if not payloads:
            return []
        if hints is not None and len(hints) != len(payloads):
            hints = None
        for payload in payloads:
            if "external_payloads" in payload:
                raise RuntimeError(STORED_ELSEWHERE)
        try:
            values: list[Any] = (conversion or self._conversion).payload._from_dicts(payloads, hints)
            return values
        except FailureError:
            raise
        except Exception as err:
            if self.workflow_is_failure_exception(err):
                # It fails the workflow, so its own words are worth more
                raise
            raise RuntimeError("Failed decoding arguments") from err

    def _to_failure(self, err: BaseException) -> Message:
        failure: Message = self._conversion.failure._to_dict(err, self._conversion.payload)
        return failure

    def _to_exception(self, failure: Message, conversion: Optional[Conversion]) -> BaseException:
        used = conversion or self._conversion
        error: BaseException = used.failure._from_dict(failure, used.payload)
        return error

    @staticmethod
    def _payload_proto(payload: Message) -> Any:
        return payload_to_proto(payload)

    @staticmethod
    def _read_headers(headers: Optional[Mapping[str, Message]]) -> Mapping[str, Any]:
        return headers_to_protos(headers) if headers else {}

    def _last_result_payloads(self) -> Sequence[Message]:
        last: Any = self._details.last_completion_result
        if isinstance(last, list):
            return last
        return [payload_from_proto(p) for p in last.payloads] if last is not None else []

    @staticmethod
    def _failure_message(failure: Any) -> Message:
        if isinstance(failure, dict):
            return failure
        from temporalio.converter._messages import message_to_dict

        return message_to_dict(failure)

    # -------------------------------------------------------------------------------------------------------- commands

    def _next_seq(self, kind: str) -> int:
        seq = self._seqs.get(kind, 0) + 1
        self._seqs[kind] = seq
        return seq

    def _add_command(
        self,
        command: Message,
        metadata: Optional[Message] = None,
        markers: Optional[list[Message]] = None,
    ) -> None:
        self._assert_not_read_only("add command")
        if metadata:
            command["user_metadata"] = metadata
        if markers:
            command["event_group_markers"] = markers
        self._commands.append(command)

    def _metadata(self, summary: Optional[str], details: Optional[str] = None) -> Optional[Message]:
        if summary is None and details is None:
            return None
        metadata: Message = {}
        if summary is not None:
            metadata["summary"] = self._encode_one(summary)
        if details is not None:
            metadata["details"] = self._encode_one(details)
        return metadata

    def workflow_label_payload(self, label: str) -> Message:
        return self._encode_one(label)

    # ------------------------------------------------------------------------------------------------------ activities

    def workflow_start_activity(
        self, activity: Any, *args: Any, result_type: Optional[type], **options: Any
    ) -> temporalio.workflow.ActivityHandle[Any]:
        self._assert_not_read_only("start activity")
        name, arg_types, ret_type = _activity_parts(activity, result_type)
        return self._outbound.start_activity(
            _lazy.instance(
                StartActivityInput,
                activity=name,
                args=args,
                disable_eager_execution=self._disable_eager_activities,
                headers={},
                arg_types=arg_types,
                ret_type=ret_type,
                **options,
            )
        )

    def workflow_start_local_activity(
        self, activity: Any, *args: Any, result_type: Optional[type], **options: Any
    ) -> temporalio.workflow.ActivityHandle[Any]:
        self._assert_not_read_only("start local activity")
        name, arg_types, ret_type = _activity_parts(activity, result_type)
        check = self._details.extern_functions.get("__temporal_assert_local_activity_valid")
        if check is not None:
            check(name)
        return self._outbound.start_local_activity(
            StartLocalActivityInput(
                activity=name, args=args, headers={}, arg_types=arg_types, ret_type=ret_type, **options
            )
        )

    def _start_activity(
        self, input: Union[StartActivityInput, StartLocalActivityInput]
    ) -> ActivityHandleImpl:
        is_local = isinstance(input, StartLocalActivityInput)
        if input.start_to_close_timeout is None and input.schedule_to_close_timeout is None:
            raise ValueError(f"Activity {input.activity} needs a limit of time: set start_to_close_timeout or schedule_to_close_timeout")
        conversion = self._conversion_for(lambda: self._activity_context(input))
        message: Message = {"activity_type": input.activity, "activity_id": input.activity_id or ""}
        arguments = self._encode_args(input.args, conversion)
        if arguments:
            message["arguments"] = arguments
        if input.schedule_to_close_timeout is not None:
            message["schedule_to_close_timeout"] = duration_ns(input.schedule_to_close_timeout)
        if input.schedule_to_start_timeout is not None:
            message["schedule_to_start_timeout"] = duration_ns(input.schedule_to_start_timeout)
        if input.start_to_close_timeout is not None:
            message["start_to_close_timeout"] = duration_ns(input.start_to_close_timeout)
        if input.headers:
            message["headers"] = headers_from_protos(input.headers)
        if input.retry_policy is not None:
            message["retry_policy"] = input.retry_policy._to_dict()
        if input.cancellation_type:
            message["cancellation_type"] = int(input.cancellation_type)
        if isinstance(input, StartLocalActivityInput):
            _put_durations(message, local_retry_threshold=input.local_retry_threshold)
        else:
            if input.heartbeat_timeout is not None:
                message["heartbeat_timeout"] = duration_ns(input.heartbeat_timeout)
            if input.task_queue:
                message["task_queue"] = input.task_queue
            if input.disable_eager_execution:
                message["do_not_eagerly_execute"] = True
            if input.versioning_intent is not None:
                message["versioning_intent"] = _INTENTS[input.versioning_intent]
            priority, default = input.priority, temporalio.common.Priority.default
            if priority is not default and priority is not None and priority != default:
                message["priority"] = priority._to_dict()
        return ActivityHandleImpl(
            self,
            message,
            is_local=is_local,
            ret_type=input.ret_type,
            converter=conversion,
            metadata=self._metadata(input.summary),
            markers=group_markers(input.event_groups),
        )

    def _activity_context(
        self, input: Union[StartActivityInput, StartLocalActivityInput]
    ) -> ActivitySerializationContext:
        is_local = isinstance(input, StartLocalActivityInput)
        task_queue = None if is_local else input.task_queue  # type: ignore[union-attr]
        return ActivitySerializationContext(
            namespace=self._info.namespace,
            activity_id=input.activity_id,
            activity_type=input.activity,
            activity_task_queue=task_queue or self._info.task_queue,
            workflow_id=self._info.workflow_id,
            workflow_type=self._info.workflow_type,
            is_local=is_local,
        )

    # -------------------------------------------------------------------------------------------------------- children

    async def workflow_start_child_workflow(
        self, workflow: Any, *args: Any, id: Optional[str], result_type: Optional[type], **options: Any
    ) -> temporalio.workflow.ChildWorkflowHandle[Any, Any]:
        self._assert_not_read_only("start child workflow")
        arg_types: Optional[list[type]] = None
        ret_type: Any = result_type
        if isinstance(workflow, str):
            name = workflow
        elif callable(workflow):
            defn = temporalio.workflow._Definition.must_from_run_fn(workflow)
            if defn.name is None:
                raise ValueError("Cannot invoke dynamic workflow explicitly")
            name, arg_types, ret_type = defn.name, defn.arg_types, defn.ret_type
        else:
            raise TypeError("A workflow is named by a string or by its run method")
        return await self._outbound.start_child_workflow(
            StartChildWorkflowInput(
                workflow=name,
                args=args,
                id=id or str(temporalio.workflow.uuid4()),
                headers={},
                arg_types=arg_types,
                ret_type=ret_type,
                **options,
            )
        )

    async def _start_child(self, input: StartChildWorkflowInput) -> ChildWorkflowHandleImpl:
        conversion = self._conversion_for(
            lambda: WorkflowSerializationContext(self._info.namespace, input.id)
        )
        message: Message = {
            "workflow_id": input.id,
            "workflow_type": input.workflow,
            "parent_close_policy": int(input.parent_close_policy),
            "workflow_id_reuse_policy": int(input.id_reuse_policy),
            "cancellation_type": int(input.cancellation_type),
        }
        arguments = self._encode_args(input.args, conversion)
        if arguments:
            message["input"] = arguments
        _put_durations(
            message,
            execution_timeout=input.execution_timeout,
            run_timeout=input.run_timeout,
            task_timeout=input.task_timeout,
        )
        if input.task_queue:
            message["task_queue"] = input.task_queue
        if input.retry_policy is not None:
            message["retry_policy"] = input.retry_policy._to_dict()
        if input.cron_schedule:
            message["cron_schedule"] = input.cron_schedule
        if input.headers:
            message["headers"] = headers_from_protos(input.headers)
        if input.memo:
            message["memo"] = {key: self._encode_one(value, conversion) for key, value in input.memo.items()}
        if input.search_attributes:
            message["search_attributes"] = attributes_to_dicts(input.search_attributes)
        if input.versioning_intent is not None:
            message["versioning_intent"] = _INTENTS[input.versioning_intent]
        if input.priority is not None and input.priority != temporalio.common.Priority.default:
            message["priority"] = input.priority._to_dict()
        if input.versioning_override is not None:
            message["versioning_override"] = input.versioning_override._to_dict()
        metadata = self._metadata(input.static_summary, input.static_details)
        markers = group_markers(input.event_groups)
        handle = ChildWorkflowHandleImpl(self, input, conversion)
        message["seq"] = handle._seq
        self._add_command({"start_child": message}, metadata, markers)
        await handle.wait_for_start()
        return handle

    # -------------------------------------------------------------------------------------------------- other workflows

    def workflow_get_external_workflow_handle(
        self, id: str, *, run_id: Optional[str]
    ) -> temporalio.workflow.ExternalWorkflowHandle[Any]:
        return ExternalWorkflowHandleImpl(self, id, run_id)

    async def _signal_workflow(
        self,
        command: Message,
        workflow_id: str,
        input: Union[SignalChildWorkflowInput, SignalExternalWorkflowInput],
    ) -> None:
        conversion = self._conversion_for(
            lambda: WorkflowSerializationContext(self._info.namespace, workflow_id)
        )
        seq = self._next_seq("signal")
        command["seq"] = seq
        command["signal_name"] = input.signal
        arguments = self._encode_args(input.args, conversion)
        if arguments:
            command["arguments"] = arguments
        if input.headers:
            command["headers"] = headers_from_protos(input.headers)
        future: asyncio.Future[None] = self.create_future()
        self._add_command({"signal_external": command}, None, group_markers(input.event_groups))
        self._signals_out[seq] = (future, conversion)
        while True:
            try:
                await asyncio.shield(future)
                return
            except asyncio.CancelledError:
                uncancel()
                if not future.done():
                    self._add_command({"cancel_signal": {"seq": seq}})

    async def _cancel_external(
        self,
        workflow_id: str,
        run_id: Optional[str],
        reason: str,
        event_groups: Optional[Sequence[EventGroup]],
    ) -> None:
        seq = self._next_seq("cancel")
        future: asyncio.Future[None] = self.create_future()
        command: Message = {"seq": seq, "workflow": self._execution(self._info.namespace, workflow_id, run_id)}
        if reason:
            command["reason"] = reason
        self._add_command({"cancel_external": command}, None, group_markers(event_groups))
        self._cancels_out[seq] = future
        await future

    @staticmethod
    def _execution(namespace: str, workflow_id: str, run_id: Optional[str]) -> Message:
        return {"namespace": namespace, "workflow_id": workflow_id, "run_id": run_id or ""}

    # ----------------------------------------------------------------------------------------------------------- nexus

    async def workflow_start_nexus_operation(
        self, **options: Any
    ) -> temporalio.workflow.NexusOperationHandle[Any]:
        self._assert_not_read_only("start nexus operation")
        return await self._outbound.start_nexus_operation(StartNexusOperationInput(**options))

    async def _start_nexus_operation(self, input: StartNexusOperationInput) -> NexusOperationHandleImpl:
        conversion = self._conversion_for(
            lambda: NexusSerializationContext(input.endpoint, input.service, input.operation_name)
        )
        message: Message = {
            "endpoint": input.endpoint,
            "service": input.service,
            "operation": input.operation_name,
            "input": self._encode_one(input.input, conversion),
            "cancellation_type": int(input.cancellation_type),
        }
        if input.headers:
            message["nexus_header"] = dict(input.headers)
        _put_durations(
            message,
            schedule_to_close_timeout=input.schedule_to_close_timeout,
            schedule_to_start_timeout=input.schedule_to_start_timeout,
            start_to_close_timeout=input.start_to_close_timeout,
        )
        metadata = self._metadata(input.summary)
        markers = group_markers(input.event_groups)
        handle = NexusOperationHandleImpl(self, input.output_type, conversion, input.operation_name)
        message["seq"] = handle._seq
        self._add_command({"schedule_nexus": message}, metadata, markers)
        await handle.wait_for_start()
        return handle

    # ------------------------------------------------------------------------------------- the end, and what is upserted

    def _add_continue_as_new(self, input: ContinueAsNewInput) -> None:
        message: Message = {}
        if input.workflow:
            message["workflow_type"] = input.workflow
        if input.task_queue:
            message["task_queue"] = input.task_queue
        arguments = self._encode_args(input.args)
        if arguments:
            message["arguments"] = arguments
        _put_durations(
            message,
            run_timeout=input.run_timeout,
            task_timeout=input.task_timeout,
            backoff_start_interval=input.backoff_start_interval,
        )
        if input.headers:
            message["headers"] = headers_from_protos(input.headers)
        if input.retry_policy is not None:
            message["retry_policy"] = input.retry_policy._to_dict()
        if input.memo is not None:
            message["has_memo"] = True
            message["memo"] = {key: self._encode_one(value) for key, value in input.memo.items()}
        if input.search_attributes is not None:
            message["has_search_attributes"] = True
            message["search_attributes"] = attributes_to_dicts(input.search_attributes)
        if input.versioning_intent is not None:
            message["versioning_intent"] = _INTENTS[input.versioning_intent]
        if input.initial_versioning_behavior:
            message["initial_versioning_behavior"] = int(input.initial_versioning_behavior)
        self._add_command({"continue_as_new": message}, None, group_markers(input.event_groups))

    def workflow_upsert_memo(
        self, updates: Mapping[str, Any], *, event_groups: Optional[Sequence[EventGroup]] = None
    ) -> None:
        if not updates:
            return
        changed = {key: self._encode_one(value) for key, value in updates.items()}
        markers = group_markers(event_groups)
        self._add_command({"modify_properties": {"memo": changed}}, None, markers)
        values = dict(self.workflow_memo())
        for key, value in updates.items():
            if value is None:
                self._memo.pop(key, None)
                values.pop(key, None)
            else:
                self._memo[key] = changed[key]
                values[key] = self._decode_one(changed[key], None, None)
        self._memo_values = values

    def workflow_upsert_search_attributes(
        self,
        attributes: Union[temporalio.common.SearchAttributes, Sequence[temporalio.common.SearchAttributeUpdate]],
        *,
        event_groups: Optional[Sequence[EventGroup]] = None,
    ) -> None:
        if isinstance(attributes, Mapping):
            temporalio.common._warn_on_deprecated_search_attributes(attributes, stack_level=3)
            payloads = {name: values_to_dict(values) for name, values in attributes.items()}
        else:
            payloads = {update.key.name: typed_value_to_dict(update.key, update.value) for update in attributes}
        markers = group_markers(event_groups)
        self._add_command({"upsert_search_attributes": {"search_attributes": payloads}}, None, markers)
        if isinstance(attributes, Mapping):
            self._note_untyped(attributes)
        else:
            self._note_typed(attributes)

    def _note_untyped(self, attributes: temporalio.common.SearchAttributes) -> None:
        untyped: dict[str, Any] = dict(self._info.search_attributes)
        for name, values in attributes.items():
            untyped.pop(name, None)
            if values:
                untyped[name] = values
        pairs = list(self._info.typed_search_attributes.search_attributes)
        for index in reversed(range(len(pairs))):
            changed = attributes.get(pairs[index].key.name)
            if changed is None:
                continue
            key = pairs[index].key
            if changed:
                value: Any = changed if key.origin_value_type is list else changed[0]
                pairs[index] = temporalio.common.SearchAttributePair(key, value)
            else:
                del pairs[index]
        self._set_search_attributes(untyped, pairs)

    def _note_typed(self, updates: Sequence[temporalio.common.SearchAttributeUpdate]) -> None:
        untyped: dict[str, Any] = dict(self._info.search_attributes)
        pairs = {pair.key.name: pair for pair in self._info.typed_search_attributes.search_attributes}
        for update in updates:
            name = update.key.name
            if update.value is None:
                untyped.pop(name, None)
                pairs.pop(name, None)
                continue
            is_list = not isinstance(update.value, str) and isinstance(update.value, Sequence)
            untyped[name] = list(update.value) if is_list else [update.value]  # type: ignore[arg-type]
            pairs[name] = temporalio.common.SearchAttributePair(update.key, update.value)
        self._set_search_attributes(untyped, list(pairs.values()))

    def _set_search_attributes(self, untyped: Mapping[str, Any], pairs: Sequence[Any]) -> None:
        # The info belongs to this run alone; that it is frozen binds the workflow's code
        object.__setattr__(self._info, "search_attributes", untyped)
        object.__setattr__(
            self._info, "typed_search_attributes", temporalio.common.TypedSearchAttributes(list(pairs))
        )

    # -------------------------------------------------------------------------------------------- contexts for the worker

    def get_serialization_context(
        self, command_info: Optional[CommandInfo]
    ) -> Optional[temporalio.converter.SerializationContext]:
        if command_info is not None:
            kind, seq = command_info.command_type, command_info.command_seq
            if kind in (COMMAND_ACTIVITY, COMMAND_LOCAL_ACTIVITY) and seq in self._activities:
                handle = self._activities[seq]
                message = handle._message
                return ActivitySerializationContext(
                    namespace=self._info.namespace,
                    activity_id=message.get("activity_id") or None,
                    activity_type=message["activity_type"],
                    activity_task_queue=message.get("task_queue") or self._info.task_queue,
                    workflow_id=self._info.workflow_id,
                    workflow_type=self._info.workflow_type,
                    is_local=handle._is_local,
                )
            if kind == COMMAND_CHILD and seq in self._children:
                return WorkflowSerializationContext(self._info.namespace, self._children[seq].id)
        return WorkflowSerializationContext(self._info.namespace, self._info.workflow_id)

    def get_external_store_context(
        self, command_info: Optional[CommandInfo]
    ) -> temporalio.converter.StorageDriverStoreContext:
        from temporalio.converter import StorageDriverStoreContext, StorageDriverWorkflowInfo

        workflow_id: str = self._info.workflow_id
        run_id: Optional[str] = self._info.run_id
        workflow_type: Optional[str] = self._info.workflow_type
        if command_info is not None and command_info.command_type == COMMAND_CHILD:
            child = self._children.get(command_info.command_seq)
            if child is not None:
                workflow_id, run_id, workflow_type = child.id, child.first_execution_run_id, child._type
        return StorageDriverStoreContext(
            target=StorageDriverWorkflowInfo(
                namespace=self._info.namespace, id=workflow_id, run_id=run_id, type=workflow_type
            )
        )


class RootOutbound(WorkflowOutboundInterceptor):
    """Makes the commands."""

    def __init__(self, run: WorkflowRun) -> None:
        self._run = run

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        from ._workflow_run import ContinueAsNewErrorImpl

        raise ContinueAsNewErrorImpl(input)

    def info(self) -> temporalio.workflow.Info:
        return self._run._info

    async def signal_child_workflow(self, input: SignalChildWorkflowInput) -> None:
        run = self._run
        command: Message = {"child_workflow_id": input.child_workflow_id}
        for seq, handle in run._children.items():
            if handle.id == input.child_workflow_id:
                command["child_seq"] = seq
                break
        else:
            command["workflow"] = run._execution(run._info.namespace, input.child_workflow_id, None)
        await run._signal_workflow(command, input.child_workflow_id, input)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        target = self._run._execution(input.namespace, input.workflow_id, input.workflow_run_id)
        await self._run._signal_workflow({"workflow": target}, input.workflow_id, input)

    def start_activity(self, input: StartActivityInput) -> temporalio.workflow.ActivityHandle[Any]:
        return self._run._start_activity(input)

    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> temporalio.workflow.ChildWorkflowHandle[Any, Any]:
        return await self._run._start_child(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> temporalio.workflow.ActivityHandle[Any]:
        return self._run._start_activity(input)

    async def start_nexus_operation(self, input: StartNexusOperationInput) -> temporalio.workflow.NexusOperationHandle:
        return await self._run._start_nexus_operation(input)

    async def start_system_nexus_operation(
        self, input: StartNexusOperationInput
    ) -> temporalio.workflow.NexusOperationHandle:
        return await self._run._start_nexus_operation(input)


def _with_context(converter: Any, context: SerializationContext) -> Any:
    return converter.with_context(context) if isinstance(converter, WithSerializationContext) else converter


def is_context_free(converter: Any) -> bool:
    """Whether contexts are known to make no difference to a converter. False where that is not certain."""
    inner = getattr(converter, "_inner_payload_converter", converter)
    if isinstance(inner, CompositePayloadConverter):
        return type(inner).with_context is CompositePayloadConverter.with_context and not inner._wants_context
    return not isinstance(inner, WithSerializationContext)


def _put_durations(message: Message, **durations: Optional[timedelta]) -> None:
    for name, value in durations.items():
        if value is not None:
            message[name] = duration_ns(value)


def _activity_parts(activity: Any, result_type: Optional[type]) -> tuple[str, Optional[list[type]], Any]:
    """An activity's name, parameter types and result type."""
    if isinstance(activity, str):
        return activity, None, result_type
    if not callable(activity):
        raise TypeError("An activity is named by a string or by its function")
    defn = temporalio.activity._Definition.must_from_callable(activity)
    if defn.name is None:
        raise ValueError("Cannot invoke dynamic activity explicitly")
    return defn.name, defn.arg_types, defn.ret_type
