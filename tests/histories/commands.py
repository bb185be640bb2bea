"""Commands of workflow tasks, and the messages that answer updates."""

from typing import Any

from google.protobuf.any_pb2 import Any as Packed
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import ActivityType, RetryPolicy, WorkflowType
from temporalio.api.enums.v1 import CommandType
from temporalio.api.failure.v1 import Failure
from temporalio.api.protocol.v1 import Message
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Acceptance, Meta, Outcome, Rejection, Request, Response

from steps import failure, payloads, seconds


def command(kind: str, field: str, metadata: Any = None, **attributes: Any) -> Command:
    made = Command(command_type=CommandType.Value(f"COMMAND_TYPE_{kind}"), user_metadata=metadata)
    target = getattr(made, f"{field}_command_attributes")
    target.SetInParent()
    target.MergeFrom(type(target)(**attributes))
    return made


def activity(id: str = "a", **fields: Any) -> Command:
    fields = {"activity_type": ActivityType(name="act"), "start_to_close_timeout": seconds(20), "input": payloads("in"), **fields}
    return command("SCHEDULE_ACTIVITY_TASK", "schedule_activity_task", activity_id=id, **fields)


def cancel_activity(event_id: int) -> Command:
    return command("REQUEST_CANCEL_ACTIVITY_TASK", "request_cancel_activity_task", scheduled_event_id=event_id)


def timer(id: str = "t", s: float = 100, **fields: Any) -> Command:
    return command("START_TIMER", "start_timer", timer_id=id, start_to_fire_timeout=seconds(s), **fields)


def cancel_timer(id: str = "t") -> Command:
    return command("CANCEL_TIMER", "cancel_timer", timer_id=id)


def marker(name: str = "m", **fields: Any) -> Command:
    return command("RECORD_MARKER", "record_marker", marker_name=name, **{"details": {"data": payloads("detail")}, **fields})


def complete(**fields: Any) -> Command:
    return command("COMPLETE_WORKFLOW_EXECUTION", "complete_workflow_execution", **{"result": payloads("result"), **fields})


def fail(cause: Failure | None = None) -> Command:
    return command("FAIL_WORKFLOW_EXECUTION", "fail_workflow_execution", failure=cause or failure())


def cancel() -> Command:
    return command("CANCEL_WORKFLOW_EXECUTION", "cancel_workflow_execution", details=payloads("canceled"))


def continue_as_new(**fields: Any) -> Command:
    return command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION", "continue_as_new_workflow_execution", **{"input": payloads("again"), **fields})


def child(id: str, queue: str, **fields: Any) -> Command:
    fields = {"workflow_type": WorkflowType(name="child type"), "task_queue": TaskQueue(name=queue), **fields}
    return command("START_CHILD_WORKFLOW_EXECUTION", "start_child_workflow_execution", workflow_id=id, **fields)


def signal_external(execution: Any, name: str = "s", **fields: Any) -> Command:
    return command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", "signal_external_workflow_execution", execution=execution, signal_name=name,
                   **{"input": payloads("hello"), "control": "c", **fields})


def cancel_external(workflow_id: str, **fields: Any) -> Command:
    return command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", "request_cancel_external_workflow_execution", workflow_id=workflow_id,
                   **{"control": "c", "reason": "why not", **fields})


def upsert(**attributes: Any) -> Command:
    return command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", "upsert_workflow_search_attributes", search_attributes={"indexed_fields": attributes})


def modify_memo(**fields: Any) -> Command:
    return command("MODIFY_WORKFLOW_PROPERTIES", "modify_workflow_properties", upserted_memo={"fields": fields})


def place(message_id: str) -> Command:
    return command("PROTOCOL_MESSAGE", "protocol_message", message_id=message_id)


def retry(**fields: Any) -> RetryPolicy:
    return RetryPolicy(**{"initial_interval": seconds(0.1), "backoff_coefficient": 1, "maximum_interval": seconds(1), **fields})


# ---- updates ----


def _message(update_id: str, what: str, body: Any) -> Message:
    packed = Packed()
    packed.Pack(body)
    return Message(id=f"{update_id}/{what}", protocol_instance_id=update_id, body=packed)


def accepted(task: Any, update_id: str = "u") -> Message:
    sent = next(m for m in task.messages if m.protocol_instance_id == update_id)
    request = Request()
    sent.body.Unpack(request)
    return _message(update_id, "accept", Acceptance(accepted_request_message_id=sent.id, accepted_request_sequencing_event_id=sent.event_id,
                                                    accepted_request=request))


def rejected(task: Any, update_id: str = "u") -> Message:
    sent = next(m for m in task.messages if m.protocol_instance_id == update_id)
    request = Request()
    sent.body.Unpack(request)
    return _message(update_id, "reject", Rejection(rejected_request_message_id=sent.id, rejected_request_sequencing_event_id=sent.event_id,
                                                   rejected_request=request, failure=failure("no", type="Refusal")))


def answered(update_id: str = "u") -> Message:
    return _message(update_id, "complete", Response(meta=Meta(update_id=update_id, identity="tester"), outcome=Outcome(success=payloads("outcome"))))
