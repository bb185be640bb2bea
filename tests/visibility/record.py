"""Runs the filters on a server and writes what each chooses (null: it is refused): python record.py ADDRESS > expected.json

The server needs a namespace `default` with the search attributes of workflows.ATTRIBUTES and no runs."""

import asyncio
import json
import pathlib
import sys

from temporalio.client import Client

import workflows


async def main() -> None:
    client = await Client.connect(sys.argv[1])
    instants = await workflows.make_all(client)
    await asyncio.sleep(2)  # the official server's lists lag behind
    expected = {}
    for text in (pathlib.Path(__file__).parent / "filters.txt").read_text(encoding="utf-8").splitlines():
        if text and not text.startswith("#"):
            selection = await workflows.select(client, text.format(**instants))
            expected[text] = None if isinstance(selection, workflows.Refused) else selection
    json.dump(expected, sys.stdout, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    asyncio.run(main())
