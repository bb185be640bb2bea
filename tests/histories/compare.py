"""Plays the scenarios on two servers and shows where they differ: python compare.py ADDRESS_A ADDRESS_B [pattern]"""

import asyncio
import difflib
import json
import sys

from play import play_all


def lines(result: object) -> list[str]:
    return json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


async def main() -> int:
    pattern = sys.argv[3] if len(sys.argv) > 3 else "*"
    first, second = await asyncio.gather(play_all(sys.argv[1], pattern), play_all(sys.argv[2], pattern))
    different = 0
    for name in first:
        diff = list(difflib.unified_diff(lines(first[name]), lines(second[name]), sys.argv[1], sys.argv[2], lineterm="", n=4))
        if diff:
            different += 1
            print(f"==== {name}", *diff, sep="\n")
    print(f"{len(first)} scenarios, {different} differ")
    return different != 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
