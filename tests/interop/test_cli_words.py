"""Our command line has every command, flag and letter that the help of the official one names, and a help of its own for each."""

import os
import re
import subprocess

import pytest
from conftest import OFFICIAL, _module

OURS = _module.PROGRAM
# Of cobra, or about files that only that program has.
LEFT_OUT = {"help", "version"}


def run(program, home, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=30, env={"HOME": str(home), "PATH": os.environ["PATH"]})
    return done.returncode, done.stdout, done.stderr


def our_commands(home):
    script = run(OURS, home, "completion", "bash")[1]
    return [line for line in script.split("<<'END'\n")[1].split("\nEND\n")[0].splitlines()]


def flags_of(text):
    """The flags of a help: name to letter ("" without one)."""
    found = {}
    for letter, name in re.findall(r"^ *(?:-(\w), )?--([a-z0-9][a-z0-9-]*)", text, re.M):
        found.setdefault(name, letter)
    for name in re.findall(r"--([a-z0-9][a-z0-9-]*)", text):
        found.setdefault(name, "")
    return found


def official_tree(home, path=()):
    """Every command of the official program that does something, with its help."""
    code, out, _ = run(OFFICIAL, home, *path, "--help")
    assert code == 0, path
    block = re.search(r"^Available Commands:\n((?:  .*\n?)+)", out, re.M)
    inner = re.findall(r"^  ([a-z-]+)", block.group(1), re.M) if block else []
    if re.search(rf"^  temporal {' '.join(path)} \[flags\]", out, re.M) or not inner:
        yield path, out
    for word in inner:
        if word not in ("help", "completion"):
            yield from official_tree(home, (*path, word))


@pytest.mark.skipif(not OFFICIAL, reason="the official command line is not on this machine")
def test_every_official_command_and_flag_is_here(tmp_path):
    missing, seen = [], 0
    for path, text in official_tree(tmp_path):
        seen += 1
        code, ours, err = run(OURS, tmp_path, *path, "--help")
        if code != 0:
            missing.append((" ".join(path), "no such command", err[:80]))
            continue
        options = text[text.index("Flags:"):] if "Flags:" in text else ""
        have = flags_of(ours)
        for letter, name in re.findall(r"^ +(?:-(\w), )?--([a-z0-9][a-z0-9-]*)", options, re.M):
            if name in LEFT_OUT or (name in have and have[name] == letter):
                continue
            # Flags of all commands stand in our help by name only, or (on a server, which has no use for them) not at all: they are tried.
            for spelling in [f"--{name}"] + ([f"-{letter}"] if letter else []):
                if "no flag" in run(OURS, tmp_path, *path, spelling, "1", "--help")[2]:
                    missing.append((" ".join(path), spelling))
    assert seen > 90 and not missing, "\n".join(map(str, missing))


def test_every_command_has_a_help_with_an_example(tmp_path):
    commands = our_commands(tmp_path)
    assert len(commands) > 100
    for command in commands:
        code, out, err = run(OURS, tmp_path, *command.split(), "--help")
        assert code == 0 and err == "" and "Examples:\n  perdure " + command.split()[0] in out and "Usage:\n" in out, command


def test_examples_are_accepted_as_far_as_their_flags_go(tmp_path):
    """With --help behind it, an example is parsed; an unknown flag or one without its value would be told."""
    import shlex

    for command in our_commands(tmp_path):
        if command.startswith("server"):
            continue
        out = run(OURS, tmp_path, *command.split(), "--help")[1]
        for line in out.split("Examples:\n")[1].split("\n\n")[0].splitlines():
            words = shlex.split(line)[1:]
            code, _, err = run(OURS, tmp_path, *words, "--help")
            assert code == 0, (line, err)


def test_a_group_lists_its_commands(tmp_path):
    for group in (["workflow"], ["schedule"], ["batch"], ["worker", "deployment"], ["operator", "nexus", "endpoint"], ["task-queue", "versioning"]):
        code, out, _ = run(OURS, tmp_path, *group, "--help")
        assert code == 0 and "Commands:" in out, group
        assert run(OURS, tmp_path, *group)[0] == 1
