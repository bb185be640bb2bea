"""How runs begin: deduplication, policies, options."""

from temporalio.api.common.v1 import Header, Memo, Priority, RetryPolicy, SearchAttributes, WorkflowType
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy as Conflict
from temporalio.api.enums.v1 import WorkflowIdReusePolicy as Reuse
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import OnConflictOptions

import commands as c
from scenarios import add, scenario
from steps import Script, payload, payloads, seconds


@scenario
async def start_with_everything(s: Script) -> None:
    await s.start(input=payloads("in"), workflow_execution_timeout=seconds(300), workflow_run_timeout=seconds(200), workflow_task_timeout=seconds(5),
                  memo=Memo(fields={"m": payload("memo")}), header=Header(fields={"h": payload("header")}), retry_policy=RetryPolicy(maximum_attempts=3),
                  search_attributes=SearchAttributes(), user_metadata=UserMetadata(summary=payload("summary"), details=payload("details")),
                  priority=Priority(priority_key=2), cron_schedule="0 0 1 1 *")
    await s.history()


@scenario
async def start_with_timeouts_that_cap_each_other(s: Script) -> None:
    await s.start(workflow_execution_timeout=seconds(50), workflow_run_timeout=seconds(200), workflow_task_timeout=seconds(600))
    await s.history()


@scenario
async def start_with_the_same_request_id(s: Script) -> None:
    request = s.start_request()
    first = await s.call("start_workflow_execution", request)
    s.note("again", await s.call("start_workflow_execution", request))
    s.note("same", {"run": first.run_id})
    await s.terminate()
    s.note("closed", await s.call("start_workflow_execution", request))
    await s.history()


@scenario
async def start_while_it_runs(s: Script) -> None:
    await s.start()
    await s.refused(s.start())
    await s.refused(s.start(workflow_id_conflict_policy=Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL))
    s.note("existing", await s.start(workflow_id_conflict_policy=Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING))
    await s.history()


@scenario
async def start_that_ends_the_running_one(s: Script) -> None:
    old = await s.start()
    await s.start(workflow_id_conflict_policy=Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING)
    await s.history(run_id=old.run_id, label="old")
    await s.history(label="new")


@scenario
async def start_with_the_old_policy_that_terminates(s: Script) -> None:
    old = await s.start()
    await s.start(workflow_id_reuse_policy=Reuse.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING)
    await s.history(run_id=old.run_id, label="old")
    await s.history(label="new")


@scenario
async def start_that_attaches_to_the_running_one(s: Script) -> None:
    await s.start()
    options = OnConflictOptions(attach_request_id=True)
    request = s.start_request(workflow_id_conflict_policy=Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, on_conflict_options=options, request_id="attached")
    s.note("attached", await s.call("start_workflow_execution", request))
    s.note("again", await s.call("start_workflow_execution", request))
    await s.history()


for name, policy in {"any": Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, "only_failed": Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
                     "none": Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE}.items():
    for end, command in {"completed": c.complete(), "failed": c.fail()}.items():
        async def play(s: Script, policy: int = policy, command: object = command) -> None:
            await s.start()
            await s.step(command)
            try:
                await s.start(workflow_id_reuse_policy=policy)
                s.note("started", {})
                await s.history()
            except Exception:
                await s.refused(s.start(workflow_id_reuse_policy=policy))
        add(f"start_again_{name}_after_it_{end}", play)


@scenario
async def start_refused(s: Script) -> None:
    await s.refused(s.start(workflow_type=WorkflowType()))
    await s.refused(s.start(task_queue=TaskQueue()))
    await s.refused(s.start("x" * 1001))
    await s.refused(s.start(request_id="x" * 1001))
    await s.refused(s.start(workflow_run_timeout=seconds(-1)))
    await s.refused(s.start(workflow_task_timeout=seconds(-1)))
    await s.refused(s.start(retry_policy=RetryPolicy(backoff_coefficient=0.1)))
    await s.refused(s.start(retry_policy=RetryPolicy(initial_interval=seconds(10), maximum_interval=seconds(1))))
    await s.refused(s.start(cron_schedule="sometimes"))
    await s.refused(s.start(cron_schedule="* * * * *", workflow_start_delay=seconds(5)))
    await s.refused(s.start(namespace="nowhere"))
    await s.refused(s.start(workflow_id_reuse_policy=Reuse.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING,
                            workflow_id_conflict_policy=Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL))
    await s.refused(s.start(workflow_id_reuse_policy=Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
                            workflow_id_conflict_policy=Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING))
    await s.refused(s.start(search_attributes=SearchAttributes(indexed_fields={"Unknown": payload("x")})))
    await s.refused(s.signal_with_start(workflow_id_conflict_policy=Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL))
    await s.refused(s.signal_with_start(signal=""))


@scenario
async def start_with_a_delay(s: Script) -> None:
    await s.start(workflow_start_delay=seconds(1))
    await s.signal()
    await s.history(label="waiting")
    await s.step(c.complete())
    await s.history()


@scenario
async def start_with_a_delay_and_a_cancel_request(s: Script) -> None:
    await s.start(workflow_start_delay=seconds(100))
    await s.cancel()
    await s.step(c.cancel())
    await s.history()


@scenario
async def start_eager(s: Script) -> None:
    reply = await s.start(request_eager_execution=True)
    s.note("events", {"count": len(reply.eager_workflow_task.history.events), "attempt": reply.eager_workflow_task.attempt})
    await s.done(reply.eager_workflow_task, c.complete())
    await s.history()


@scenario
async def signal_with_start_of_nothing(s: Script) -> None:
    s.note("reply", await s.signal_with_start(signal_input=payloads("in"), input=payloads("first")))
    await s.history()


@scenario
async def signal_with_start_of_a_running_one(s: Script) -> None:
    await s.start()
    s.note("reply", await s.signal_with_start(signal_input=payloads("in")))
    await s.history()


@scenario
async def signal_with_start_of_a_closed_one(s: Script) -> None:
    await s.start()
    await s.step(c.complete())
    s.note("reply", await s.signal_with_start())
    await s.history()
    await s.terminate()
    await s.refused(s.signal_with_start(workflow_id_reuse_policy=Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE))


@scenario
async def signals_to_what_is_not_there(s: Script) -> None:
    await s.refused(s.signal())
    await s.refused(s.cancel())
    await s.refused(s.terminate())
    await s.refused(s.describe())
    await s.refused(s.query())
    await s.refused(s.events())
    await s.refused(s.events(run_id="no uuid"))
    await s.refused(s.reset(4))


@scenario
async def signals_to_a_closed_run(s: Script) -> None:
    await s.start()
    await s.step(c.complete())
    await s.refused(s.signal())
    await s.refused(s.terminate())
    await s.cancel()
    await s.history()


@scenario
async def the_same_signal_twice(s: Script) -> None:
    await s.start()
    await s.signal("s", input=payloads("one"))
    await s.signal("s", input=payloads("two"))
    await s.signal("other", header=Header(fields={"h": payload("header")}))
    await s.refused(s.signal(""))
    await s.history()


@scenario
async def two_cancel_requests(s: Script) -> None:
    await s.start()
    await s.cancel()
    await s.cancel(request_id="another")
    await s.history()


@scenario
async def requests_for_another_chain(s: Script) -> None:
    await s.start()
    other = "11111111-2222-4333-8444-555555555555"
    await s.refused(s.cancel(first_execution_run_id=other))
    await s.refused(s.terminate(first_execution_run_id=other))
    await s.refused(s.signal(run_id=other))
    await s.history()
