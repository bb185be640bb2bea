"""Dataclasses that finish at first use look like any others."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from temporalio._lazy import instance

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from temporalio._lazy import dataclass


@dataclass(frozen=True)
class Point:
    """Frozen, with a check."""

    x: int
    y: int = 3

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("negative")


@dataclass
class Bag:
    """Not frozen, with a factory."""

    items: list[int] = dataclasses.field(default_factory=list)


@dataclass(frozen=True)
class Space(Point):
    """Of a frozen one."""

    z: int = 0


def test_behaves_like_a_dataclass() -> None:
    assert Point(1) == Point(1, 3) and hash(Point(1)) == hash(Point(1))
    assert repr(Space(1, z=2)) == "Space(x=1, y=3, z=2)"
    assert dataclasses.replace(Point(1), y=5) == Point(1, 5)
    assert Bag() == Bag() and Bag().items is not Bag().items
    with pytest.raises(TypeError):
        hash(Bag())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(ValueError):
        Point(-1)


def test_inspection_finishes_the_class() -> None:
    @dataclass
    class Fresh:
        """Never instantiated."""

        a: int
        b: str = "x"

    assert dataclasses.is_dataclass(Fresh)
    assert [f.name for f in dataclasses.fields(Fresh)] == ["a", "b"]
    assert list(inspect.signature(Fresh).parameters) == ["a", "b"]
    assert Fresh.__match_args__ == ("a", "b")


@dataclass(frozen=True)
class Hidden:
    """With a field that the constructor does not take."""

    a: int
    b: int = dataclasses.field(init=False, default=7)
    c: int = dataclasses.field(init=False)


def test_fields_leave_their_defaults_in_the_class() -> None:
    assert Hidden(1).b == 7 and not hasattr(Hidden(1), "c")


def test_instances_that_no_constructor_made() -> None:
    made = instance(Point, x=-5, y=1)
    assert made.x == -5 and repr(made) == "Point(x=-5, y=1)"
    assert pickle.loads(pickle.dumps(Point(7))) == Point(7)


def test_first_use_by_many_threads() -> None:
    for _ in range(20):

        @dataclass(frozen=True)
        class Contested:
            """Made by all threads at once."""

            a: int
            b: int = 2

        failures: list[BaseException] = []
        start = threading.Barrier(8)

        def use(cls: Any = Contested, start: threading.Barrier = start) -> None:
            try:
                start.wait()
                assert cls(1).b == 2
            except BaseException as err:
                failures.append(err)

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures


def loaded_by(statements: str) -> set[str]:
    """The modules that a fresh interpreter loads for these statements, beyond what every asyncio program has."""
    check = (
        "import asyncio, concurrent.futures, dataclasses, json, logging, sys, typing\n"
        f"before = set(sys.modules)\n{statements}\nprint(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", check], check=True, stdout=subprocess.PIPE, text=True)
    return set(ran.stdout.split())


IMPORTS = "import temporalio.client, temporalio.worker, temporalio.workflow, temporalio.activity"


def test_protobuf_and_nexus_are_not_loaded_by_importing_client_and_worker() -> None:
    heavy = {"google.protobuf", "nexusrpc", "multiprocessing"}
    # Python 3.10 has no NamedTuple that may be generic
    heavy |= {"typing_extensions"} if sys.version_info >= (3, 11) else set()
    assert not loaded_by(IMPORTS) & heavy


def test_what_few_programs_need_is_not_loaded_by_importing_client_and_worker() -> None:
    loaded = loaded_by(IMPORTS)
    rare = {"ctypes", "email", "hashlib", "pathlib", "pdb", "pickle", "tempfile", "urllib", "urllib.parse", "uuid"}
    configs = {f"temporalio.{part}._configs" for part in ("client", "worker", "workflow")}
    assert not loaded & (rare | configs)
    names = "client.ClientConfig, client.ClientConnectConfig, worker.ReplayerConfig, worker.WorkerConfig"
    names += ", workflow.ActivityConfig, workflow.ChildWorkflowConfig, workflow.LocalActivityConfig"
    looks = "\n".join(f"assert temporalio.{n}.__total__ is False" for n in names.split(", "))
    assert configs <= loaded_by(f"{IMPORTS}\n{looks}")


def test_the_default_restrictions_are_what_their_constructors_make() -> None:
    from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker
    from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxMatcher, SandboxRestrictions

    def made_again(value: Any) -> Any:
        given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return type(value)(**given)

    default = SandboxRestrictions.default
    assert made_again(default) == default == SandboxRestrictions(
        SandboxRestrictions.passthrough_modules_default,
        SandboxMatcher.none,
        SandboxRestrictions.invalid_module_members_default,
    )
    assert SandboxMatcher.none == SandboxMatcher() and SandboxMatcher.all == SandboxMatcher(match_self=True)
    waiting, seen = [default.invalid_module_members], 0
    while waiting:
        matcher = waiting.pop()
        waiting += matcher.children.values()
        seen += 1
        # Which is also when the names are checked
        assert made_again(matcher) == matcher and vars(made_again(matcher)) == vars(matcher)
    assert seen > 40
    runners = [inspect.signature(kind).parameters["workflow_runner"].default for kind in (Worker, Replayer)]
    for runner in runners:
        assert runner == SandboxedWorkflowRunner() and vars(runner) == vars(SandboxedWorkflowRunner())
        assert runner.restrictions is default and runner.runner_class is UnsandboxedWorkflowRunner
    assert runners[0]._worker_level_failure_exception_types is not runners[1]._worker_level_failure_exception_types
