"""What operators do to runs and activities."""

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import request_response_pb2 as rpc

import commands as c
from scenarios import scenario
from steps import Script, seconds


@scenario
async def options_of_a_run(s: Script) -> None:
    await s.start()
    s.note("reply", await s.call("update_workflow_execution_options", rpc.UpdateWorkflowExecutionOptionsRequest(
        workflow_execution=s.execution(), update_mask=FieldMask(paths=["versioning_override"]), workflow_execution_options=WorkflowExecutionOptions())))
    await s.refused(s.call("update_workflow_execution_options", rpc.UpdateWorkflowExecutionOptionsRequest(
        workflow_execution=s.execution(), update_mask=FieldMask(paths=["colour"]), workflow_execution_options=WorkflowExecutionOptions())))
    await s.history()


@scenario
async def activity_reset_while_it_runs(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry(maximum_attempts=3)))
    work = await s.activity()
    await s.call("reset_activity", rpc.ResetActivityRequest(execution=s.execution(), id="a"))
    s.note("beat", await s.heartbeat(work))
    await s.activity_failed(work)
    for _ in range(2):
        work = await s.activity()
        s.note("attempt", {"attempt": work.attempt})
        await s.activity_failed(work)
    s.note("pending", {"count": len((await s.describe()).pending_activities)})
    await s.history()


@scenario
async def activity_reset_on_its_only_attempt(s: Script) -> None:
    await s.start()
    await s.step(c.activity(retry_policy=c.retry(maximum_attempts=1)))
    work = await s.activity()
    await s.call("reset_activity", rpc.ResetActivityRequest(execution=s.execution(), id="a"))
    await s.activity_failed(work)
    s.note("attempts", {"of": [p.attempt for p in (await s.describe()).pending_activities]})
    await s.history()


@scenario
async def activity_paused_and_unpaused(s: Script) -> None:
    await s.start()
    await s.step(c.activity())
    await s.call("pause_activity", rpc.PauseActivityRequest(execution=s.execution(), id="a", reason="wait"))
    pending = (await s.describe()).pending_activities[0]
    s.note("paused", {"paused": pending.paused, "state": pending.state})
    await s.call("unpause_activity", rpc.UnpauseActivityRequest(execution=s.execution(), id="a"))
    work = await s.activity()
    await s.call("pause_activity", rpc.PauseActivityRequest(execution=s.execution(), id="a"))
    s.note("beat", await s.heartbeat(work))
    await s.activity_done(work)
    await s.history()


@scenario
async def activity_control_refused(s: Script) -> None:
    await s.refused(s.call("pause_activity", rpc.PauseActivityRequest(execution=s.execution(), id="a")))
    await s.start()
    await s.refused(s.call("pause_activity", rpc.PauseActivityRequest(execution=s.execution(), id="a")))
    await s.refused(s.call("unpause_activity", rpc.UnpauseActivityRequest(execution=s.execution(), id="a")))
    await s.refused(s.call("reset_activity", rpc.ResetActivityRequest(execution=s.execution(), id="a")))
    await s.refused(s.call("pause_activity", rpc.PauseActivityRequest(execution=s.execution())))


@scenario
async def activity_with_other_options(s: Script) -> None:
    await s.start()
    await s.step(c.activity())
    options = ActivityOptions(start_to_close_timeout=seconds(7), retry_policy=RetryPolicy(maximum_attempts=3))
    s.note("reply", await s.call("update_activity_options", rpc.UpdateActivityOptionsRequest(
        execution=s.execution(), id="a", activity_options=options, update_mask=FieldMask(paths=["start_to_close_timeout", "retry_policy.maximum_attempts"]))))
    work = await s.activity()
    await s.activity_done(work)
    await s.history()
