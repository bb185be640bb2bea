"""What is played: each scenario is a function of a Script; its name says what it shows."""

from typing import Any, Awaitable, Callable

from steps import Script

SCENARIOS: dict[str, Callable[[Script], Awaitable[None]]] = {}


def add(name: str, play: Callable[[Script], Awaitable[None]]) -> None:
    assert name not in SCENARIOS, name
    SCENARIOS[name] = play


def scenario(play: Callable[[Script], Awaitable[None]]) -> Any:
    add(play.__name__, play)
    return play


def load() -> dict[str, Callable[[Script], Awaitable[None]]]:
    from scenarios import activities, bad_commands, children, control, ends, resets, starts, tasks, updates  # noqa: F401
    return SCENARIOS
