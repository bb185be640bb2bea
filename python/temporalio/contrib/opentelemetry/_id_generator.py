"""Span and trace ids that repeat themselves when a workflow replays."""

from __future__ import annotations

import random
import weakref
from contextvars import ContextVar
from typing import Any

from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import INVALID_SPAN_ID, INVALID_TRACE_ID

import temporalio.workflow


class TemporalIdGenerator(IdGenerator):
    """In workflow code takes ids from the workflow's random seed, elsewhere from another generator."""

    def __init__(self, id_generator: IdGenerator) -> None:
        """Makes a generator that asks the given one outside of workflows."""
        self._id_generator = id_generator
        self._next_span_id: ContextVar[int | None] = ContextVar("next_span_id", default=None)
        self._next_trace_id: ContextVar[int | None] = ContextVar("next_trace_id", default=None)
        self._randoms: weakref.WeakKeyDictionary[Any, random.Random] = weakref.WeakKeyDictionary()

    def seed_span_id(self, span_id: int) -> None:
        """Sets the next span id of this context."""
        self._next_span_id.set(span_id)

    def seed_trace_id(self, trace_id: int) -> None:
        """Sets the next trace id of this context."""
        self._next_trace_id.set(trace_id)

    def generate_span_id(self) -> int:
        """The next span id."""
        seeded = self._next_span_id.get()
        if seeded is not None:
            self._next_span_id.set(None)
            return seeded
        source = self._workflow_random()
        return self._id_generator.generate_span_id() if source is None else _draw(source, 64, INVALID_SPAN_ID)

    def generate_trace_id(self) -> int:
        """The next trace id."""
        seeded = self._next_trace_id.get()
        if seeded is not None:
            self._next_trace_id.set(None)
            return seeded
        source = self._workflow_random()
        return self._id_generator.generate_trace_id() if source is None else _draw(source, 128, INVALID_TRACE_ID)

    def _workflow_random(self) -> random.Random | None:
        # Queries and validators are not in the history: they must not draw from what replay repeats
        runtime = temporalio.workflow._Runtime.maybe_current()
        if runtime is None or runtime.workflow_is_read_only():
            return None
        source = self._randoms.get(runtime)
        if source is None:
            source = self._randoms[runtime] = temporalio.workflow.new_random("temporalio.contrib.opentelemetry")
        return source


def _draw(source: random.Random, bits: int, invalid: int) -> int:
    drawn = source.getrandbits(bits)
    while drawn == invalid:
        drawn = source.getrandbits(bits)
    return drawn
