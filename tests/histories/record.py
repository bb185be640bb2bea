"""Plays the scenarios on a server and writes what it saw to expected/: python record.py ADDRESS [pattern] [--ours]

--ours: only those of scenarios.OURS, from a Perdure server; without it, all but those, from the official one."""

import asyncio
import json
import pathlib
import sys

import scenarios
from play import play_all

EXPECTED = pathlib.Path(__file__).parent / "expected"


async def main() -> int:
    results = await play_all(sys.argv[1], next((a for a in sys.argv[2:] if not a.startswith("--")), "*"))
    recorded = broken = 0
    is_ours = "--ours" in sys.argv
    for name, result in results.items():
        if (name in scenarios.OURS) != is_ours:
            continue
        if is_ours:
            result["note"] = scenarios.OURS[name]
        if "broken" in result:
            broken += 1
            print(f"{name}: {result['broken']}", file=sys.stderr)
            continue
        recorded += 1
        (EXPECTED / f"{name}.json").write_text(json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{recorded} recorded, {broken} could not be played")
    return broken != 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
