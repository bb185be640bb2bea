"""A workflow as a message stream: a log in the workflow that activities and clients append to and read from.

A workflow makes a :py:class:`WorkflowStream` in its ``@workflow.init`` method. Others reach it through a
:py:class:`WorkflowStreamClient`: publishing is a signal, reading an update that waits for items.
"""

from __future__ import annotations

from temporalio.contrib.workflow_streams._client import TopicHandle, WorkflowStreamClient
from temporalio.contrib.workflow_streams._stream import WorkflowStream, WorkflowTopicHandle
from temporalio.contrib.workflow_streams._types import (
    PollInput,
    PollResult,
    PublishEntry,
    PublisherState,
    PublishInput,
    WorkflowStreamItem,
    WorkflowStreamState,
)

__all__ = [
    "PollInput",
    "PollResult",
    "PublishEntry",
    "PublishInput",
    "PublisherState",
    "TopicHandle",
    "WorkflowStream",
    "WorkflowStreamClient",
    "WorkflowStreamItem",
    "WorkflowStreamState",
    "WorkflowTopicHandle",
]
