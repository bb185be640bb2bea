"""Applies a payload codec or external storage to activations and completions.

Both walk the message by one table of where payloads are; nothing here runs for a data converter that has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from temporalio.converter import WorkflowSerializationContext

from ._command_aware_visitor import CommandInfo
from ._workflow_commands import (
    COMMAND_ACTIVITY,
    COMMAND_CHILD,
    COMMAND_LOCAL_ACTIVITY,
    COMMAND_NEXUS,
)

if TYPE_CHECKING:
    from temporalio.converter import DataConverter

    from ._workflow_instance import WorkflowInstance

Message = dict[str, Any]

# Where payloads are: kind of place, path to it
_ONE, _LIST, _MAP, _HEADERS, _FAILURE = range(5)
_Place = tuple[int, tuple[str, ...]]

_RESULT: Sequence[_Place] = (
    (_ONE, ("completed", "result")),
    (_FAILURE, ("failed",)),
    (_FAILURE, ("cancelled",)),
)
_JOBS: Mapping[str, Sequence[_Place]] = {
    "initialize_workflow": (
        (_LIST, ("arguments",)),
        (_LIST, ("last_completion_result",)),
        (_MAP, ("memo",)),
        (_HEADERS, ("headers",)),
        (_FAILURE, ("continued_failure",)),
    ),
    "resolve_activity": _RESULT,
    "resolve_child": _RESULT,
    "resolve_child_start": ((_FAILURE, ("cancelled",)),),
    "resolve_signal_external": ((_FAILURE, ("failure",)),),
    "resolve_cancel_external": ((_FAILURE, ("failure",)),),
    "signal_workflow": ((_LIST, ("input",)), (_HEADERS, ("headers",))),
    "query_workflow": ((_LIST, ("arguments",)), (_HEADERS, ("headers",))),
    "do_update": ((_LIST, ("input",)), (_HEADERS, ("headers",))),
    "resolve_nexus_start": ((_FAILURE, ("failed",)),),
    "resolve_nexus": (
        (_ONE, ("completed",)),
        (_FAILURE, ("failed",)),
        (_FAILURE, ("cancelled",)),
        (_FAILURE, ("timed_out",)),
    ),
}
_COMMANDS: Mapping[str, Sequence[_Place]] = {
    "schedule_activity": ((_LIST, ("arguments",)), (_HEADERS, ("headers",))),
    "schedule_local_activity": ((_LIST, ("arguments",)), (_HEADERS, ("headers",))),
    "start_child": ((_LIST, ("input",)), (_MAP, ("memo",)), (_HEADERS, ("headers",))),
    "signal_external": ((_LIST, ("arguments",)), (_HEADERS, ("headers",))),
    "complete_workflow": ((_ONE, ("result",)),),
    "fail_workflow": ((_FAILURE, ("failure",)),),
    "continue_as_new": ((_LIST, ("arguments",)), (_MAP, ("memo",)), (_HEADERS, ("headers",))),
    "respond_query": ((_ONE, ("succeeded",)), (_FAILURE, ("failed",))),
    "update_response": ((_ONE, ("completed",)), (_FAILURE, ("failed",)), (_FAILURE, ("rejected",))),
    "modify_properties": ((_MAP, ("memo",)),),
    "schedule_nexus": ((_ONE, ("input",)),),
}
_METADATA: Sequence[_Place] = ((_ONE, ("user_metadata", "summary")), (_ONE, ("user_metadata", "details")))

# What a job or command is about, for the context of its payloads
_JOB_COMMANDS = {
    "resolve_child": COMMAND_CHILD,
    "resolve_child_start": COMMAND_CHILD,
    "resolve_nexus_start": COMMAND_NEXUS,
    "resolve_nexus": COMMAND_NEXUS,
}
_COMMAND_COMMANDS = {
    "schedule_activity": COMMAND_ACTIVITY,
    "schedule_local_activity": COMMAND_LOCAL_ACTIVITY,
    "start_child": COMMAND_CHILD,
    "schedule_nexus": COMMAND_NEXUS,
}


class ActivationCodec:
    """See the module's description. Runs on the event loop."""

    def __init__(self, data_converter: DataConverter, encode_headers: bool) -> None:
        self._converter = data_converter
        self._encode_headers = encode_headers
        self.is_needed = data_converter._has_transform

    async def decode(self, act: Message, instance: Optional[WorkflowInstance], namespace: str) -> None:
        """Decodes an activation in place."""
        workflow_id = ""
        for job in act.get("jobs") or ():
            if "initialize_workflow" in job:
                workflow_id = job["initialize_workflow"]["workflow_id"]
        for job in act.get("jobs") or ():
            variant, value = next(iter(job.items()))
            places = _JOBS.get(variant)
            if not places:
                continue
            kind = _JOB_COMMANDS.get(variant, 0)
            if variant == "resolve_activity":
                kind = COMMAND_LOCAL_ACTIVITY if value.get("is_local") else COMMAND_ACTIVITY
            converter = self._for(instance, kind, value.get("seq", 0), namespace, workflow_id)
            await self._visit(value, places, converter._inbound_dicts, converter._inbound_failure_dict)

    async def encode(self, completion: Message, instance: Optional[WorkflowInstance]) -> Message:
        """Encodes a completion in place and returns it."""
        converter = self._for(instance, 0, 0, "", "")
        if "failure" in completion:
            completion["failure"] = await converter._outbound_failure_dict(completion["failure"])
        for command in completion.get("commands") or ():
            variant = next(key for key in command if key not in ("user_metadata", "event_group_markers"))
            value = command[variant]
            converter = self._for(instance, _COMMAND_COMMANDS.get(variant, 0), value.get("seq", 0), "", "")
            if variant == "signal_external":
                converter = self._for_signal(instance, value)
            elif variant in ("complete_workflow", "fail_workflow"):
                converter = self._for_result(instance, converter)
            outbound, failures = converter._outbound_dicts, converter._outbound_failure_dict
            await self._visit(value, _COMMANDS.get(variant, ()), outbound, failures)
            if "user_metadata" in command:
                await self._visit(command, _METADATA, outbound, failures)
        return completion

    def _for(
        self, instance: Optional[WorkflowInstance], kind: int, seq: int, namespace: str, workflow_id: str
    ) -> DataConverter:
        """The data converter for what one job or command carries."""
        if instance is None:
            if not workflow_id:
                return self._converter
            return self._converter.with_context(WorkflowSerializationContext(namespace, workflow_id))
        info = CommandInfo(kind, seq) if kind else None
        context = instance.get_serialization_context(info)
        converter = self._converter if context is None else self._converter.with_context(context)
        return converter._with_store_context(instance.get_external_store_context(info))

    def _for_signal(self, instance: Optional[WorkflowInstance], command: Message) -> DataConverter:
        """A signal's payloads belong to the workflow that gets it."""
        if instance is None:
            return self._converter
        info = instance.get_info()
        target = command.get("child_workflow_id") or command.get("workflow", {}).get("workflow_id", "")
        converter = self._converter.with_context(WorkflowSerializationContext(info.namespace, target))
        if self._converter.external_storage is None:
            return converter
        from temporalio.converter import StorageDriverStoreContext, StorageDriverWorkflowInfo

        run_id = command.get("workflow", {}).get("run_id") or None
        return converter._with_store_context(
            StorageDriverStoreContext(
                target=StorageDriverWorkflowInfo(namespace=info.namespace, id=target, run_id=run_id)
            )
        )

    @staticmethod
    def _for_result(instance: Optional[WorkflowInstance], converter: DataConverter) -> DataConverter:
        """A child's result is stored with its parent, whose replays need it when the child is long forgotten."""
        parent = instance.get_info().parent if instance is not None else None
        if parent is None or converter.external_storage is None:
            return converter
        from temporalio.converter import StorageDriverStoreContext, StorageDriverWorkflowInfo

        return converter._with_store_context(
            StorageDriverStoreContext(
                target=StorageDriverWorkflowInfo(
                    namespace=parent.namespace, id=parent.workflow_id, run_id=parent.run_id
                )
            )
        )

    async def _visit(
        self,
        message: Message,
        places: Sequence[_Place],
        payloads: Callable[[Sequence[Message]], Coroutine[Any, Any, list[Message]]],
        failures: Callable[[Message], Coroutine[Any, Any, Message]],
    ) -> None:
        for kind, path in places:
            if kind == _HEADERS and not self._encode_headers:
                continue
            parent = message
            for step in path[:-1]:
                parent = parent.get(step) or {}
            name = path[-1]
            value = parent.get(name)
            if not value:
                continue
            if kind == _ONE:
                parent[name] = (await payloads([value]))[0]
            elif kind == _LIST:
                parent[name] = await payloads(value)
            elif kind == _FAILURE:
                parent[name] = await failures(value)
            else:
                parent[name] = {key: (await payloads([item]))[0] for key, item in value.items()}
