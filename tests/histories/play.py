"""Plays scenarios on a server, several at once."""

import asyncio
import fnmatch
from typing import Any

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

import scenarios
from steps import NAMESPACE, Script

AT_ONCE = 12


async def play_all(address: str, pattern: str = "*") -> dict[str, Any]:
    """What each scenario saw; {"broken": words} where it could not be played. Those of limits are played when the pattern begins with their name:
    they need a server with scenarios.flags()."""
    client = await Client.connect(address)
    await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE), retry=True)  # it may still be starting
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, play: Any) -> tuple[str, Any]:
        script = Script(client, name)
        async with gate:
            try:
                await asyncio.wait_for(play(script), 45)
            except Exception as e:  # shown as the difference that it is
                return name, {"broken": f"{type(e).__name__}: {e}".replace(script.token, "TOKEN"), **script.result()}
        return name, script.result()

    chosen = [(n, p) for n, p in scenarios.load().items() if fnmatch.fnmatch(n, pattern) and scenarios.is_limited(n) == scenarios.is_limited(pattern)]
    return dict(await asyncio.gather(*[one(n, p) for n, p in chosen]))
