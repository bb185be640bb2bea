"""Compares ten years of schedule times with what Python's zoneinfo says, over many zones and random cron lines.

The other way round than the program under test: each date of each local calendar is written down, and its UTC times are
those that show exactly that on the wall, none, one or two. Usage: oracle.py DRIVER
"""

import random
import subprocess
import sys
import zoneinfo
from datetime import date, datetime, timedelta, timezone

FOLDER = "/usr/share/zoneinfo"
ZONES = """UTC Europe/Oslo Europe/London Europe/Dublin America/New_York America/St_Johns America/Sao_Paulo America/Havana
America/Santiago Asia/Kolkata Asia/Kathmandu Asia/Tehran Asia/Gaza Asia/Beirut Australia/Lord_Howe Australia/Sydney
Africa/Casablanca Africa/Cairo Pacific/Apia Pacific/Chatham Pacific/Kiritimati Antarctica/Troll America/Nuuk Asia/Tokyo""".split()
CASES = 72


def pick(rng: random.Random, least: int, most: int, share: float) -> tuple[str, set[int]]:
    """A field as text and as the numbers it means."""
    if rng.random() < share:
        return "*", set(range(least, most + 1))
    kind = rng.randrange(4)
    a = rng.randint(least, most)
    b = rng.randint(a, most)
    step = rng.randint(1, 5)
    if kind == 0:
        return str(a), {a}
    if kind == 1:
        return f"{a}-{b}", set(range(a, b + 1))
    if kind == 2:
        return f"{a}-{b}/{step}", set(range(a, b + 1, step))
    return f"{a},{b},{least}", {a, b, least}


def expected(zone: zoneinfo.ZoneInfo, begin: date, end: date, minutes, hours, days, months, weekdays) -> list[int]:
    times = set()
    day = begin - timedelta(days=2)
    while day < end + timedelta(days=2):
        if day.day in days and day.month in months and (day.weekday() + 1) % 7 in weekdays:
            for hour in hours:
                for minute in minutes:
                    wall = datetime(day.year, day.month, day.day, hour, minute)
                    for fold in (0, 1):
                        utc = wall.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc)
                        if utc.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
                            times.add(int(utc.timestamp()))
        day += timedelta(days=1)
    low, high = (int(datetime(d.year, d.month, d.day, tzinfo=timezone.utc).timestamp()) for d in (begin, end))
    return sorted(t for t in times if low <= t < high)


def main() -> int:
    rng = random.Random(7)
    lines, wanted = [], []
    for case in range(CASES):
        name = ZONES[case % len(ZONES)]
        begin = date(rng.choice([2001, 2010, 2024, 2045, 2080]), rng.randint(1, 12), 1)
        end = begin.replace(year=begin.year + 10)
        hour = ("1,2,3", {1, 2, 3}) if case % 3 == 0 else pick(rng, 0, 23, 0.05)  # the hours in which clocks change
        minute = pick(rng, 0, 59, 0) if len(hour[1]) < 4 else ("30", {30})
        fields = [minute, hour, pick(rng, 1, 31, 0.6), pick(rng, 1, 12, 0.6), pick(rng, 0, 6, 0.6)]
        utc = [int(datetime(d.year, d.month, d.day, tzinfo=timezone.utc).timestamp()) for d in (begin, end)]
        lines.append(f"{FOLDER}/{name}|{utc[0]}|{utc[1]}|" + " ".join(text for text, _ in fields))
        wanted.append(expected(zoneinfo.ZoneInfo(name), begin, end, *(numbers for _, numbers in fields)))
    run = subprocess.run([sys.argv[1]], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
    got = [[int(t) for t in line.split()] for line in run.stdout.splitlines() if not line.startswith("error")]
    failed = abs(len(got) - len(wanted))
    for line, g, w in zip(lines, got, wanted):
        if g == w:
            continue
        failed += 1
        odd = sorted(set(g) ^ set(w))[:3]
        print(f"{line}: differs at", [datetime.fromtimestamp(t, timezone.utc).isoformat() for t in odd])
    print(f"{sum(map(len, wanted))} times; {len(wanted) - failed} passed, {failed} failed")
    return 1 if failed or sum(map(len, wanted)) < 10000 else 0


if __name__ == "__main__":
    sys.exit(main())
