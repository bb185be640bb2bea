"""Adds up gcov's figures of a build folder: covered lines by folder, then the ten files covered least."""

import collections
import json
import pathlib
import subprocess
import sys


def main(build: str) -> None:
    covered: dict[str, dict[int, int]] = collections.defaultdict(dict)
    for data in pathlib.Path(build).rglob("*.gcda"):
        out = subprocess.run(["gcov", "--json-format", "--stdout", str(data.resolve())], capture_output=True, cwd=build, check=True).stdout
        for document in filter(None, out.decode().splitlines()):
            for file in json.loads(document)["files"]:
                name = file["file"]
                if "src/" not in name or name.startswith("/usr") or "_test.c" in name or "/proto/api" in name:
                    continue
                lines = covered["src/" + name.split("src/", 1)[1]]
                for line in file["lines"]:
                    number = line["line_number"]
                    lines[number] = lines.get(number, 0) + line["count"]
    folders: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    shares = []
    for name, lines in covered.items():
        hit = sum(1 for count in lines.values() if count)
        folder = folders[name.split("/")[1]]
        folder[0] += hit
        folder[1] += len(lines)
        shares.append((hit / max(1, len(lines)), name, len(lines)))
    for folder, (hit, total) in sorted(folders.items()):
        print(f"{folder:12} {hit:6} of {total:6} lines  {100 * hit / max(1, total):5.1f} %")
    for share, name, total in sorted(shares)[:10]:
        print(f"  {100 * share:5.1f} %  {name} ({total} lines)")


if __name__ == "__main__":
    main(sys.argv[1])
