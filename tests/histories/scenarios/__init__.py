"""What is played: each scenario is a function of a Script; its name says what it shows."""

from typing import Any, Awaitable, Callable

from steps import Script

# Played and compared as well, but with what Perdure did when it was recorded: it differs from the recorded server (1.29) on purpose.
OURS = {
    "bad_activity_with_bad_retry_policy": "the task fails with a cause that says so; there it is left to time out",
    "bad_child_with_bad_cron": "the task fails with a cause that says so; there it is left to time out",
    "bad_continue_with_bad_retry_policy": "the task fails with a cause that says so; there it is left to time out",
    "delete_of_an_older_run": "it is gone at once; there only after more than twenty seconds",
    "history_while_a_task_is_tried_again": "reads show the attempt that is under way (features F019)",
    "problems_are_reported_and_forgotten": "the attribute is set from the fifth failure on, as in 1.32 (features F029)",
    "reset_of_a_parent_that_ended_its_child": "the new run always hears of its child's end; there it depends on who is faster",
    "reset_of_a_parent_whose_child_ended_after_it": "the new run always hears of its child's end; there it depends on who is faster",
    "reset_to_before_its_child_ended_without_signals": "the new run hears of its child's end; there it waits for ever",
    "reset_with_a_cancel_request": "cancel requests are written again, as 1.32 does (features F014)",
    "update_rejected_after_a_signal_came": "the started event keeps the worker's identity; there it is lost with the speculative task",
}

SCENARIOS: dict[str, Callable[[Script], Awaitable[None]]] = {}


def add(name: str, play: Callable[[Script], Awaitable[None]]) -> None:
    assert name not in SCENARIOS, name
    SCENARIOS[name] = play


def scenario(play: Callable[[Script], Awaitable[None]]) -> Any:
    add(play.__name__, play)
    return play


def load() -> dict[str, Callable[[Script], Awaitable[None]]]:
    from scenarios import activities, bad_commands, children, control, ends, limits, reads, resets, starts, tasks, updates, versions  # noqa: F401
    return SCENARIOS


def is_limited(name: str) -> bool:
    """Played on a server whose limits are low."""
    return name.startswith("limit_")


def flags() -> list[str]:
    """Of that server's command line."""
    from scenarios import limits
    return [f"--dynamic-config-value={key}={value}" for key, value in limits.FLAGS.items()]
