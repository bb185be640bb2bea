"""The workflow sandbox: isolation, refusals, imports and what they cost in errors."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import types
import warnings
from pathlib import Path
from typing import Any

import pytest

import temporalio.activity
import temporalio.workflow
from temporalio.worker import ExecuteWorkflowInput, WorkflowInboundInterceptor
from temporalio.worker.workflow_sandbox import (
    RestrictedWorkflowAccessError,
    SandboxedWorkflowRunner,
    SandboxMatcher,
    SandboxRestrictions,
)
from temporalio.worker.workflow_sandbox._sandbox import Sandbox
from temporalio.workflow import SandboxImportNotificationPolicy

from conftest import Driver, payload
from live import fresh

WORKFLOW = """
    from __future__ import annotations
    import datetime
    import enum
    import helper_of_sandbox
    from dataclasses import dataclass, field
    from temporalio import workflow

    state = []

    class Color(enum.IntEnum):
        RED = 1

    @dataclass
    class Params:
        color: Color
        when: datetime.datetime | None = None
        names: list[str] = field(default_factory=list)

    @workflow.defn
    class Isolated:
        @workflow.run
        async def run(self, params: Params) -> list:
            assert isinstance(params, Params) and params.color is Color.RED
            assert params.when is None or isinstance(params.when, datetime.datetime)
            state.append(1)
            helper_of_sandbox.state.append(1)
            return [len(state), len(helper_of_sandbox.state), workflow.unsafe.in_sandbox(), params.names]

        @workflow.query
        def do(self, code: str) -> str:
            exec(code)
            return "done"
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes modules of sources; they are gone after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(**sources: str) -> types.ModuleType:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
            made.append(name)
        return __import__(made[-1])

    yield make
    from temporalio.worker.workflow_sandbox import _sandbox

    for name in made:
        sys.modules.pop(name, None)
        _sandbox._sources.pop(name, None)


@pytest.fixture
def isolated(modules: Any) -> Any:
    return modules(helper_of_sandbox="state = []", workflow_of_sandbox=WORKFLOW)


def drive(driver: type[Driver], cls: type, *args: str, restrictions: Any = None) -> Driver:
    runner = SandboxedWorkflowRunner(*([restrictions] if restrictions else []))
    runner.prepare_workflow(temporalio.workflow._Definition.must_from_class(cls))
    return driver(cls, *args, runner=runner)


def ask(d: Driver, code: str) -> str:
    """What came of code executed in the workflow: the failure's type and message, or nothing."""
    (command,) = d.commands(
        {"query_workflow": {"query_id": "q", "query_type": "do", "arguments": [payload(json.dumps(code))]}}
    )
    failed = command["respond_query"].get("failed")
    return f"{failed['application_failure_info']['type']}: {failed['message']}" if failed else ""


def test_each_run_has_its_own_modules_and_types(driver: type[Driver], isolated: Any) -> None:
    for _ in range(2):
        d = drive(driver, isolated.Isolated, '{"color": 1, "when": "2020-01-01T00:00:00", "names": ["a"]}')
        (command,) = d.start()
        assert command["complete_workflow"]["result"] == payload('[1,1,true,["a"]]')
    assert isolated.state == []


def test_a_module_that_is_passed_through_is_shared(driver: type[Driver], isolated: Any) -> None:
    restrictions = SandboxRestrictions.default.with_passthrough_modules("helper_of_sandbox")
    for count in (1, 2):
        d = drive(driver, isolated.Isolated, '{"color": 1}', restrictions=restrictions)
        (command,) = d.start()
        assert command["complete_workflow"]["result"] == payload(f"[1,{count},true,[]]")


REFUSED = [
    "import os; os.getcwd()",
    "from os import getcwd; getcwd()",
    "import os; os.name",
    "import os; os.environ['HOME']",
    "import os; os.environ.get('HOME')",
    "import glob; glob.glob('x')",
    "open('x')",
    "input()",
    "import datetime; datetime.datetime.now()",
    "import datetime; datetime.date.today()",
    "from datetime import datetime; datetime.utcnow()",
    "import random; random.choice([1])",
    "import secrets; secrets.token_hex()",
    "import threading; threading.current_thread()",
    "import time; time.sleep(1)",
    "import concurrent.futures; concurrent.futures.ThreadPoolExecutor()",
    "import urllib.request; urllib.request.urlopen('x')",
    "import uuid; uuid.uuid4()",
    "from pathlib import Path; Path('x').exists()",
    "import importlib; importlib.import_module('os').getcwd()",
    "import subprocess; subprocess.run(['x'])",
    "import socket; socket.socket()",
    "import zipfile, io; zipfile.ZipFile(io.BytesIO(), 'w').extractall()",
]
ALLOWED = [
    "import os; _ = os.getcwd",
    "import os; assert f'{os.sep}' and os.sep + 'x'",
    "import datetime; assert type(datetime.datetime(2020, 1, 1)).__name__ == 'datetime'",
    "from datetime import datetime, date; assert isinstance(datetime(2020, 1, 1), datetime) and issubclass(datetime, date)",
    "from datetime import datetime; x: datetime | None = datetime.fromisoformat('2020-01-01')",
    "import random; assert random.Random(1).random()",
    "import uuid; uuid.uuid5(uuid.NAMESPACE_DNS, 'x')",
    "from concurrent.futures import ThreadPoolExecutor, TimeoutError",
    "from pathlib import Path; assert str(Path('a') / 'b') and repr(Path('a')) == \"PosixPath('a')\"",
    "import zipfile\nclass Z(zipfile.ZipFile): pass",
    "import sys; assert 'helper_of_sandbox' in sys.modules and sys.version_info",
    "import logging; logging.getLogger('x').debug('y')",
    "import temporalio.workflow as w, time\nwith w.unsafe.sandbox_unrestricted(): time.time()",
]
# As the official package has it: no rule about os.path from Python 3.14 on
(ALLOWED if sys.version_info >= (3, 14) else REFUSED).append("import os.path; os.path.abspath('x')")
if sys.version_info >= (3, 12):
    REFUSED.append("import random; random.binomialvariate()")


@pytest.mark.parametrize("code", REFUSED)
def test_what_no_replay_could_repeat_is_refused(driver: type[Driver], isolated: Any, code: str) -> None:
    d = drive(driver, isolated.Isolated, '{"color": 1}')
    d.start()
    assert ask(d, code).startswith("RestrictedWorkflowAccessError: Cannot access ")


@pytest.mark.parametrize("code", ALLOWED)
def test_everything_else_works(driver: type[Driver], isolated: Any, code: str) -> None:
    d = drive(driver, isolated.Isolated, '{"color": 1}')
    d.start()
    assert ask(d, code) == ""


def test_nothing_is_refused_outside(isolated: Any) -> None:
    sandbox = Sandbox(SandboxRestrictions.default)
    with sandbox.entered(is_runtime=True):
        time = sandbox._import("time")
    assert time.time() > 0


def test_asyncio_functions_of_unstable_order_are_warned_about(driver: type[Driver], isolated: Any) -> None:
    d = drive(driver, isolated.Isolated, '{"color": 1}')
    d.start()
    with pytest.warns(UserWarning, match="workflow.as_completed"):
        ask(d, "import asyncio; asyncio.as_completed([])")


def test_restrictions_can_be_taken_away_and_added(driver: type[Driver], isolated: Any) -> None:
    members = SandboxRestrictions.invalid_module_members_default
    members = members.with_child_unrestricted("datetime", "date", "today").with_child_unrestricted("os", "getcwd")
    members |= SandboxMatcher(children={"json": SandboxMatcher(use={"dumps"})})
    restrictions = SandboxRestrictions(
        passthrough_modules=SandboxRestrictions.passthrough_modules_default,
        invalid_modules=SandboxMatcher(access={"colorsys"}),
        invalid_module_members=members,
    )
    d = drive(driver, isolated.Isolated, '{"color": 1}', restrictions=restrictions)
    d.start()
    assert ask(d, "import datetime; datetime.date.today()") == ""
    assert ask(d, "import os; os.getcwd()") == ""
    assert "json.dumps" in ask(d, "import json; json.dumps(1)")
    assert "os.listdir" in ask(d, "import os; os.listdir('.')")


def test_a_file_that_does_the_unrepeatable_is_refused_with_its_place(modules: Any) -> None:
    module = modules(
        bad_helper_of_sandbox="""
            import random
            x = 1
            y = random.random() if __import__("temporalio.workflow").workflow.unsafe.in_sandbox() else 0
        """,
        bad_workflow_of_sandbox="""
            import bad_helper_of_sandbox
            from temporalio import workflow

            @workflow.defn
            class Bad:
                @workflow.run
                async def run(self) -> None: ...
        """,
    )
    with pytest.raises(RuntimeError) as err:
        SandboxedWorkflowRunner().prepare_workflow(temporalio.workflow._Definition.must_from_class(module.Bad))
    message = str(err.value)
    assert "Failed validating workflow Bad" in message
    assert "random.random" in message and "bad_workflow_of_sandbox.py:2 imports bad_helper_of_sandbox" in message
    assert "failed at" in message and "bad_helper_of_sandbox.py:4" in message
    assert "imports_passed_through" in message
    assert isinstance(err.value.__cause__, RestrictedWorkflowAccessError)


def test_an_import_that_fails_names_itself(modules: Any) -> None:
    module = modules(
        failing_workflow_of_sandbox="""
            from temporalio import workflow
            if workflow.unsafe.in_sandbox():
                import no_such_module_at_all

            @workflow.defn
            class Failing:
                @workflow.run
                async def run(self) -> None: ...
        """
    )
    with pytest.raises(RuntimeError, match=r"No module named 'no_such_module_at_all' \(.*_of_sandbox.py:4 imports no_such"):
        SandboxedWorkflowRunner().prepare_workflow(temporalio.workflow._Definition.must_from_class(module.Failing))


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("import missing_of_sandbox", "ModuleNotFoundError", ["No module named 'missing_of_sandbox'", "<string>:1 imports missing_of"]),
        ("import has_missing_of_sandbox", "ModuleNotFoundError", ["has_missing_of_sandbox.py:2 imports not_there_at_all"]),
        ("import has_name_of_sandbox", "ImportError", ["cannot import name", "<string>:1 imports has_name_of", "has_name_of_sandbox.py:3"]),
        ("import chain_of_sandbox", "RestrictedWorkflowAccessError", ["chain_of_sandbox.py:2 imports rolls_of", "rolls_of_sandbox.py:3"]),
        ("from . import x", "ImportError", ["imports ."]),
    ],
)
def test_a_failing_import_names_itself_its_place_and_what_to_do(
    driver: type[Driver], isolated: Any, modules: Any, code: str, kind: str, words: list[str]
) -> None:
    modules(
        rolls_of_sandbox="""
            import random
            if __import__("temporalio.workflow").workflow.unsafe.in_sandbox(): random.random()
        """,
        chain_of_sandbox="""
            import rolls_of_sandbox
        """,
    )
    # Those that cannot be imported outside either
    folder = Path(sys.modules["rolls_of_sandbox"].__file__ or "").parent
    (folder / "has_missing_of_sandbox.py").write_text("\nimport not_there_at_all\n")
    (folder / "has_name_of_sandbox.py").write_text("\n\nfrom json import no_such_thing\n")
    d = drive(driver, isolated.Isolated, '{"color": 1}')
    d.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of late imports
        said = ask(d, code)
    assert said.startswith(f"{kind}: ")
    for part in [*words, "imports_passed_through"]:
        assert part in said


def test_other_errors_of_an_import_are_what_they_were(driver: type[Driver], isolated: Any, modules: Any) -> None:
    modules(raises_of_sandbox="""
        if __import__("temporalio.workflow").workflow.unsafe.in_sandbox(): raise ValueError("no")
    """)
    d = drive(driver, isolated.Isolated, '{"color": 1}')
    d.start()
    with pytest.warns(UserWarning):
        assert ask(d, "import raises_of_sandbox") == "ValueError: no"


def test_a_file_is_read_and_compiled_once(driver: type[Driver], isolated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from temporalio.worker.workflow_sandbox import _sandbox

    read: list[str] = []
    real = _sandbox._read_source
    monkeypatch.setattr(_sandbox, "_read_source", lambda name: read.append(name) or real(name))
    for _ in range(3):
        drive(driver, isolated.Isolated, '{"color": 1}').start()
    assert sorted(n for n in read if n.endswith("of_sandbox")) == ["helper_of_sandbox", "workflow_of_sandbox"]


def test_late_imports_are_mentioned_as_the_policy_says(driver: type[Driver], isolated: Any, modules: Any) -> None:
    modules(late_of_sandbox="x = 1")
    late = "import late_of_sandbox"
    d = drive(driver, isolated.Isolated, '{"color": 1}')
    d.start()
    with pytest.warns(UserWarning, match="late_of_sandbox was imported after initial workflow load"):
        ask(d, late)
    policy = SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    with pytest.raises(RuntimeError, match="helper_of_sandbox was not intentionally passed through"):
        restrictions = SandboxRestrictions.default.with_import_notification_policy(policy)
        drive(driver, isolated.Isolated, '{"color": 1}', restrictions=restrictions)


def test_runs_do_not_outlive_their_eviction(driver: type[Driver], isolated: Any) -> None:
    import gc
    import weakref

    d = drive(driver, isolated.Isolated, '{"color": 1}')
    d.start()
    module = weakref.ref(d.run._sandbox.modules["workflow_of_sandbox"])
    d.activate({"remove_from_cache": {"reason": 1}})
    del d
    gc.collect()
    assert module() is None


def test_definitions_of_copies_are_those_outside(isolated: Any) -> None:
    outside = temporalio.workflow._Definition.must_from_class(isolated.Isolated)
    sandbox = Sandbox(SandboxRestrictions.default)
    with sandbox.entered(is_runtime=False):
        copy = sandbox.load("workflow_of_sandbox")
        rebound = outside.rebound(copy.Isolated)
        assert rebound.arg_types == [copy.Params] and outside.arg_types == [isolated.Params]
        assert rebound.queries["do"].fn is copy.Isolated.do
        assert rebound.name == outside.name and rebound.run_fn is copy.Isolated.run


PYDANTIC_WORKFLOW = """
    from __future__ import annotations
    import dataclasses
    import datetime
    import pathlib
    import typing
    from datetime import date, timedelta
    import nexusrpc
    import nexusrpc.handler
    import pydantic
    from temporalio import workflow

    class Inner(pydantic.BaseModel):
        n: int

    class Model(pydantic.BaseModel):
        when: datetime.datetime
        dates: list[date]
        pause: timedelta | None = None
        path: typing.Optional[pathlib.Path] = None
        inner: Inner
        later: Later | None = None

    class Later(pydantic.BaseModel):
        inner: Inner

    @dataclasses.dataclass
    class Request:
        text: str

    @nexusrpc.service
    class Service:
        echo: nexusrpc.Operation[Request, Inner]

    @nexusrpc.handler.service_handler(service=Service)
    class Handler:
        @nexusrpc.handler.sync_operation
        async def echo(self, ctx: nexusrpc.handler.StartOperationContext, input: Request) -> Inner: ...

    @workflow.defn
    class Annotated:
        @workflow.run
        async def run(self) -> str:
            inner = Inner(n=1)
            m = Model(when=datetime.datetime(2020, 1, 1), dates=["2020-01-02"], pause=3, path="a/b", inner=inner, later={"inner": inner})
            assert type(m.inner) is Inner and type(m.later) is Later and m.dates == [datetime.date(2020, 1, 2)]
            assert typing.get_type_hints(Request) == {"text": str} and typing.get_type_hints(Model)["inner"] is Inner
            return m.model_dump_json()
"""


def test_libraries_outside_resolve_annotations_in_the_copy_they_belong_to(driver: type[Driver], modules: Any) -> None:
    module = modules(annotated_of_sandbox=PYDANTIC_WORKFLOW)
    (command,) = drive(driver, module.Annotated).start()
    text = command["complete_workflow"]["result"]["data"].decode()
    assert json.loads(json.loads(text)) == {
        "when": "2020-01-01T00:00:00",
        "dates": ["2020-01-02"],
        "pause": "PT3S",
        "path": "a/b",
        "inner": {"n": 1},
        "later": {"inner": {"n": 1}},
    }
    # Outside, the same names mean what they meant before
    import typing

    assert typing.get_type_hints(module.Model)["inner"] is module.Inner


# Annotations that are no text: from Python 3.14 on they are evaluated when somebody asks
SHARED_BASES = """
    import dataclasses
    import datetime
    import typing

    @dataclasses.dataclass
    class Base:
        when: datetime.datetime

    class Keys(typing.TypedDict):
        when: Base

    class Pair(typing.NamedTuple):
        when: Base
"""
DERIVED = """
    import dataclasses
    import typing
    from temporalio import workflow
    with workflow.unsafe.imports_passed_through():
        import shared_of_sandbox as shared

    @dataclasses.dataclass
    class Inner:
        n: int

    @dataclasses.dataclass
    class Derived(shared.Base):
        inner: Inner
        keys: shared.Keys
        pair: shared.Pair

    class DerivedKeys(shared.Keys):
        inner: Inner

    @workflow.defn
    class Deriving:
        @workflow.run
        async def run(self, one: Derived, other: DerivedKeys) -> str:
            kinds = [type(v).__name__ for v in (one, one.when, one.inner, one.keys["when"], one.pair, one.pair.when)]
            return " ".join(kinds + [type(v).__name__ for v in (other["when"], other["inner"])])
"""


def test_fields_of_classes_outside_are_typed_inside(driver: type[Driver], modules: Any) -> None:
    module = modules(shared_of_sandbox=SHARED_BASES, deriving_of_sandbox=DERIVED)
    base = {"when": "2020-01-01T00:00:00"}
    one = {**base, "inner": {"n": 1}, "keys": {"when": base}, "pair": [base]}
    other = {"when": base, "inner": {"n": 1}}
    (command,) = drive(driver, module.Deriving, json.dumps(one), json.dumps(other)).start()
    kinds = json.loads(command["complete_workflow"]["result"]["data"])
    assert kinds == "Derived datetime Inner Base Pair Base Base Inner"


# What annotations as text may say that is no type of a value
QUALIFIED = """
    from __future__ import annotations
    from dataclasses import dataclass
    from typing import ClassVar, Generic, TypeVar
    from temporalio import workflow

    T = TypeVar("T")

    @dataclass
    class Inner:
        kind: ClassVar[str] = "inner"
        n: int = 0

    @dataclass
    class Box(Generic[T]):
        value: T
        inner: Inner

    @workflow.defn
    class Qualified:
        @workflow.run
        async def run(self, inner: Inner, box: Box[Inner]) -> list:
            return [type(v).__name__ for v in (inner, inner.n, box, box.value, box.inner)]
"""
DIALECTS = {"text": QUALIFIED, "values": QUALIFIED.replace("from __future__ import annotations", "")}
if sys.version_info >= (3, 12):
    DIALECTS["parameters"] = QUALIFIED.replace("class Box(Generic[T])", "class Box[T]").replace('T = TypeVar("T")', "")


@pytest.mark.parametrize("source", DIALECTS.values(), ids=DIALECTS)
def test_qualifiers_and_parameters_mean_in_a_copy_what_they_mean_outside(driver: type[Driver], modules: Any, source: str) -> None:
    module = modules(qualified_of_sandbox=source)
    (command,) = drive(driver, module.Qualified, '{"n": 1}', '{"value": {"n": 2}, "inner": {"n": 3}}').start()
    assert json.loads(command["complete_workflow"]["result"]["data"]) == ["Inner", "int", "Box", "Inner", "Inner"]


ONE_FILE = """
    from __future__ import annotations
    import asyncio, sys
    from dataclasses import dataclass
    from typing import ClassVar, Optional
    from temporalio import workflow
    from temporalio.client import Client
    from temporalio.worker import Worker

    @dataclass
    class Inner:
        kind: ClassVar[str] = "inner"
        n: int = 0

    @dataclass
    class Params:
        inner: Optional[Inner] = None

    @workflow.defn
    class OneFile:
        @workflow.run
        async def run(self, params: Params) -> Params:
            assert params.inner.kind == "inner" and type(params.inner) is Inner
            return Params(Inner(params.inner.n + 1))

    async def main() -> None:
        client = await Client.connect(sys.argv[1])
        async with Worker(client, task_queue=sys.argv[2], workflows=[OneFile]):
            params = Params(Inner(1))
            print(await client.execute_workflow(OneFile.run, params, id=sys.argv[2], task_queue=sys.argv[2]))

    if __name__ == "__main__":
        asyncio.run(main())
"""


def test_a_program_of_one_file_has_dataclasses(address: str, tmp_path: Path) -> None:
    """Where its classes look for their module, there is none of the name that the copy of a main module has."""
    file = tmp_path / "one_file.py"
    file.write_text(textwrap.dedent(ONE_FILE))
    done = subprocess.run([sys.executable, str(file), address, fresh()], capture_output=True, text=True, timeout=60)
    assert done.stdout == "Params(inner=Inner(n=2))\n", done.stderr


class Counting(WorkflowInboundInterceptor):
    results: list[Any] = []

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        result = await super().execute_workflow(input)
        self.results.append(result)
        return result


def test_interceptors_stay_outside(driver: type[Driver], isolated: Any) -> None:
    Counting.results.clear()
    for _ in range(2):
        d = driver(isolated.Isolated, '{"color": 1}', runner=SandboxedWorkflowRunner(), interceptor_classes=[Counting])
        d.start()
    assert [r[0] for r in Counting.results] == [1, 1]


def test_definitions_of_activities_are_made_when_they_are_used(driver: type[Driver], modules: Any) -> None:
    module = modules(
        activities_of_sandbox="""
            from __future__ import annotations
            from dataclasses import dataclass
            from datetime import timedelta
            from temporalio import activity, workflow

            @dataclass
            class Item:
                n: int

            @activity.defn(name="renamed")
            async def make(n: int) -> Item: ...

            class Tools:
                @activity.defn
                def use(self, item: Item) -> Item: ...

            @workflow.defn
            class Uses:
                @workflow.run
                async def run(self) -> list:
                    first = await workflow.execute_activity(make, 1, start_to_close_timeout=timedelta(1))
                    second = await workflow.execute_activity_method(Tools.use, first, start_to_close_timeout=timedelta(1))
                    return [type(first) is Item, type(second) is Item, second.n]
        """
    )
    d = drive(driver, module.Uses)
    (command,) = d.start()
    assert command["schedule_activity"]["activity_type"] == "renamed"
    for seq, name in ((1, "use"), (2, "")):
        (command,) = d.commands({"resolve_activity": {"seq": seq, "completed": {"result": payload('{"n":5}')}}})
        assert not name or command["schedule_activity"]["activity_type"] == name
    assert command["complete_workflow"]["result"] == payload("[true,true,5]")
    with pytest.raises(ValueError, match="already contains"):
        temporalio.activity.defn(module.make)
