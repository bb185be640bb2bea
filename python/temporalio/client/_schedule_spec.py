"""What a schedule does and when: the values it is made of."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from temporalio._values import duration_ns, instant_ns, to_datetime_or_none, to_timedelta, to_timedelta_or_none

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass
else:
    import dataclasses

    from temporalio._lazy import dataclass


class ScheduleOverlapPolicy(IntEnum):
    """What to do when an action is due while the one before it still runs. Values are those on the wire."""

    SKIP = 1
    """Do not start."""

    BUFFER_ONE = 2
    """Start when the running one is done; of several due meanwhile only one."""

    BUFFER_ALL = 3
    """Start all that were due, one after the other."""

    CANCEL_OTHER = 4
    """Ask the running one to stop and start when it has."""

    TERMINATE_OTHER = 5
    """Terminate the running one and start at once."""

    ALLOW_ALL = 6
    """Start at once."""


@dataclass(frozen=True)
class ScheduleRange:
    """Whole numbers from a first to a last, in steps."""

    start: int
    """The first."""

    end: int = 0
    """The last; the first if it is less than that."""

    step: int = 0
    """From one to the next; 1 if 0."""

    def __post_init__(self):
        """Fills in what was left out."""
        if self.end < self.start:
            object.__setattr__(self, "end", self.start)
        if self.step == 0:
            object.__setattr__(self, "step", 1)

    @staticmethod
    def _to_dicts(ranges: Sequence[ScheduleRange]) -> list[dict[str, Any]]:
        return [{"start": r.start, "end": r.end, "step": r.step} for r in ranges]

    @staticmethod
    def _from_dicts(ranges: Sequence[Mapping[str, Any]]) -> Sequence[ScheduleRange]:
        return tuple(ScheduleRange(r.get("start", 0), r.get("end", 0), r.get("step", 0)) for r in ranges)


_CALENDAR_FIELDS = ("second", "minute", "hour", "day_of_month", "month", "year", "day_of_week")


@dataclass
class ScheduleCalendarSpec:
    """Times by calendar: those for which every field has a range that they are in."""

    second: Sequence[ScheduleRange] = (ScheduleRange(0),)
    """0 to 59; 0 unless given."""

    minute: Sequence[ScheduleRange] = (ScheduleRange(0),)
    """0 to 59; 0 unless given."""

    hour: Sequence[ScheduleRange] = (ScheduleRange(0),)
    """0 to 23; 0 unless given."""

    day_of_month: Sequence[ScheduleRange] = (ScheduleRange(1, 31),)
    """1 to 31; any unless given."""

    month: Sequence[ScheduleRange] = (ScheduleRange(1, 12),)
    """1 to 12; any unless given."""

    year: Sequence[ScheduleRange] = ()
    """Any unless given."""

    day_of_week: Sequence[ScheduleRange] = (ScheduleRange(0, 6),)
    """0 for Sunday to 6; any unless given."""

    comment: str | None = None
    """A remark."""

    def _to_dict(self) -> dict[str, Any]:
        message: dict[str, Any] = {f: ScheduleRange._to_dicts(getattr(self, f)) for f in _CALENDAR_FIELDS}
        if self.comment:
            message["comment"] = self.comment
        return message

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> ScheduleCalendarSpec:
        ranges: dict[str, Any] = {f: ScheduleRange._from_dicts(message.get(f, ())) for f in _CALENDAR_FIELDS}
        return ScheduleCalendarSpec(**ranges, comment=message.get("comment") or None)


@dataclass
class ScheduleIntervalSpec:
    """Times at equal distances, counted from 1970."""

    every: timedelta
    """The distance."""

    offset: timedelta | None = None
    """By how much all of them are later."""

    def _to_dict(self) -> dict[str, Any]:
        message = {"interval": duration_ns(self.every)}
        if self.offset is not None:
            message["phase"] = duration_ns(self.offset)
        return message

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> ScheduleIntervalSpec:
        return ScheduleIntervalSpec(
            every=to_timedelta(message.get("interval", 0)), offset=to_timedelta_or_none(message.get("phase") or None)
        )


@dataclass
class ScheduleSpec:
    """When a schedule acts: all times of its calendars, intervals and cron expressions that are not to be skipped."""

    calendars: Sequence[ScheduleCalendarSpec] = dataclasses.field(default_factory=list)
    """Times by calendar."""

    intervals: Sequence[ScheduleIntervalSpec] = dataclasses.field(default_factory=list)
    """Times by interval."""

    cron_expressions: Sequence[str] = dataclasses.field(default_factory=list)
    """Times by cron expression; the server turns them into calendars and intervals, as which they are read back."""

    skip: Sequence[ScheduleCalendarSpec] = dataclasses.field(default_factory=list)
    """Times at which it does not act."""

    start_at: datetime | None = None
    """When it begins to act."""

    end_at: datetime | None = None
    """When it acts no more."""

    jitter: timedelta | None = None
    """Up to how much later than due it acts, at random but never past the next time."""

    time_zone_name: str | None = None
    """The time zone of its calendars, such as ``Europe/Berlin``; UTC if None."""

    def _to_dict(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "structured_calendar": [c._to_dict() for c in self.calendars],
            "cron_string": list(self.cron_expressions),
            "interval": [i._to_dict() for i in self.intervals],
            "exclude_structured_calendar": [c._to_dict() for c in self.skip],
            "timezone_name": self.time_zone_name or "",
        }
        if self.start_at is not None:
            message["start_time"] = instant_ns(self.start_at)
        if self.end_at is not None:
            message["end_time"] = instant_ns(self.end_at)
        if self.jitter is not None:
            message["jitter"] = duration_ns(self.jitter)
        return message

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> ScheduleSpec:
        return ScheduleSpec(
            calendars=[ScheduleCalendarSpec._from_dict(c) for c in message.get("structured_calendar", ())],
            intervals=[ScheduleIntervalSpec._from_dict(i) for i in message.get("interval", ())],
            cron_expressions=list(message.get("cron_string", ())),
            skip=[ScheduleCalendarSpec._from_dict(c) for c in message.get("exclude_structured_calendar", ())],
            start_at=to_datetime_or_none(message.get("start_time")),
            end_at=to_datetime_or_none(message.get("end_time")),
            jitter=to_timedelta_or_none(message.get("jitter") or None),
            time_zone_name=message.get("timezone_name") or None,
        )


@dataclass
class SchedulePolicy:
    """What a schedule does in special cases."""

    overlap: ScheduleOverlapPolicy = dataclasses.field(default_factory=lambda: ScheduleOverlapPolicy.SKIP)
    """When an action is due while the one before it still runs."""

    catchup_window: timedelta | None = None
    """How late it may act after the server was not available; the server's default if None."""

    pause_on_failure: bool = False
    """Whether it pauses when an action fails or times out."""

    def _to_dict(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "overlap_policy": int(self.overlap),
            "pause_on_failure": self.pause_on_failure,
        }
        if self.catchup_window is not None:
            message["catchup_window"] = duration_ns(self.catchup_window)
        return message

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> SchedulePolicy:
        return SchedulePolicy(
            overlap=ScheduleOverlapPolicy(message.get("overlap_policy") or 1),
            catchup_window=to_timedelta_or_none(message.get("catchup_window")),
            pause_on_failure=message.get("pause_on_failure", False),
        )


@dataclass
class ScheduleState:
    """Whether a schedule acts at all."""

    note: str | None = None
    """A remark; pausing and unpausing set it."""

    paused: bool = False
    """Whether it is paused."""

    limited_actions: bool = False
    """Whether the number of its actions is limited; has to be set to make the next field count."""

    remaining_actions: int = 0
    """How many actions are left, if they are limited."""

    def _to_dict(self) -> dict[str, Any]:
        if self.limited_actions and not self.remaining_actions:
            raise ValueError("The number of actions is limited but there are no remaining actions set")
        if not self.limited_actions and self.remaining_actions:
            raise ValueError("There are remaining actions set but the number of actions is not limited")
        return {
            "notes": self.note or "",
            "paused": self.paused,
            "limited_actions": self.limited_actions,
            "remaining_actions": self.remaining_actions,
        }

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> ScheduleState:
        return ScheduleState(
            note=message.get("notes") or None,
            paused=message.get("paused", False),
            limited_actions=message.get("limited_actions", False),
            remaining_actions=message.get("remaining_actions", 0),
        )


@dataclass
class ScheduleBackfill:
    """A time past for which a schedule acts as it would have then."""

    start_at: datetime
    """From when, itself included."""

    end_at: datetime
    """Until when."""

    overlap: ScheduleOverlapPolicy | None = None
    """What to do when actions overlap; the schedule's own policy if None."""

    def _to_dict(self) -> dict[str, Any]:
        return {
            "start_time": instant_ns(self.start_at),
            "end_time": instant_ns(self.end_at),
            "overlap_policy": int(self.overlap or 0),
        }


class ScheduleActionExecution(ABC):
    """An action that a schedule has taken."""


@dataclass
class ScheduleActionExecutionStartWorkflow(ScheduleActionExecution):
    """A workflow that a schedule has started."""

    workflow_id: str
    """Its id."""

    first_execution_run_id: str
    """Its first run."""

    @staticmethod
    def _from_dict(execution: Mapping[str, Any]) -> ScheduleActionExecutionStartWorkflow:
        return ScheduleActionExecutionStartWorkflow(
            workflow_id=execution.get("workflow_id", ""), first_execution_run_id=execution.get("run_id", "")
        )


@dataclass
class ScheduleActionResult:
    """When a schedule acted and what came of it."""

    scheduled_at: datetime
    """When it was to, jitter included."""

    started_at: datetime
    """When it did."""

    action: ScheduleActionExecution
    """What it did."""

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> ScheduleActionResult:
        from temporalio.client._helpers import required_datetime

        return ScheduleActionResult(
            scheduled_at=required_datetime(message.get("schedule_time")),
            started_at=required_datetime(message.get("actual_time")),
            action=ScheduleActionExecutionStartWorkflow._from_dict(message.get("start_workflow_result", {})),
        )


@dataclass
class ScheduleInfo:
    """What a schedule has done and will do."""

    num_actions: int
    """How often it has acted."""

    num_actions_missed_catchup_window: int
    """How often it did not because it was too late."""

    num_actions_skipped_overlap: int
    """How often it did not because an action still ran."""

    running_actions: Sequence[ScheduleActionExecution]
    """Actions that run."""

    recent_actions: Sequence[ScheduleActionResult]
    """The latest actions, the oldest first."""

    next_action_times: Sequence[datetime]
    """When it will act next."""

    created_at: datetime
    """When it was created."""

    last_updated_at: datetime | None
    """When it was changed last."""

    @staticmethod
    def _from_dict(message: Mapping[str, Any]) -> ScheduleInfo:
        from temporalio.client._helpers import required_datetime

        return ScheduleInfo(
            num_actions=message.get("action_count", 0),
            num_actions_missed_catchup_window=message.get("missed_catchup_window", 0),
            num_actions_skipped_overlap=message.get("overlap_skipped", 0),
            running_actions=[
                ScheduleActionExecutionStartWorkflow._from_dict(w) for w in message.get("running_workflows", ())
            ],
            recent_actions=[ScheduleActionResult._from_dict(r) for r in message.get("recent_actions", ())],
            next_action_times=[required_datetime(t) for t in message.get("future_action_times", ())],
            created_at=required_datetime(message.get("create_time")),
            last_updated_at=to_datetime_or_none(message.get("update_time")),
        )
