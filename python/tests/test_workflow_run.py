"""The workflow run, fed with activations as C hands them over."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import warnings
from datetime import timedelta
from typing import Any

import pytest

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError
from temporalio.worker import WorkflowInboundInterceptor
from temporalio.worker._workflow_instance import _WorkflowLogicFlag

from conftest import Driver, payload

CANCELLED = {"message": "Cancelled", "canceled_failure_info": {}}
ACTIVITY_CANCELLED = {
    "message": "Activity error",
    "activity_failure_info": {"activity_type": {"name": "say"}, "activity_id": "1"},
    "cause": CANCELLED,
}


def signal(name: str, *args: str) -> dict[str, Any]:
    return {"signal_workflow": {"signal_name": name, "input": [payload(a) for a in args]}}


def query(name: str, *args: str) -> dict[str, Any]:
    return {"query_workflow": {"query_id": "q", "query_type": name, "arguments": [payload(a) for a in args]}}


def update(name: str, *args: str, **fields: Any) -> dict[str, Any]:
    values = {"id": "u", "protocol_instance_id": "p", "name": name, "run_validator": True}
    return {"do_update": {**values, "input": [payload(a) for a in args], **fields}}


def resolved(seq: int, **outcome: Any) -> dict[str, Any]:
    return {"resolve_activity": {"seq": seq, **outcome}}


def kinds(commands: list[dict[str, Any]]) -> list[str]:
    return [next(iter(c)) for c in commands]


@workflow.defn
class Hello:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity("say", name, schedule_to_close_timeout=timedelta(seconds=5))


def test_an_activity_is_scheduled_and_its_result_completes_the_workflow(driver: type[Driver]) -> None:
    d = driver(Hello, '"x"')
    (command,) = d.start()
    assert command["schedule_activity"] == {
        "seq": 1,
        "activity_id": "1",
        "activity_type": "say",
        "arguments": [payload('"x"')],
        "schedule_to_close_timeout": 5_000_000_000,
    }
    (command,) = d.commands(resolved(1, completed={"result": payload('"Hello, x"')}))
    assert command == {"complete_workflow": {"result": payload('"Hello, x"')}}


def test_a_failed_activity_fails_the_workflow_with_the_chain_of_causes(driver: type[Driver]) -> None:
    d = driver(Hello, '"x"')
    d.start()
    failure = {
        "message": "Activity error",
        "activity_failure_info": {"activity_type": {"name": "say"}},
        "cause": {"message": "no", "application_failure_info": {"type": "T"}},
    }
    (command,) = d.commands(resolved(1, failed=failure))
    assert command["fail_workflow"]["failure"]["cause"]["application_failure_info"]["type"] == "T"


def test_any_other_exception_fails_the_task_and_leaves_no_command(driver: type[Driver]) -> None:
    completion = driver(Broken).activate({"initialize_workflow": {"workflow_type": "Broken"}})
    assert "commands" not in completion
    assert completion["failure"]["message"] == "bug"


@workflow.defn
class Broken:
    @workflow.run
    async def run(self) -> None:
        workflow.start_activity("a", start_to_close_timeout=timedelta(1))
        raise RuntimeError("bug")


def test_a_type_the_worker_lists_fails_the_workflow_instead(driver: type[Driver]) -> None:
    d = driver(Broken, worker_level_failure_exception_types=[RuntimeError])
    assert kinds(d.start())[-1] == "fail_workflow"


@workflow.defn
class Trace:
    """Writes down the order in which things happen."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        self.events.append("run")
        await workflow.wait_condition(lambda: "signal 2" in self.events)
        self.events.append("run 2")
        return self.events

    @workflow.signal
    async def go(self) -> None:
        self.events.append("signal")
        await workflow.wait_condition(lambda: True)
        self.events.append("signal 2")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (frozenset(), '["signal","signal 2","run","run 2"]'),
        (
            frozenset({_WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH}),
            '["signal","run","signal 2","run 2"]',
        ),
    ],
)
def test_signals_run_before_the_workflow_starts_and_on_their_own_unless_batched(
    driver: type[Driver], flags: Any, expected: str
) -> None:
    d = driver(Trace, default_workflow_logic_flags=flags)
    (command,) = d.start(signal("go"))
    assert command["complete_workflow"]["result"] == payload(expected)


def wrapped(fn: Any) -> Any:
    @functools.wraps(fn)
    def inner(*args: Any) -> Any:
        return fn(*args)

    return inner


@workflow.defn
class Mixed:
    """Handlers that need a task and handlers that do not, side by side."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.woken = asyncio.Event()

    @workflow.run
    async def run(self) -> list[Any]:
        self.events.append("run")
        await self.woken.wait()
        self.events.append(("woken", workflow.all_handlers_finished()))
        await workflow.wait_condition(lambda: "end" in self.events)
        return self.events

    @workflow.signal
    def plain(self, n: int) -> None:
        self.events.append(("plain", n))
        asyncio.create_task(self.later(n))
        self.woken.set()

    async def later(self, n: int) -> None:
        self.events.append(("later", n))

    @workflow.signal
    async def task(self, n: int) -> None:
        self.events.append(("task", n))
        await asyncio.sleep(0)
        self.events.append(("task again", n))

    @workflow.signal
    @wrapped
    async def wrapped(self, n: int) -> None:
        self.events.append(("wrapped", n))
        await asyncio.sleep(0)

    @workflow.signal
    def lying(self, n: int) -> None:
        return self.later(n)  # type: ignore[return-value]

    @workflow.signal
    def end(self) -> None:
        self.events.append("end")

    @workflow.signal
    def refuse(self, how: str) -> None:
        if how == "failure":
            raise ApplicationError("refused")
        if how == "new":
            workflow.continue_as_new()
        raise ValueError("a mistake")


class PassesOn(WorkflowInboundInterceptor):
    """With an interceptor each handler has its task."""


@pytest.mark.parametrize("interceptors", [[], [PassesOn]], ids=["plain", "intercepted"])
@pytest.mark.parametrize("first", [True, False])
def test_handlers_that_need_no_task_keep_their_place(driver: type[Driver], interceptors: Any, first: bool) -> None:
    d = driver(Mixed, interceptor_classes=interceptors)
    signals = [signal(name, str(n)) for n, name in enumerate(["task", "plain", "wrapped", "plain", "task"])]
    if first:
        d.start(*signals)
    else:
        d.start()
        d.commands(*signals)
    assert d.commands(signal("lying", "9")) == []
    (command,) = d.commands(signal("end"))
    got = json.loads(command["complete_workflow"]["result"]["data"])
    expected: list[Any] = [["task", 0], ["plain", 1], ["wrapped", 2], ["plain", 3], ["task", 4], ["task again", 0], ["later", 1]]
    rest: list[Any] = [["later", 3], ["task again", 4]]
    if first:
        expected += [*rest, "run", ["woken", True]]
    else:
        expected = ["run", *expected, ["woken", False], *rest]
    assert got == [*expected, ["later", 9], "end"]


@pytest.mark.parametrize("interceptors", [[], [PassesOn]], ids=["plain", "intercepted"])
@pytest.mark.parametrize(
    ("how", "kind"), [("failure", "fail_workflow"), ("new", "continue_as_new"), ("mistake", None)]
)
def test_what_a_plain_handler_raises_is_what_the_workflow_raises(
    driver: type[Driver], interceptors: Any, how: str, kind: Any
) -> None:
    d = driver(Mixed, interceptor_classes=interceptors)
    d.start()
    completion = d.activate(signal("refuse", f'"{how}"'))
    if kind is None:
        assert "commands" not in completion and completion["failure"]
    else:
        assert kinds(completion["commands"]) == [kind]


def test_a_flag_is_noted_once_and_only_outside_of_replay(driver: type[Driver]) -> None:
    flag = _WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH
    d = driver(Hello, '"x"', default_workflow_logic_flags=frozenset({flag}))
    assert "used_sdk_flags" not in d.activate(d.init_job(), is_replaying=True)
    assert d.activate(resolved(1, failed=ACTIVITY_CANCELLED))["used_sdk_flags"] == [2]


@workflow.defn
class Timers:
    @workflow.run
    async def run(self) -> str:
        task = asyncio.create_task(asyncio.sleep(100))
        await workflow.sleep(1, summary="nap")
        task.cancel()
        try:
            await workflow.wait_condition(lambda: False, timeout=2, timeout_summary="wait")
        except asyncio.TimeoutError:
            return "timeout"
        return "?"


def test_timers_are_commands_and_a_cancelled_one_is_cancelled(driver: type[Driver]) -> None:
    d = driver(Timers)
    nap, sleep = d.start()
    assert nap["start_timer"] == {"seq": 1, "start_to_fire_timeout": 1_000_000_000}
    assert nap["user_metadata"]["summary"] == payload('"nap"')
    assert sleep["start_timer"]["seq"] == 2
    commands = d.commands({"fire_timer": {"seq": 1}})
    assert kinds(commands) == ["start_timer", "cancel_timer"]
    assert commands[0]["user_metadata"]["summary"] == payload('"wait"')
    (command,) = d.commands({"fire_timer": {"seq": 3}})
    assert command["complete_workflow"]["result"] == payload('"timeout"')


@workflow.defn
class Cancelled:
    @workflow.run
    async def run(self, swallow: bool) -> str:
        handle = workflow.start_activity("say", start_to_close_timeout=timedelta(1))
        try:
            return await handle
        except ActivityError as err:
            if swallow:
                assert isinstance(err.cause, CancelledError)
                return workflow.cancellation_reason() or ""
            raise


@pytest.mark.parametrize(("swallow", "last"), [("true", "complete_workflow"), ("false", "cancel_workflow_execution")])
def test_a_cancelled_workflow_asks_its_activity_to_stop_and_waits_for_it(
    driver: type[Driver], swallow: str, last: str
) -> None:
    d = driver(Cancelled, swallow)
    d.start()
    assert kinds(d.commands({"cancel_workflow": {"reason": "why"}})) == ["request_cancel_activity"]
    assert kinds(d.commands(resolved(1, cancelled=ACTIVITY_CANCELLED))) == [last]


def test_a_workflow_cancelled_before_it_began_still_takes_its_first_step(driver: type[Driver]) -> None:
    d = driver(Cancelled, "false")
    commands = d.start({"cancel_workflow": {}})
    assert kinds(commands) == ["schedule_activity", "request_cancel_activity", "cancel_workflow_execution"]


@workflow.defn
class Local:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_local_activity("l", start_to_close_timeout=timedelta(1), result_type=int)


def test_a_local_activity_in_backoff_waits_on_a_timer_and_is_scheduled_again(driver: type[Driver]) -> None:
    d = driver(Local)
    (command,) = d.start()
    assert command["schedule_local_activity"]["seq"] == 1
    backoff = {"attempt": 4, "backoff_duration": 60_000_000_000, "original_schedule_time": 7}
    (command,) = d.commands(resolved(1, is_local=True, backoff=backoff))
    assert command["start_timer"]["start_to_fire_timeout"] == 60_000_000_000
    (command,) = d.commands({"fire_timer": {"seq": 1}})
    again = command["schedule_local_activity"]
    assert (again["seq"], again["attempt"], again["original_schedule_time"]) == (2, 4, 7)
    assert again["activity_id"] == "2"  # as the official package has it
    (command,) = d.commands(resolved(2, is_local=True, completed={"result": payload("5")}))
    assert command["complete_workflow"]["result"] == payload("5")


@workflow.defn
class Patched:
    @workflow.run
    async def run(self) -> list[bool]:
        return [workflow.patched("p"), workflow.patched("p")]


@pytest.mark.parametrize(
    ("is_replaying", "jobs", "expected"),
    [
        (False, [], ["set_patch_marker", "complete_workflow"]),
        (True, [], ["complete_workflow"]),
        (True, [{"notify_has_patch": {"patch_id": "p"}}], ["set_patch_marker", "complete_workflow"]),
    ],
)
def test_a_patch_takes_the_new_way_unless_history_went_the_old_one(
    driver: type[Driver], is_replaying: bool, jobs: Any, expected: list[str]
) -> None:
    assert kinds(driver(Patched).start(*jobs, is_replaying=is_replaying)) == expected


def test_a_declined_patch_takes_the_old_way_and_leaves_no_marker(driver: type[Driver]) -> None:
    asked = []
    d = driver(Patched, patch_activation_callback=lambda i: asked.append(i.patch_id) or False)
    (command,) = d.start()
    assert command["complete_workflow"]["result"] == payload("[false,false]")
    assert asked == ["p"]


@workflow.defn
class Parent:
    def __init__(self) -> None:
        self.log: list[str] = []

    @workflow.run
    async def run(self) -> str:
        handle = await workflow.start_child_workflow("Child", 1, id="child", static_summary="s")
        self.log.append(handle.first_execution_run_id or "")
        await handle.signal("poke", 2)
        return await handle


def test_a_child_is_started_signalled_and_awaited(driver: type[Driver]) -> None:
    d = driver(Parent)
    (command,) = d.start()
    assert command["start_child"]["workflow_id"] == "child"
    assert command["user_metadata"]["summary"] == payload('"s"')
    (command,) = d.commands({"resolve_child_start": {"seq": 1, "run_id": "r"}})
    assert command["signal_external"] == {
        "seq": 1,
        "child_seq": 1,
        "child_workflow_id": "child",
        "signal_name": "poke",
        "arguments": [payload("2")],
    }
    assert d.commands({"resolve_signal_external": {"seq": 1}}) == []
    (command,) = d.commands({"resolve_child": {"seq": 1, "completed": {"result": payload('"done"')}}})
    assert command["complete_workflow"]["result"] == payload('"done"')


def test_a_child_that_cannot_start_raises_where_it_was_started(driver: type[Driver]) -> None:
    d = driver(Parent)
    d.start()
    failed = {"workflow_id": "child", "workflow_type": "Child", "cause": 1}
    (command,) = d.commands({"resolve_child_start": {"seq": 1, "failed": failed}})
    assert kinds([command]) == ["fail_workflow"]


def test_cancelling_while_a_child_starts_is_not_held_up_by_it(driver: type[Driver]) -> None:
    d = driver(Parent)
    d.start()
    assert kinds(d.commands({"cancel_workflow": {}})) == ["cancel_child", "cancel_workflow_execution"]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (frozenset(), "complete_workflow"),
        (frozenset({_WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH}), "cancel_workflow_execution"),
    ],
)
def test_the_child_that_completed_in_the_same_task_as_the_cancellation(
    driver: type[Driver], flags: Any, expected: str, order: int
) -> None:
    d = driver(Parent, default_workflow_logic_flags=flags)
    d.start()
    d.commands({"resolve_child_start": {"seq": 1, "run_id": "r"}})
    d.commands({"resolve_signal_external": {"seq": 1}})
    jobs = [{"cancel_workflow": {}}, {"resolve_child": {"seq": 1, "completed": {"result": payload('"done"')}}}]
    assert kinds(d.commands(*jobs[::order])) == [expected]


@workflow.defn
class Handlers:
    def __init__(self) -> None:
        self.value = 0
        self.done = False

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.done)
        return self.value

    @workflow.signal
    def finish(self) -> None:
        self.done = True

    @workflow.query
    def get(self) -> int:
        return self.value

    @workflow.query
    def meddle(self) -> None:
        workflow.start_activity("a", start_to_close_timeout=timedelta(1))

    @workflow.update
    async def add(self, n: int) -> int:
        self.value += n
        if n == 7:
            raise ApplicationError("seven")
        if n == 8:
            raise RuntimeError("bug")
        if n > 100:
            await workflow.wait_condition(lambda: False)
        return self.value

    @add.validator
    def check(self, n: int) -> None:
        if n < 0:
            raise ValueError("negative")


def test_an_update_is_accepted_and_completed(driver: type[Driver]) -> None:
    d = driver(Handlers)
    commands = d.start(update("add", "5"))
    assert commands == [
        {"update_response": {"protocol_instance_id": "p", "accepted": {}}},
        {"update_response": {"protocol_instance_id": "p", "completed": payload("5")}},
    ]


@pytest.mark.parametrize(
    ("job", "message"),
    [(update("add", "-1"), "negative"), (update("nope"), "not found"), (update("add", '"x"'), "Failed decoding")],
)
def test_an_update_that_is_not_valid_is_rejected(driver: type[Driver], job: Any, message: str) -> None:
    (command,) = driver(Handlers).start(job)
    assert message in command["update_response"]["rejected"]["message"]


def test_a_failure_in_an_accepted_update_is_its_result_and_a_bug_fails_the_task(driver: type[Driver]) -> None:
    d = driver(Handlers)
    d.start()
    commands = d.commands(update("add", "7"))
    assert commands[-1]["update_response"]["failed"]["message"] == "seven"
    assert d.activate(update("add", "8"))["failure"]["message"] == "bug"


def test_queries_answer_and_may_not_change_anything(driver: type[Driver]) -> None:
    d = driver(Handlers)
    d.start()
    (command,) = d.commands(query("get"))
    assert command["respond_query"]["succeeded"] == payload("0")
    (command,) = d.commands(query("meddle"))
    assert "While in read-only function" in command["respond_query"]["failed"]["message"]
    (command,) = d.commands(query("nope"))
    assert "__temporal_workflow_metadata get meddle]" in command["respond_query"]["failed"]["message"]


def test_built_in_queries_tell_handlers_and_stacks(driver: type[Driver]) -> None:
    d = driver(Handlers)
    d.start()
    (command,) = d.commands(query("__temporal_workflow_metadata"))
    assert b'"name":"finish"' in command["respond_query"]["succeeded"]["data"]
    (command,) = d.commands(query("__stack_trace"))
    assert b"wait_condition" in command["respond_query"]["succeeded"]["data"]
    (command,) = d.commands(query("__enhanced_stack_trace"))
    assert b'"functionName":"run"' in command["respond_query"]["succeeded"]["data"]


def test_a_workflow_that_ends_before_its_handlers_warns(driver: type[Driver]) -> None:
    d = driver(Handlers)
    d.start()
    d.commands(update("add", "101"))
    with pytest.warns(workflow.UnfinishedUpdateHandlersWarning):
        d.commands(signal("finish"))


def test_a_signal_without_a_handler_waits_for_one(driver: type[Driver]) -> None:
    d = driver(LateHandler)
    assert kinds(d.start(signal("late", "1"))) == ["start_timer"]
    (command,) = d.commands({"fire_timer": {"seq": 1}})
    assert command["complete_workflow"]["result"] == payload("[1]")


@workflow.defn
class LateHandler:
    @workflow.run
    async def run(self) -> list[int]:
        got: list[int] = []
        await asyncio.sleep(1)
        workflow.set_signal_handler("late", got.append)
        await workflow.wait_condition(lambda: bool(got))
        return got


def test_a_signal_that_cannot_be_read_is_dropped(driver: type[Driver]) -> None:
    d = driver(TypedSignal)
    d.start()
    assert d.commands(signal("number", '"x"')) == []
    assert kinds(d.commands(signal("number", "3"))) == ["complete_workflow"]


@workflow.defn
class TypedSignal:
    def __init__(self) -> None:
        self.n = 0

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.n > 0)
        return self.n

    @workflow.signal
    def number(self, n: int) -> None:
        self.n = n


@workflow.defn
class Again:
    @workflow.run
    async def run(self, n: int) -> None:
        try:
            workflow.continue_as_new(n + 1, memo={"a": 1})
        except Exception:
            raise AssertionError("must not be caught as an ordinary exception") from None


def test_continue_as_new_ends_the_run(driver: type[Driver]) -> None:
    (command,) = driver(Again, "4").start()
    message = command["continue_as_new"]
    assert message["arguments"] == [payload("5")]
    assert message["has_memo"] and message["memo"] == {"a": payload("1")}


@workflow.defn
class Stubborn:
    left: list[str] = []

    @workflow.run
    async def run(self) -> None:
        try:
            await workflow.execute_activity("a", start_to_close_timeout=timedelta(1))
        finally:
            Stubborn.left.append("unwound")
            await asyncio.sleep(1)


def test_eviction_unwinds_coroutines_and_nothing_they_ask_for_counts(driver: type[Driver]) -> None:
    d = driver(Stubborn)
    d.start()
    assert d.activate({"remove_from_cache": {"reason": 1}}) == {"run_id": "run"}
    assert Stubborn.left == ["unwound"]
    assert d.run._tasks == {}


@workflow.defn
class Grouped:
    """Waits for tasks in a way whose callbacks raise when all are unwound, as those of a TaskGroup do from Python 3.13 on."""

    left: list[str] = []

    async def wait(self, name: str) -> None:
        try:
            await workflow.wait_condition(lambda: False)
        finally:
            Grouped.left.append(name)

    def fail(self, task: asyncio.Task[None]) -> None:
        raise ValueError("in a callback")

    def ask(self, task: asyncio.Task[None]) -> None:
        asyncio.ensure_future(self.wait("never"))

    @workflow.run
    async def run(self) -> None:
        for name, callback in (("one", self.fail), ("two", self.ask)):
            asyncio.create_task(self.wait(name)).add_done_callback(callback)
        if sys.version_info >= (3, 11):
            async with asyncio.TaskGroup() as group:
                group.create_task(self.wait("three"))
                group.create_task(self.wait("four"))
        await asyncio.gather(self.wait("three"), self.wait("four"))


def test_what_callbacks_raise_does_not_keep_an_eviction_from_unwinding_the_rest(
    driver: type[Driver], caplog: pytest.LogCaptureFixture
) -> None:
    d = driver(Grouped)
    d.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the coroutine that never got a task
        assert d.activate({"remove_from_cache": {"reason": 1}}) == {"run_id": "run"}
    assert Grouped.left == ["one", "two", "three", "four"]
    assert d.run._tasks == {} and caplog.records == []


@workflow.defn
class Randomness:
    @workflow.run
    async def run(self) -> str:
        named = workflow.new_random("n").random()
        return f"{workflow.random().random()} {workflow.uuid4()} {workflow.uuid7()} {named} {workflow.now()}"


def test_randomness_and_time_repeat(driver: type[Driver]) -> None:
    first, second = (driver(Randomness).start() for _ in range(2))
    assert first == second


def test_the_activity_that_completed_in_the_same_task_as_the_cancellation(driver: type[Driver]) -> None:
    """Cancelled all the same, and noted; in old history without the note it is not."""
    jobs = [{"cancel_workflow": {}}, resolved(1, completed={"result": payload('"x"')})]
    d = driver(Hello, '"x"')
    d.start()
    completion = d.activate(*jobs)
    assert kinds(completion["commands"]) == ["cancel_workflow_execution"]
    assert completion["used_sdk_flags"] == [1]
    d = driver(Hello, '"x"')
    d.start(is_replaying=True)
    assert kinds(d.commands(*jobs, is_replaying=True)) == ["complete_workflow"]


def test_warnings_as_errors_fail_the_task(driver: type[Driver]) -> None:
    d = driver(Handlers)
    d.start()
    d.commands(update("add", "101"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "failure" in d.activate(signal("finish"))


@workflow.defn
class Replaces:
    def __init__(self) -> None:
        self.got: list[Any] = []

    @workflow.run
    async def run(self) -> list[Any]:
        await workflow.wait_condition(lambda: "end" in self.got)
        return self.got

    @workflow.signal
    def note(self, *what: str) -> None:
        self.got.append(["first", workflow.all_handlers_finished(), *what])

    @workflow.signal
    def replace(self) -> None:
        workflow.set_signal_handler("note", lambda *what: self.got.append(["second", *what]))

    @workflow.signal
    def end(self) -> None:
        self.got.append("end")

    @workflow.query
    def finished(self) -> bool:
        return workflow.all_handlers_finished()


@pytest.mark.parametrize("args", [(), ('"a"',)], ids=["bare", "with an argument"])
def test_a_handler_that_a_signal_before_replaced_does_not_run(driver: type[Driver], args: tuple[str, ...]) -> None:
    d = driver(Replaces)
    d.start()
    d.commands(signal("note", *args), signal("replace"), signal("note", *args))
    (command,) = d.commands(query("finished"))
    assert command["respond_query"]["succeeded"] == payload("true")
    (command,) = d.commands(signal("note", *args), signal("end"))
    said = [json.loads(a) for a in args]
    assert json.loads(command["complete_workflow"]["result"]["data"]) == [
        ["first", False, *said], ["second", *said], ["second", *said], "end",
    ]  # fmt: skip
    other = driver(Replaces)
    other.start()
    (command,) = other.commands(signal("note", *args), signal("end"))
    assert json.loads(command["complete_workflow"]["result"]["data"]) == [["first", False, *said], "end"]


@workflow.defn
class Conditions:
    def __init__(self) -> None:
        self.n = 0

    @workflow.run
    async def run(self) -> list[str]:
        names = ["a", "b", "c", "d"]
        done: list[str] = []
        waits = [asyncio.create_task(self.wait(name, done)) for name in names]
        await asyncio.gather(*waits)
        return done

    async def wait(self, name: str, done: list[str]) -> None:
        def is_due() -> bool:
            if name == "c" and self.n == 2:
                raise ApplicationError("no more")
            return self.n > {"a": 2, "b": 0, "c": 5, "d": 0}[name]

        try:
            await workflow.wait_condition(is_due)
            done.append(name)
        except ApplicationError as err:
            done.append(err.message)

    @workflow.signal
    def bump(self) -> None:
        self.n += 1


def test_conditions_are_asked_in_order_and_what_one_raises_is_raised_where_it_is_awaited(driver: type[Driver]) -> None:
    d = driver(Conditions)
    assert d.start() == [] and len(d.run._conditions) == 4
    assert d.commands(signal("bump")) == [] and len(d.run._conditions) == 2
    assert d.commands(signal("bump")) == [] and len(d.run._conditions) == 1
    (command,) = d.commands(signal("bump"))
    assert json.loads(command["complete_workflow"]["result"]["data"]) == ["b", "d", "no more", "a"]


@workflow.defn
class RefusesToBegin:
    def __init__(self) -> None:
        raise ApplicationError("not today")

    @workflow.run
    async def run(self) -> None: ...

    @workflow.signal
    def poke(self) -> None:
        raise AssertionError("there is no workflow")


@pytest.mark.parametrize("args", [(), ("1",)], ids=["bare", "with an argument"])
def test_a_signal_for_a_workflow_whose_constructor_failed_it_is_lost_with_it(
    driver: type[Driver], args: tuple[str, ...]
) -> None:
    (command,) = driver(RefusesToBegin).start(signal("poke", *args))
    assert command["fail_workflow"]["failure"]["message"] == "not today"


def test_what_is_no_activation_is_refused_and_an_unknown_job_fails_the_task(driver: type[Driver]) -> None:
    d = driver(Hello, '"x"')
    d.start()
    for wrong in (None, [], {}, {"jobs": []}):
        with pytest.raises(TypeError):
            d.run.activate(wrong)  # type: ignore[arg-type]
    for jobs in ([{"dance": {}}], [{"dance": {}}, signal("x")], [{}], [{"a": 1, "b": 2}], [5], 5):
        completion = d.run.activate({"run_id": "run", "jobs": jobs})  # type: ignore[arg-type]
        assert completion["failure"] and "commands" not in completion
    assert asyncio._get_running_loop() is None and d.run.get_thread_id() is None
    assert kinds(d.commands(resolved(1, completed={"result": payload('"y"')}))) == ["complete_workflow"]
