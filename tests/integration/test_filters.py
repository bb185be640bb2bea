"""List filters choose what they choose on the official server: see tests/visibility/README.md."""

import json
import pathlib
import re
import sys

import pytest
import pytest_asyncio
from temporalio.client import Client

from conftest import Server

DATA = pathlib.Path(__file__).resolve().parent.parent / "visibility"
sys.path.insert(0, str(DATA))

import workflows  # noqa: E402


@pytest_asyncio.fixture
async def filled(tmp_path):
    """A server with the fixed set of workflows, and the instants between its batches."""
    flags = [word for name, kind in workflows.ATTRIBUTES.items() for word in ("--search-attribute", f"{name}={kind}")]
    server = Server(tmp_path, *flags)
    server.start()
    client = await Client.connect(server.address)
    yield client, await workflows.make_all(client)
    assert server.stop() == 0, server.log.read_text()


@pytest.mark.asyncio
async def test_filters_choose_as_on_the_official_server(filled):
    client, instants = filled
    expected = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
    assert len(expected) >= 250
    wrong = []
    for text, wanted in expected.items():
        asked = text.format(**instants)
        got = await workflows.select(client, asked)
        if isinstance(got, workflows.Refused):
            if wanted is not None or not re.search(r"character \d+", got.message):
                wrong.append(f"{text}: refused with {got.message!r}")
            continue
        if got != wanted:
            wrong.append(f"{text}: {got}, not {wanted}")
        count = (await client.count_workflows(asked)).count
        if count != len(got):
            wrong.append(f"{text}: counted {count}, listed {len(got)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.asyncio
async def test_any_attribute_orders_and_groups(filled):
    client, _ = filled
    everything = {run.run_id: run async for run in client.list_workflows("")}
    for order in ("StartTime", "StartTime DESC", "CloseTime DESC", "WorkflowType, WorkflowId DESC", "Amount DESC, Region", "Tags", "Due"):
        listed = [run.run_id async for run in client.list_workflows(f"ORDER BY {order}", page_size=4)]
        assert sorted(listed) == sorted(everything), order
    ids = [run.id async for run in client.list_workflows("Amount IS NOT NULL ORDER BY Amount DESC, WorkflowId", page_size=3)]
    assert ids == ["100%", "order-4", "order-2", "last-1", "order-1", "order-10", "payment-2", "family", "payment-3", "order-3"]
    for group in ("ExecutionStatus", "WorkflowType", "Region", "Amount", "Urgent", "Tags", "Region, ExecutionStatus"):
        counted = await client.count_workflows(f"GROUP BY {group}")
        assert sum(part.count for part in counted.groups) == len(everything), group
    by_region = await client.count_workflows("ExecutionStatus = 'Running' GROUP BY Region")
    assert {part.group_values[0]: part.count for part in by_region.groups} == {"eu": 3, "us": 1, None: 2}
