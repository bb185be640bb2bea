"""Plays the scenarios on a server and writes what it saw to expected/: python record.py ADDRESS [pattern]"""

import asyncio
import json
import pathlib
import sys

from play import play_all

EXPECTED = pathlib.Path(__file__).parent / "expected"


async def main() -> int:
    results = await play_all(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "*")
    broken = 0
    for name, result in results.items():
        if "broken" in result:
            broken += 1
            print(f"{name}: {result['broken']}", file=sys.stderr)
            continue
        (EXPECTED / f"{name}.json").write_text(json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(results) - broken} recorded, {broken} could not be played")
    return broken != 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
