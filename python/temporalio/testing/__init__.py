"""For tests: environments for activities and for workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio._lazy import lazy_attributes

if TYPE_CHECKING:
    from temporalio.testing._activity import ActivityEnvironment
    from temporalio.testing._timeskipping import TimeSkipper, TimeSkippingConfig
    from temporalio.testing._workflow import WorkflowEnvironment
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "ActivityEnvironment": "._activity",
            "TimeSkipper": "._timeskipping",
            "TimeSkippingConfig": "._timeskipping",
            "WorkflowEnvironment": "._workflow",
        },
    )

__all__ = ["ActivityEnvironment", "TimeSkipper", "TimeSkippingConfig", "WorkflowEnvironment"]
