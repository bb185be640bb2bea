"""The C side of the package: one extension module, outside the GIL wherever Python is not needed.

Messages cross as plain dicts. A dict's keys are the field names of the interface files; an absent message is an absent
key; bytes are bytes, enums are ints, maps are dicts, repeated fields are lists, of a oneof only the set field is there,
Timestamp and Duration are ints in nanoseconds. `encode`/`decode` translate between such a dict and protobuf bytes.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

Message = dict[str, Any]

def encode(type_name: str, message: Message) -> bytes: ...
def decode(type_name: str, data: bytes) -> Message: ...
def to_json(type_name: str, data: bytes, *, pretty: bool = False) -> str: ...
def from_json(type_name: str, text: str, *, ignore_unknown_fields: bool = False) -> bytes: ...

def raise_in_thread(thread_id: int, error: Optional[type[BaseException]]) -> bool:
    """Has a thread raise an exception of this class as soon as it runs Python code; None takes back what it has not raised yet.

    False when no thread has this number (``threading.get_ident``)."""

def note_collection(phase: str, info: Any) -> None:
    """One of ``gc.callbacks``, which keeps :py:func:`collecting_thread` true. Nothing can be raised in it."""

def collecting_thread() -> int:
    """The number of the thread that collects garbage right now, 0 if none does."""

class RPCFailure(Exception):
    """What a failed call raises into its future: (code: int, message: str, status: bytes)."""

class Runtime:
    """C threads, telemetry and metrics; one per process is usual. Recreated lazily in a forked child.

    Options, all optional; what is absent is off:
      log_filter           str such as "temporal=warn,error", as TelemetryFilter.formatted() writes it
      log_format           "compact" | "pretty" | "json": written to stderr in this form, unless forwarded
      log_forward          callable(records: list[dict]) called with the GIL from a C thread, records in order:
                           {"level": int as in logging, "target": str, "message": str, "time": float seconds,
                           "fields": dict[str, str | int | float | bool]}
      prometheus           {"bind_address", "counters_total_suffix", "unit_suffix", "durations_as_seconds",
                           "histogram_bucket_overrides": dict[str, list[float]]}
      opentelemetry        {"url", "headers": dict, "metric_periodicity": ns, "temporality": 1 cumulative | 2 delta,
                           "durations_as_seconds", "http", "histogram_bucket_overrides"}
      metric_buffer_size   int: updates are kept for take_metric_updates(), the oldest dropped beyond this many
      global_tags          dict[str, str]
      attach_service_name  bool
      metric_prefix        str, "temporal_" if absent
      worker_heartbeat_interval  ns; absent: no worker heartbeats
    ValueError for a bad option (an address that cannot be bound, a URL that cannot be read).
    """

    def __init__(self, options: Message) -> None: ...
    def metrics_text(self) -> str: ...
    def prometheus_port(self) -> int:
        """The port of the metrics page (the address may have asked for any free one); 0 without a page."""
    def new_metric(self, kind: int, name: str, description: str, unit: str) -> int:
        """Registers a metric of the program: kind 0 counter, 1 gauge, 2 histogram, 3 float gauge, 4 float histogram,
        5 duration histogram (values in ms). The same name and kind give the same number again."""
    def record_metric(self, metric: int, value: float, attributes: dict[str, Union[str, int, float, bool]]) -> None: ...
    def take_metric_updates(self) -> list[tuple[str, str, str, int, float, dict[str, Any]]]:
        """The buffered updates, taken away: (name, description, unit, kind as in new_metric, value, attributes)."""

class Loop:
    """Carries completions from C threads to one asyncio event loop.

    `fileno()` becomes readable when something is waiting; `drain()` (called by the loop's reader callback) sets the
    waiting futures and calls the waiting callbacks.
    """

    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...

class Call:
    def cancel(self) -> None: ...

class Connection:
    """A gRPC connection (or pool) to one address; reconnects by itself.

    Options (those marked * always present):
      target_host*       "host:port"
      tls                {"server_root_ca_cert": bytes, "domain": str (SNI and authority), "client_cert": bytes,
                         "client_private_key": bytes, "verification_server_name": str}, each optional; absent: clear text
      api_key            str, sent as "authorization: Bearer ..." unless metadata has an authorization
      metadata*          list[tuple[str, str | bytes]]
      client_name*, client_version*  sent as client-name and client-version headers
      retry*             {"initial_interval", "max_interval": ns, "max_elapsed_time": ns or absent for no limit,
                         "multiplier": float, "randomization_factor": float, "max_retries": int}
      keep_alive         {"interval": ns, "timeout": ns}; absent: no pings
      proxy              {"target_host": str, "user": str, "password": str}; the last two optional
      dns_resolution_interval  ns between look-ups for balancing; absent: none
      gzip*              bool
      connect_timeout    ns
      payloads_warn_size*, memo_warn_size*  bytes; a request whose payloads or memo exceed it is logged as a warning
    """

    def __init__(self, runtime: Runtime, options: Message) -> None: ...
    def connect(self, loop: Loop, future: asyncio.Future[None]) -> None: ...
    def call(
        self,
        loop: Loop,
        future: asyncio.Future[Any],
        rpc: str,  # "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution"
        request: Union[bytes, Message],
        *,
        retry: bool = False,
        metadata: Sequence[tuple[str, Union[str, bytes]]] = (),
        timeout: Optional[float] = None,  # seconds
        raw: bool = False,  # True: the result is bytes, else a dict
    ) -> Call: ...
    def update_metadata(self, metadata: Sequence[tuple[str, Union[str, bytes]]]) -> None: ...
    def update_api_key(self, api_key: Optional[str]) -> None: ...
    def close(self) -> None: ...

class Worker:
    """Polls one task queue. Methods may be called from any Python thread; blocking ones release the GIL."""

    def __init__(self, connection: Connection, options: Message) -> None: ...
    def validate(self, loop: Loop, future: asyncio.Future[None]) -> None: ...
    def start(self) -> None:
        """Begins to poll; after the callbacks are set. Without it initiate and finalize_shutdown have nothing to do."""
    def replace_connection(self, connection: Connection) -> None:
        """Polls and answers go over this one from now on."""
    def on_slots(self, callback: Any) -> None:
        """callback(what, custom_id, number, context) is called (with the GIL, from a thread of C) for slots of suppliers that
        have a custom_id. C makes up `number` for each slot. what: "reserve" (answer with grant_slot when there is one),
        "cancel" (of a reserve), "try" (returns whether there is one), "used" and "release". context is a dict: for
        reserve and try task_queue, worker_identity, worker_build_id, worker_deployment_version, is_sticky; for used
        workflow_type and is_sticky, or activity_type."""
    def grant_slot(self, number: int) -> None: ...
    def reserve_workflow_task(self) -> int:
        """A slot for the workflow task that may come with the answer to a start, 0 if none is to be had now."""
    def accept_workflow_task(self, slot: int, task: bytes) -> None:
        """The encoded PollWorkflowTaskQueueResponse that came for a reserved slot; empty gives the slot back."""
    def on_fatal(self, callback: Any) -> None:
        """callback(RPCFailure) is called (with the GIL, from a C thread) when the server refuses the worker."""
    def next_activation(self, timeout: Optional[float]) -> Optional[Message]:
        """Blocks for the next perdure.core.v1.Activation; None when the timeout passed or the worker has shut down."""
    def complete_activation(self, completion: Message) -> None: ...
    def on_activation_waiting(self, callback: Any) -> None:
        """callback() is called (with the GIL, from a C thread) when an activation waits and nobody takes it.

        At once when no activation is out for completion nor has just come back with its thread; else when it has waited for
        10 ms, since the thread that works on another one will take it next, and again every 10 ms while that lasts.
        """
    def on_activity_task(self, loop: Loop, callback: Any) -> None:
        """callback(ActivityTask dict) is called on the loop's thread by drain(); callback(None) after the last one. Of a start
        only activity_type, input and heartbeat_timeout are there; its entry "others" is an ActivityStart with the other
        fields, encoded, for most activities never look at them."""
    def hand_over_activity_tasks(self) -> None:
        """Calls the callback here and now with the tasks that wait for the loop's thread, in order; for when it is blocked.
        While one thread hands over, others return at once."""
    def keep_alive(self, task_token: bytes) -> None:
        """An activity is alive but kept from beating. If it has a heartbeat timeout and half of it has passed since the last
        heartbeat, that is sent again. C does the same for all activities while somebody holds the GIL."""
    def complete_activity(self, result: Message) -> None: ...
    def record_heartbeat(self, task_token: bytes, details: Sequence[Message]) -> None: ...
    def initiate_shutdown(self) -> None: ...
    def finalize_shutdown(self, loop: Loop, future: asyncio.Future[None]) -> None: ...
    @property
    def is_shut_down(self) -> bool: ...

class Turns:
    """The callbacks that wait for their turn on a workflow's event loop, and the running of them: the base of that loop.

    One thread at a time. `_prepare` and `_prepare_jobs` are called once in a process, before the first callback and job.
    """

    _read_only: bool
    _is_evicting: bool
    _is_replaying: bool
    _may_batch: bool
    _versioning_behavior: int
    _time_ns: int
    _thread_id: int
    _signal_count: int
    _object: Any
    _deployment_version: Optional[Message]
    _task_error: Optional[BaseException]
    _plain_signals: Optional[dict[str, Callable[..., Any]]]

    # Made when somebody asks
    _conditions: list[tuple[Callable[[], bool], asyncio.Future[None], contextvars.Context]]
    _tasks: dict[asyncio.Task[Any], None]
    _timers: dict[int, Any]
    _signal_executions: dict[Any, None]
    _update_executions: dict[Any, None]
    _waiting_signals: dict[str, list[Message]]

    def activate(self, act: Message) -> Message:
        """Takes an activation, lets the workflow run until it can go no further, and returns the completion.

        It is the thread's running loop meanwhile; afterwards the thread has none."""
    @staticmethod
    def _prepare_jobs(jobs: dict[str, tuple[int, Callable[..., None]]], handler_errors: tuple[type[BaseException], ...]) -> None:
        """What applies each job, with its group, and what a handler may raise that concerns the workflow."""
    def _run_until_idle(self, check_conditions: bool = True) -> None:
        """Runs callbacks until there are none and no condition has become true."""
    def _assert_not_read_only(self, action: str) -> None:
        """Calls _refuse, which raises, when nothing may be done: in a read-only function, or when the run leaves the cache."""
    def _track(self, task: asyncio.Task[Any]) -> None:
        """Keeps a task in _tasks until it is done, and its end from being news when the run is dropped before."""
    def _soon_signal(self, name: str, args: tuple[Any, ...]) -> bool:
        """Runs a signal's handler in its turn; False when the handler needs a task."""
    @staticmethod
    def _prepare(step_type: Optional[type], handle_class: type[asyncio.Handle]) -> None:
        """The type of what a task gives to call_soon to go on (None: it is a method), and the class of all other handles."""
    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Optional[contextvars.Context] = None
    ) -> asyncio.Handle:
        """As asyncio's, but None for a task's next step. While read-only it calls _assert_not_read_only, which raises."""
    def get_debug(self) -> bool: ...
    def _soon(self, callback: Callable[..., Any], *args: Any) -> None:
        """As call_soon, for what is never cancelled."""
    def _push_handle(self, handle: asyncio.Handle) -> None:
        """The handle's callback runs in its turn, unless it is cancelled first."""
    def _run_turns(self) -> None:
        """Runs callbacks until none waits; what one raises is passed on, and the others wait."""
    def _turns_wait(self) -> bool: ...

class Replayer:
    """A worker without a server: histories go in, activations come out as from Worker."""

    def __init__(self, options: Message) -> None: ...
    def push_history(self, workflow_id: str, history: bytes) -> None:
        """The run ends with remove_from_cache, whose reason tells how it went."""
    def on_activation_waiting(self, callback: Any) -> None:
        """As Worker's."""
    def next_activation(self, timeout: Optional[float]) -> Optional[Message]: ...
    def complete_activation(self, completion: Message) -> None: ...
    def close(self) -> None: ...
