"""What runs while the service is killed, and what it must give: each query again in plain Python, by its definition.

Everything is computed from what the streams hold. No row can be late: event times of a shard are less out of order than
the tables allow, and shards that are silent are waited for. So the watermark, too, follows from what the streams hold.
"""

from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1)
START_MS = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp() * 1000)
# What the tables declare.
DELAY_MS = 5000
# A row exactly at the watermark may be final or not yet: which of them is no matter of restarts.
EDGE_MS = 2

TABLES = """
CREATE TABLE orders (
  id BIGINT, k STRING, u STRING, v BIGINT, ts TIMESTAMP(3),
  shard STRING METADATA FROM 'shard-id', seq STRING METADATA FROM 'sequence-number',
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'stream', 'shards' = '3', 'format' = 'json', 'scan.watermark.idle-timeout' = '0 s');
CREATE TABLE payments (
  order_id BIGINT, id BIGINT, paid BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'stream', 'shards' = '2', 'format' = 'json', 'scan.watermark.idle-timeout' = '0 s');
CREATE TABLE hops (
  closed TIMESTAMP(3), opened TIMESTAMP(3), k STRING, c BIGINT, s BIGINT,
  WATERMARK FOR closed AS closed - INTERVAL '1' SECOND
) WITH ('connector' = 'stream', 'shards' = '2', 'format' = 'json', 'sink.partition-key' = 'k',
  'scan.watermark.idle-timeout' = '0 s');
CREATE TABLE picked (id BIGINT, k STRING, v BIGINT) WITH ('connector' = 'stream', 'shards' = '2', 'format' = 'json');
CREATE TABLE paid (id BIGINT, payment BIGINT, paid BIGINT)
WITH ('connector' = 'stream', 'shards' = '2', 'format' = 'json');
CREATE TABLE perhaps_paid (id BIGINT, payment BIGINT)
WITH ('connector' = 'stream', 'shards' = '2', 'format' = 'json', 'sink.partition-key' = 'id');
"""


def parquet(name, columns):
    return f"""
CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'path' = '$FILES/{name}', 'format' = 'parquet',
  'sink.rolling-policy.rollover-interval' = '400 ms', 'sink.rolling-policy.check-interval' = '200 ms');
"""


PARQUET_TABLES = (
    parquet("tumbled_files", "start TIMESTAMP(3), k STRING, c BIGINT, s BIGINT, lo BIGINT, hi BIGINT, users BIGINT")
    + parquet("session_files", "start TIMESTAMP(3), until TIMESTAMP(3), k STRING, c BIGINT, s BIGINT")
    + parquet("picked_files", "shard STRING, seq STRING, id BIGINT, k STRING, v BIGINT")
)

TUMBLED = """
SELECT window_start, k, count(*) AS c, sum(v) AS s, min(v) AS lo, max(v) AS hi, count(DISTINCT u) AS users
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, k;
"""
SESSIONS = """
SELECT window_start, window_end, k, count(*) AS c, sum(v) AS s
FROM TABLE(SESSION(TABLE orders PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' SECOND))
GROUP BY window_start, window_end, k;
"""
HOPPED = """
SELECT {more}window_start, k, count(*) AS c, sum(v) AS s
FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND)) GROUP BY {more}window_start, k;
"""
QUERIES = f"""
CREATE MATERIALIZED VIEW tumbled AS {TUMBLED}
INSERT INTO tumbled_files {TUMBLED}
CREATE MATERIALIZED VIEW hopped AS {HOPPED.format(more="")}
INSERT INTO hops {HOPPED.format(more="window_time, ")}
CREATE MATERIALIZED VIEW sessions AS {SESSIONS}
INSERT INTO session_files {SESSIONS}
CREATE MATERIALIZED VIEW totals AS
SELECT k, count(*) AS c, sum(v) AS s, count(DISTINCT u) AS users FROM orders GROUP BY k;
CREATE MATERIALIZED VIEW running AS
SELECT id, k, sum(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total,
  sum(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS of_three FROM orders;
CREATE MATERIALIZED VIEW top AS SELECT k, id, v, place FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS place FROM orders
) WHERE place <= 3;
INSERT INTO paid SELECT o.id, p.id, p.paid FROM orders o JOIN payments p
ON o.id = p.order_id AND p.ts BETWEEN o.ts AND o.ts + INTERVAL '10' SECOND;
INSERT INTO perhaps_paid SELECT o.id, p.id FROM orders o LEFT JOIN payments p
ON o.id = p.order_id AND p.ts BETWEEN o.ts AND o.ts + INTERVAL '10' SECOND;
INSERT INTO picked SELECT id, k, v FROM orders WHERE v % 3 = 0;
INSERT INTO picked_files SELECT shard, seq, id, k, v FROM orders WHERE v % 2 = 0;
CREATE VIEW spans AS SELECT window_time AS closed, k, sum(v) AS s
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_time, k;
CREATE MATERIALIZED VIEW best_spans AS SELECT window_start, max(s) AS best, count(*) AS spans
FROM TABLE(TUMBLE(TABLE spans, DESCRIPTOR(closed), INTERVAL '20' SECOND)) GROUP BY window_start;
CREATE MATERIALIZED VIEW of_hops AS SELECT window_start, k, sum(c) AS c, sum(s) AS s
FROM TABLE(TUMBLE(TABLE hops, DESCRIPTOR(closed), INTERVAL '20' SECOND)) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW of_picked AS SELECT k, count(*) AS c, sum(v) AS s FROM picked GROUP BY k;
"""

def text(ms):
    """A time as answers show it."""
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")


def millis(shown):
    return round((datetime.fromisoformat(shown) - EPOCH) / timedelta(milliseconds=1))


class Rows:
    """What an output has to hold: rows that have to be there, and those that may."""

    def __init__(self):
        self.must, self.may = Counter(), Counter()

    def add(self, row, due=None, watermark=None, shown=None):
        """A row that is given once the watermark is past `due`; `None`: at once. `shown` stands for it until then."""
        if due is None:
            self.must[row] += 1
            self.may[row] += 1
            return
        is_open = watermark is None or watermark < due - EDGE_MS
        is_closed = watermark is not None and watermark > due + EDGE_MS
        for now, instead in ((row, is_open), (shown, is_closed)):
            if now is not None and not instead:
                self.may[now] += 1
                if is_open or is_closed:
                    self.must[now] += 1


class Shard:
    """What a shard holds, in order."""

    def __init__(self):
        self.rows = []
        self.parents = []
        self.is_open = True


class World:
    """What the streams hold."""

    def __init__(self, streams):
        for name in ("orders", "payments", "hops", "picked"):
            setattr(self, name, [row for shard in streams[name].values() for row in shard.rows])
        self.watermark = watermark(streams["orders"], "ts", DELAY_MS)
        paid_until = watermark(streams["payments"], "ts", DELAY_MS)
        known = self.watermark is not None and paid_until is not None
        self.joined_until = min(self.watermark, paid_until) if known else None
        self.hops_until = watermark(streams["hops"], "closed", 1000)


def watermark(shards, column, delay_ms):
    """How far event time has come: the least of open shards, each of which begins where its parents were."""

    def of_shard(name):
        shard = shards[name]
        begins = min((of_shard(parent) for parent in shard.parents), default=float("-inf"))
        return max([begins, *(millis(row[column]) - delay_ms for row in shard.rows)])

    least = min((of_shard(name) for name, shard in shards.items() if shard.is_open), default=float("-inf"))
    return None if least == float("-inf") else least


def groups(rows, key):
    found = defaultdict(list)
    for row in rows:
        for one in key(row):
            found[one].append(row)
    return found


def windows(column, size_ms, slide_ms=None):
    """The windows of a row, each with the row's key."""
    slide_ms = slide_ms or size_ms

    def of(row):
        at = millis(row[column])
        last = at - at % slide_ms
        return [(start, row["k"]) for start in range(last, at - size_ms, -slide_ms)]

    return of


def total(rows, column="v"):
    return sum(row[column] for row in rows)


def windowed(found, watermark, size_ms, row_of, is_live):
    """Results of windows: final once they close; a live table shows them before."""
    expected = Rows()
    for (start, k), rows in found.items():
        row = row_of(start, k, rows)
        shown = row + (False,) if is_live else None
        expected.add(row + (True,) if is_live else row, start + size_ms, watermark, shown)
    return expected


def tumbled(world, is_live):
    def row_of(start, k, rows):
        values = [row["v"] for row in rows]
        users = len({row["u"] for row in rows})
        return text(start), k, len(rows), sum(values), min(values), max(values), users

    return windowed(groups(world.orders, windows("ts", 10_000)), world.watermark, 10_000, row_of, is_live)


def hopped(world, is_live):
    def row_of(start, k, rows):
        closed = () if is_live else (text(start + 14_999),)
        return *closed, text(start), k, len(rows), total(rows)

    return windowed(groups(world.orders, windows("ts", 15_000, 5_000)), world.watermark, 15_000, row_of, is_live)


def sessions(world, is_live):
    expected, gap_ms = Rows(), 1000
    for k, rows in groups(world.orders, lambda row: [row["k"]]).items():
        rows.sort(key=lambda row: row["ts"])
        runs = []
        for row in rows:
            if not runs or millis(row["ts"]) - millis(runs[-1][-1]["ts"]) > gap_ms:
                runs.append([])
            runs[-1].append(row)
        for run in runs:
            end = millis(run[-1]["ts"]) + gap_ms
            row = (run[0]["ts"], text(end), k, len(run), total(run))
            shown = row + (False,) if is_live else None
            expected.add(row + (True,) if is_live else row, end, world.watermark, shown)
    return expected


def totals(world):
    expected = Rows()
    for k, rows in groups(world.orders, lambda row: [row["k"]]).items():
        expected.add((k, len(rows), total(rows), len({row["u"] for row in rows})))
    return expected


def running(world):
    expected = Rows()
    for k, rows in groups(world.orders, lambda row: [row["k"]]).items():
        rows.sort(key=lambda row: row["ts"])
        so_far = 0
        for place, row in enumerate(rows):
            so_far += row["v"]
            given = (row["id"], k, so_far, total(rows[max(place - 2, 0) : place + 1]))
            expected.add(given, millis(row["ts"]), world.watermark)
    return expected


def top(world):
    expected = Rows()
    for k, rows in groups(world.orders, lambda row: [row["k"]]).items():
        for place, row in enumerate(sorted(rows, key=lambda row: -row["v"])[:3]):
            expected.add((k, row["id"], row["v"], place + 1))
    return expected


def pairs(world):
    payments = groups(world.payments, lambda row: [row["order_id"]])
    for order in world.orders:
        at = millis(order["ts"])
        yield order, [one for one in payments.get(order["id"], ()) if at <= millis(one["ts"]) <= at + 10_000]


def paid(world):
    expected = Rows()
    for order, payments in pairs(world):
        for payment in payments:
            expected.add((order["id"], payment["id"], payment["paid"]))
    return expected


def perhaps_paid(world):
    expected = Rows()
    for order, payments in pairs(world):
        for payment in payments:
            expected.add((order["id"], payment["id"]))
        if not payments:
            expected.add((order["id"], None), millis(order["ts"]) + 10_000, world.joined_until)
    return expected


def picked(world):
    expected = Rows()
    for row in world.orders:
        if row["v"] % 3 == 0:
            expected.add((row["id"], row["k"], row["v"]))
    return expected


def picked_files(world):
    expected = Rows()
    for row in world.orders:
        if row["v"] % 2 == 0:
            expected.add((row["shard"], row["seq"], row["id"], row["k"], row["v"]))
    return expected


def best_spans(world):
    sums = {span: total(rows) for span, rows in groups(world.orders, windows("ts", 5_000)).items()}
    expected = Rows()
    for start, spans in groups(sums, lambda span: [span[0] - span[0] % 20_000]).items():
        row = (text(start), max(sums[span] for span in spans), len(spans))
        expected.add(row + (True,), start + 20_000, world.watermark)
    return expected


def of_hops(world):
    def row_of(start, k, rows):
        return text(start), k, total(rows, "c"), total(rows, "s")

    return windowed(groups(world.hops, windows("closed", 20_000)), world.hops_until, 20_000, row_of, True)


def of_picked(world):
    expected = Rows()
    for k, rows in groups(world.picked, lambda row: [row["k"]]).items():
        expected.add((k, len(rows), total(rows)))
    return expected


# Of each output its columns and its rows. Open rows of the tables of `ONLY_FINAL` are not compared.
LIVE = {
    "tumbled": ("window_start k c s lo hi users is_final", lambda world: tumbled(world, True)),
    "hopped": ("window_start k c s is_final", lambda world: hopped(world, True)),
    "sessions": ("window_start window_end k c s is_final", lambda world: sessions(world, True)),
    "totals": ("k c s users", totals),
    "running": ("id k total of_three", running),
    "top": ("k id v place", top),
    "best_spans": ("window_start best spans is_final", best_spans),
    "of_hops": ("window_start k c s is_final", of_hops),
    "of_picked": ("k c s", of_picked),
}
ONLY_FINAL = {"best_spans"}
STREAMS = {
    "hops": ("closed opened k c s", lambda world: hopped(world, False)),
    "picked": ("id k v", picked),
    "paid": ("id payment paid", paid),
    "perhaps_paid": ("id payment", perhaps_paid),
}
FILES = {
    "tumbled_files": ("start k c s lo hi users", lambda world: tumbled(world, False)),
    "session_files": ("start until k c s", lambda world: sessions(world, False)),
    "picked_files": ("shard seq id k v", picked_files),
}


def later(number):
    """A query that is defined while others run: its statement, its columns and its rows."""
    statement = f"CREATE MATERIALIZED VIEW later_{number} AS {TUMBLED}"
    return statement, LIVE["tumbled"]
