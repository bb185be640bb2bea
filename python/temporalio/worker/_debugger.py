"""``breakpoint()`` in workflow code of a worker in debug mode."""

from __future__ import annotations

from types import FrameType
from typing import Any


def break_at(frame: FrameType) -> None:
    """Stops in a frame. Leaving the debugger lets the workflow go on, since quitting would fail its task."""
    import pdb

    class WorkflowPdb(pdb.Pdb):
        def do_quit(self, arg: str) -> Any:
            return self.do_continue(arg)

        do_q = do_exit = do_EOF = do_quit

    WorkflowPdb().set_trace(frame)
