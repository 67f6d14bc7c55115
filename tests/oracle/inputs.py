"""The cases' inputs: records made from a seed, which is the case's name.

What goes wrong in streams is in them: disorder up to the delay of the watermark, times exactly on boundaries and a
millisecond before, records that come twice, silence, one key that has half of the records, and NULL keys and values.
Numbers are whole, or quarters: their sums are exact in any order.
"""

import json
import random as randomness
from datetime import datetime, timedelta, timezone

DELAY_MS = 5000  # of every watermark here; no record is later, but in the cases that are about late ones
DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def ms(text):
    return (datetime.fromisoformat(text).replace(tzinfo=timezone.utc) - EPOCH) // timedelta(milliseconds=1)


def iso(time_ms):
    return (EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").removesuffix("+00:00")


START = ms("2026-01-01T00:00:00")


class Clock:
    """Event times that go on, with silences, and come out of order by less than the delay."""

    def __init__(self, random, start=START, step_ms=600, silence_ms=200_000, grid_ms=10_000, ordered=False,
                 midnights_ms=None, talkative_until=-DAY_MS):
        self.random, self.now, self.latest = random, start, start
        self.step_ms, self.silence_ms, self.talkative_until, self.ordered = step_ms, silence_ms, talkative_until, ordered
        self.grid_ms, self.midnights_ms = grid_ms, midnights_ms

    def next(self):
        silent = self.random.random() < 0.015 and self.now > self.talkative_until
        self.now += self.random.randrange(self.silence_ms) if silent else self.random.randrange(1, self.step_ms)
        time = self.now if self.ordered else self.now - self.random.randrange(DELAY_MS)
        if not self.ordered and self.random.random() < (0.7 if self.midnights_ms else 0.2):
            time = self.boundary() - self.random.choice([0, 0, 1])
        time = time if time > self.latest - DELAY_MS else self.now
        self.latest = max(self.latest, time)
        return time

    def boundary(self):
        """The last one before now: of the grid, or a midnight that is so long after one of UTC."""
        if not self.midnights_ms:
            return self.now // self.grid_ms * self.grid_ms
        midnight = self.random.choice(self.midnights_ms)
        return (self.now - midnight) // DAY_MS * DAY_MS + midnight


def key(random, keys):
    """Half of the records are of the first key, a tenth have none."""
    place = random.random()
    return None if place < 0.1 else "hot" if place < 0.55 else f"k{random.randrange(1, keys)}"


def line(stream, now, key, data):
    """Arrivals are not before 2000: the clock of a replay is one of today's, whatever the records say."""
    arrival = now if now > ms("2000-01-01T00:00:00") else now + START
    return {"stream": stream, "arrival": iso(arrival) + "Z", "key": key or "none", "data": data}


def clicks(random, records=300, keys=6, zoned=False, late_ms=0, ties=True, **clock):
    """One stream. Some records come twice; `late_ms` adds some that are so much too late, or more."""
    time = Clock(random, **clock)
    lines, seen = [], set()
    for number in range(records):
        k, ts = key(random, keys), time.next()
        if late_ms and random.random() < 0.1 and number > 20:
            ts = time.latest - late_ms - random.randrange(late_ms)
        if not ties and (k, ts) in seen:
            continue
        seen.add((k, ts))
        value = None if random.random() < 0.08 else random.randrange(-200, 400) / 4
        data = {"id": number, "k": k, "v": value, "n": random.randrange(-9, 10), "ts": iso(ts) + "Z" * zoned}
        lines.append(line("clicks", time.now, k, data))
        if ties and not time.ordered and not late_ms and random.random() < 0.05 and ts > time.latest - DELAY_MS:
            lines.append(lines[-1])
    return lines


def two_streams(random, records=300, keys=8):
    """Orders and payments with keys in common, in step with each other: each of them is in disorder by itself."""
    times = {"orders": Clock(random, grid_ms=5000), "payments": Clock(random, grid_ms=5000)}
    lines = []
    for number in range(records):
        stream = random.choice(["orders", "payments"])
        time, other = times[stream], times["payments" if stream == "orders" else "orders"]
        time.now = max(time.now, other.now)
        k, ts = key(random, keys), time.next()
        # A key of its own, so that outer joins have rows without a match.
        k = f"{stream[0]}{number}" if random.random() < 0.1 else k
        data = {"id": number, "k": k, "n": random.randrange(-9, 10), "ts": iso(ts)}
        lines.append(line(stream, time.now, k, data))
    return lines


def pairs(random, records=300):
    """Orders, and payments for most of them from 5 s before to 10 s after, often exactly at one of these bounds."""
    time = Clock(random, step_ms=1500)
    lines, due = [], []

    def send_due(until):
        due.sort(key=lambda payment: payment[0])
        while due and due[0][0] <= until:
            sent, k, ts = due.pop(0)
            lines.append(line("payments", sent, k, {"id": len(lines), "k": k, "n": random.randrange(-9, 10), "ts": iso(ts)}))

    for number in range(records // 2):
        k, ts = f"o{random.randrange(number // 3, number // 3 + 4)}" if random.random() > 0.1 else None, time.next()
        send_due(time.now)
        lines.append(line("orders", time.now, k, {"id": len(lines), "k": k, "n": random.randrange(-9, 10), "ts": iso(ts)}))
        for _ in range(random.choice([0, 1, 1, 1, 2])):
            from_order = [-5001, -5000, 0, 10_000, 10_001, random.randrange(-8000, 14_000), random.randrange(-5000, 10_000)]
            paid = ts + random.choice(from_order)
            # Never sent before an order that is sent already has, never more than the delay after its time.
            due.append((max(paid, time.now), k, paid))
    send_due(time.now + DAY_MS)
    return [record for record in lines if not is_late(lines, record)]


def sessions(random, records=300, gap_ms=7000, partitioned=True):
    """Steps around a gap: exactly as long, a millisecond shorter, a millisecond longer."""
    now = {f"s{number}": START + 977 * number for number in range(5 if partitioned else 1)}
    lines = []
    for number in range(records):
        k = min(now, key=now.get)
        ts = now[k]
        null = k == "s0" and partitioned
        data = {"id": number, "k": None if null else k, "v": random.randrange(400) / 4, "n": number % 7, "ts": iso(ts)}
        lines.append(line("clicks", ts, k, data))
        now[k] += random.choice([gap_ms, gap_ms - 1, gap_ms + 1, 1, 0, random.randrange(gap_ms), 3 * gap_ms])
    # Out of order by less than the delay, so that sessions grow at their start and are joined in the middle.
    lines.sort(key=lambda record: (ms(record["data"]["ts"]) + random.randrange(DELAY_MS), record["data"]["id"]))
    latest = START
    for record in lines:
        latest = max(latest, ms(record["data"]["ts"]))
        record["arrival"] = iso(latest + DELAY_MS) + "Z"
    return lines


def is_late(lines, record):
    """Whether a record is behind the watermark of those of its stream before it."""
    times = []
    for other in lines:
        if other is record:
            break
        if other["stream"] == record["stream"]:
            times.append(ms(other["data"]["ts"]))
    return bool(times) and ms(record["data"]["ts"]) <= max(times) - DELAY_MS


HOUR_MS = 3_600_000
DAYS = dict(step_ms=2 * HOUR_MS, silence_ms=5 * DAY_MS, zoned=True)
# Clocks change on 8 March and on 1 November.
NEW_YORK = dict(DAYS, midnights_ms=[4 * HOUR_MS, 5 * HOUR_MS])
# Cases that need more than `clicks` as it is.
CASES = {
    "before_1970": dict(start=-60_000),
    "late_tumble": dict(late_ms=60_000),
    "late_hop": dict(late_ms=20_000),
    "first_last": dict(ordered=True),
    "zone_seoul": dict(DAYS, start=ms("2026-01-01T13:00:00"), midnights_ms=[15 * HOUR_MS]),
    "zone_new_york_spring": dict(NEW_YORK, start=ms("2026-03-05T09:00:00"), talkative_until=ms("2026-03-11T00:00:00")),
    "zone_new_york_autumn": dict(NEW_YORK, start=ms("2026-10-29T09:00:00"), talkative_until=ms("2026-11-04T00:00:00")),
    "zone_kolkata": dict(zoned=True, step_ms=600_000, silence_ms=20 * HOUR_MS, grid_ms=1_800_000),
    "over_lag": dict(records=250, ties=False),
    "over_": dict(records=250),
}


def make(case):
    random = randomness.Random(case)
    if case.startswith("window_join"):
        return two_streams(random)
    if case.startswith("interval_join"):
        return pairs(random)
    if case.startswith("session"):
        return sessions(random, partitioned="global" not in case)
    return clicks(random, **next((more for name, more in CASES.items() if case.startswith(name)), {}))


def write(case, file):
    lines = make(case)
    for record in lines:
        assert case.startswith("late") or not is_late(lines, record), f"{case}: late: {record}"
    arrivals = [record["arrival"] for record in lines]
    assert arrivals == sorted(arrivals), f"{case}: arrivals go back"
    file.write_text("".join(json.dumps(record, separators=(",", ":")) + "\n" for record in lines))
