"""Small conversions at the boundary to C, where a Timestamp or Duration is an int of nanoseconds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9})\d*)?(?:(Z|z)|([+-]\d{2}):?(\d{2}))?)?$"
)


def duration_ns(value: timedelta) -> int:
    """Nanoseconds of a timedelta, exactly."""
    return (value.days * 86_400 + value.seconds) * 1_000_000_000 + value.microseconds * 1_000


def duration_ns_or_none(value: timedelta | None) -> int | None:
    """As duration_ns; None stays None."""
    return None if value is None else duration_ns(value)


def to_timedelta(ns: int) -> timedelta:
    """The timedelta of so many nanoseconds, cut to microseconds."""
    return timedelta(microseconds=ns // 1_000)


def to_timedelta_or_none(ns: int | None) -> timedelta | None:
    """As to_timedelta; None stays None."""
    return None if ns is None else timedelta(microseconds=ns // 1_000)


def instant_ns(value: datetime) -> int:
    """Nanoseconds since 1970 in UTC; a datetime without a zone is taken as local time, as elsewhere in Python."""
    return duration_ns(value.astimezone(timezone.utc) - _EPOCH)


def to_datetime(ns: int) -> datetime:
    """The UTC datetime so many nanoseconds after 1970, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=ns // 1_000)


def to_datetime_or_none(ns: int | None) -> datetime | None:
    """As to_datetime; None stays None."""
    return None if ns is None else _EPOCH + timedelta(microseconds=ns // 1_000)


def parse_datetime(text: str) -> datetime:
    """Reads ISO 8601 as servers and SDKs write it: up to nanoseconds, Z or an offset. Older Pythons read less."""
    match = _ISO.match(text)
    if not match:
        return datetime.fromisoformat(text)
    date, time, fraction, zulu, hours, minutes = match.groups()
    if time is None:
        return datetime.fromisoformat(date)
    text = f"{date}T{time if len(time) == 8 else time + ':00'}"
    if fraction:
        text += "." + fraction[:6].ljust(6, "0")
    if zulu:
        text += "+00:00"
    elif hours:
        text += f"{hours}:{minutes}"
    return datetime.fromisoformat(text)
