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


def test_protobuf_and_nexus_are_not_loaded_by_importing_client_and_worker() -> None:
    check = (
        "import sys, temporalio.client, temporalio.worker, temporalio.workflow, temporalio.activity\n"
        "heavy = [m for m in ('google.protobuf', 'nexusrpc', 'typing_extensions', 'multiprocessing') if m in sys.modules]\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
