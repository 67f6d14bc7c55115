"""What the expected rows of these cases are computed with: plain Python over all records of a replay at once, straight
from the definitions of the dialect. Slow and simple on purpose; nothing here knows how the engine works.

Times are milliseconds since 1970. A row is a dict with the time that its stream gives it, its ROWTIME.
"""

import datetime
import json
import math

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
EPOCH = datetime.datetime(1970, 1, 1)


class Row(dict):
    """Columns by name, and the row's ROWTIME."""

    def __init__(self, rowtime, columns=(), **more):
        super().__init__(columns, **more)
        self.rowtime = rowtime


class Record:
    """A line of a replay. Its time is its arrival, or that of the record before it in its shard if that is later."""

    def __init__(self, line, time):
        self.stream, self.key, self.data = line["stream"], line.get("key"), line["data"]
        self.shard, self.time = line.get("shard"), time


def read(file):
    """The records of a replay, in order of time."""
    last, records = {}, []
    for line in map(json.loads, filter(None, file.read_text().splitlines())):
        shard = (line["stream"], line.get("shard"))
        last[shard] = max(last.get(shard, 0), millis(line["arrival"]))
        records.append(Record(line, last[shard]))
    return sorted(records, key=lambda record: record.time)


def rows(records):
    """The source stream where each record is one JSON object whose members are the columns."""
    return [Row(record.time, record.data) for record in records]


# --- times


def millis(text):
    """Of `2026-01-01T00:00:00.000Z` or `2026-01-01 00:00:00`."""
    return (datetime.datetime.fromisoformat(text.removesuffix("Z")) - EPOCH) // datetime.timedelta(milliseconds=1)


def moment(ms):
    return EPOCH + datetime.timedelta(milliseconds=ms)


def timestamp(ms):
    """As results print a TIMESTAMP."""
    return None if ms is None else moment(ms).isoformat(timespec="milliseconds")


def text(ms):
    """As CAST(... AS VARCHAR) prints a TIMESTAMP."""
    return moment(ms).isoformat(" ", timespec="seconds")


# --- windows


def step(ms, size):
    """STEP(ms BY size): the beginning of the window, counted from 1970."""
    return ms // size * size


def groups(rows, key):
    """(key, its rows) in the order in which keys are first seen."""
    found = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return list(found.items())


def tumbling(rows, size, key=lambda row: ()):
    """(start, key, rows) of each tumbling window, windows in order. Its result's ROWTIME is start + size."""
    found = groups(rows, lambda row: (step(row.rowtime, size), key(row)))
    return [(start, key, members) for (start, key), members in sorted(found, key=lambda group: group[0][0])]


def sliding(rows, size, key=lambda row: ()):
    """(row, the rows of its window): of its key, up to and with itself, at most `size` older. The bound is inclusive."""
    return [
        (row, [other for other in rows[: i + 1] if key(other) == key(row) and other.rowtime >= row.rowtime - size])
        for i, row in enumerate(rows)
    ]


def preceding(rows, count, key=lambda row: ()):
    """(row, the rows of its window): of its key, itself and `count` before it."""
    return [
        (row, [other for other in rows[: i + 1] if key(other) == key(row)][-count - 1 :]) for i, row in enumerate(rows)
    ]


def stagger(rows, size, key):
    """(close, key, rows): a window opens with its key's first row and closes `size` later."""
    found, open_windows = [], {}
    for row in rows:
        window = open_windows.get(key(row))
        if window is None or row.rowtime >= window[0]:
            window = open_windows[key(row)] = (row.rowtime + size, key(row), [])
            found.append(window)
        window[2].append(row)
    return sorted(found, key=lambda window: window[0])


# --- joins


def matches(left, right, left_size, right_size, condition):
    """The pairs of a join: when the later row of a pair comes, the earlier one is still in its window, whose bound is
    inclusive. The size of a side without a window is 0: it is there at its own moment only."""
    return [
        (one, other)
        for one in left
        for other in right
        if -right_size <= other.rowtime - one.rowtime <= left_size and condition(one, other)
    ]


def unmatched(rows, found):
    """The rows that are in no pair."""
    return [row for row in rows if not any(row is other for other in found)]


# --- arithmetic


def divide(a, b):
    """Integer division: towards zero."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def present(values):
    return [value for value in values if value is not None]


def average(values):
    """AVG of an integer column is an integer."""
    values = present(values)
    return divide(sum(values), len(values)) if values else None


def mean(values):
    """AVG of a DOUBLE."""
    values = present(values)
    return sum(values) / len(values) if values else None


def total(values):
    """SUM: null where there is nothing to sum."""
    values = present(values)
    return sum(values) if values else None


def variance(values, sample):
    values = present(values)
    count = len(values) - (1 if sample else 0)
    if count <= 0:
        return None
    middle = sum(values) / len(values)
    return sum((value - middle) ** 2 for value in values) / count


def deviation(values, sample):
    found = variance(values, sample)
    return None if found is None else math.sqrt(found)


# --- results


def out(**columns):
    """A row of the usual output."""
    return "DESTINATION_SQL_STREAM", columns
