"""What the layout promises, checked: who includes whom, that the pure folders stay pure, that every source is built, and
that files and functions stay readable. Prints each finding; the last line counts the checks."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
PURE = {"history", "matching", "schedule", "core", "visibility"}
# What opens, waits or reads a clock; a pure file names none of these.
IMPURE_HEADERS = {
    "time.h", "sys/time.h", "unistd.h", "fcntl.h", "pthread.h", "sys/socket.h", "netinet/in.h", "uv.h", "sqlite3.h", "poll.h",
    "sys/epoll.h", "threads.h", "signal.h", "nghttp2/nghttp2.h", "openssl/ssl.h", "base/mailbox.h",
}
FILE_LINES_MAX = 1200
FUNCTION_LINES_MAX = 110


def calls_of(folder: pathlib.Path) -> set[str] | None:
    """The folders named in the README's `Calls` line; None: everything."""
    readme = folder / "README.md"
    if not readme.exists():
        return set()
    line = next((l for l in readme.read_text().splitlines() if l.startswith("Calls")), "Calls")
    names = line[len("Calls"):].split("Read first")[0]
    return None if names.strip().startswith("all") else set(re.findall(r"[a-z]+", names))


def check_includes(problems: list[str]) -> int:
    count = 0
    for folder in sorted(p for p in SOURCE.iterdir() if p.is_dir()):
        allowed = calls_of(folder)
        for file in sorted(folder.rglob("*.[ch]")):
            is_test = file.stem.endswith(("_test", "_fuzz", "_bench"))
            for number, line in enumerate(file.read_text().splitlines(), 1):
                match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
                if not match:
                    continue
                name = match.group(1)
                owner = name.split("/")[0]
                count += 1
                where = f"{file.relative_to(ROOT)}:{number}"
                if (SOURCE / owner).is_dir() and owner != folder.name and allowed is not None and owner not in allowed | {"base"} and not is_test:
                    problems.append(f"{where}: {folder.name} includes {name}, and its README's Calls line does not name {owner}")
                if folder.name in PURE and name in IMPURE_HEADERS and not is_test:
                    problems.append(f"{where}: the pure folder {folder.name} includes {name}")
    return count


def check_built(problems: list[str]) -> int:
    count = 0
    builds = "\n".join(p.read_text() for p in SOURCE.rglob("meson.build"))
    for file in sorted(SOURCE.rglob("*.c")):
        noun = re.sub("_(test|fuzz)$", "", file.stem)  # tests are named by a loop over their nouns
        count += 1
        if file.name not in builds and not re.search(rf"\b{re.escape(noun)}\b", builds):
            problems.append(f"{file.relative_to(ROOT)}: no meson.build names it")
    return count


def check_sizes(problems: list[str]) -> int:
    count = 0
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for file in (ROOT / name for name in listed):
        if not file.exists():
            continue
        lines = file.read_text().splitlines()
        count += 1
        if len(lines) > FILE_LINES_MAX:
            problems.append(f"{file.relative_to(ROOT)}: {len(lines)} lines; is there a second idea in it?")
        if file.suffix != ".c":
            continue
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                if number - start > FUNCTION_LINES_MAX:
                    problems.append(f"{file.relative_to(ROOT)}:{start}: a function of {number - start} lines")
                start = None
    return count


def check_readmes(problems: list[str]) -> int:
    count = 0
    for folder in sorted(p for p in SOURCE.iterdir() if p.is_dir() and any(p.rglob("*.c"))):
        count += 1
        readme = folder / "README.md"
        if not readme.exists():
            problems.append(f"src/{folder.name}: no README.md")
        elif len(readme.read_text().splitlines()) > 60:
            problems.append(f"src/{folder.name}/README.md: more than a page")
    return count


def main() -> int:
    problems: list[str] = []
    checks = check_includes(problems) + check_built(problems) + check_sizes(problems) + check_readmes(problems)
    for problem in problems:
        print(problem)
    print(f"{checks - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
