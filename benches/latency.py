#!/usr/bin/env python3
"""From a record acknowledged to its row seen over server-sent events, at a steady rate.

Three live tables are watched: one that passes rows on, one that groups by key and keeps each key's last value, and
windows of a second, shown while open. Each watcher is a process, the senders are threads of one; they share one clock,
and their own cost is part of the figures. A row that is seen before its record's acknowledgement counts as 0 ms.
"""

import argparse
import multiprocessing
import select
import threading
import time

import figures
import kinesis
from changes import Changes
from process import cpu_seconds
from service import execute, running

SETUP = """
CREATE TABLE events (sender STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'stream', 'stream' = 'latency', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis', 'shards' = '2');
CREATE MATERIALIZED VIEW passed WITH ('max-rows' = '10000') AS SELECT sender, n FROM events;
CREATE MATERIALIZED VIEW last_seen AS SELECT sender, max(n) AS n, count(*) AS records FROM events GROUP BY sender;
CREATE MATERIALIZED VIEW per_second WITH ('retention' = '10 s') AS
SELECT window_start, sender, max(n) AS n
FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, sender;
"""
TABLES = ["passed", "last_seen", "per_second"]
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1}


def watch(port, table, ready, stop, answers):
    """Notes when each n of each sender was first seen in a table, as a number at least n."""
    changes, seen = Changes(port, table), {}
    while not stop.is_set():
        if not select.select([changes], [], [], 0.1)[0]:
            continue
        events = changes.receive()
        now = time.monotonic()
        for event, rows in events:
            if event == "snapshot":
                ready.set()
            for row in rows:
                if event in ("snapshot", "upsert") and row["n"] is not None:
                    seen.setdefault(row["sender"], []).append((row["n"], now))
    answers.put((table, seen))


def send(port, sender, rate, batch, seconds, acknowledged):
    """`batch` records a call, at `rate` records a second; notes the last n of each call and when it was answered."""
    connection = kinesis.Connection(port)
    start = time.monotonic()
    for first in range(0, int(rate * seconds), batch):
        wait = start + first / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        now = int(time.time() * 1000)
        records = [kinesis.record(sender, f'{{"sender":"{sender}","n":{n},"ts":{now}}}') for n in range(first, first + batch)]
        if batch == 1:
            connection.call("PutRecord", {"StreamName": "latency", **records[0]})
        else:
            connection.call("PutRecords", {"StreamName": "latency", "Records": records})
        at = time.monotonic()
        acknowledged += [(n, at) for n in range(first, first + batch)]


def latencies(acknowledged, seen):
    """For each record the milliseconds from its acknowledgement to the first row that includes it."""
    found, position = [], 0
    for n, at in acknowledged:
        while position < len(seen) and seen[position][0] < n:
            position += 1
        if position == len(seen):
            break
        found.append(max(0.0, seen[position][1] - at) * 1000)
    return found


def senders(port, options):
    """Runs them to their end; answers what was acknowledged, by sender."""
    acknowledged = {f"s{n}": [] for n in range(options.senders)}
    rate = options.rate / options.senders
    threads = [
        threading.Thread(target=send, args=(port, name, rate, options.batch, options.seconds, list_))
        for name, list_ in acknowledged.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return acknowledged


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rate", type=float, default=1000, help="records a second, over all senders")
    parser.add_argument("--batch", type=int, default=1, help="records a call: 1 is PutRecord, more are PutRecords")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    with running(options.binary) as (port, pid):
        execute(port, SETUP)
        stop, answers = multiprocessing.Event(), multiprocessing.Queue()
        watchers = []
        for table in TABLES:
            ready = multiprocessing.Event()
            watchers.append(multiprocessing.Process(target=watch, args=(port, table, ready, stop, answers)))
            watchers[-1].start()
            if not ready.wait(10):
                raise SystemExit(f"{table}: no snapshot within 10 s")
        before, began = cpu_seconds(pid), time.monotonic()
        acknowledged = senders(port, options)
        cores = (cpu_seconds(pid) - before) / (time.monotonic() - began)
        time.sleep(2)
        stop.set()
        seen = dict(answers.get() for _ in watchers)
        for watcher in watchers:
            watcher.join()
    show(options, acknowledged, seen, cores)


def show(options, acknowledged, seen, cores):
    sent = sum(len(records) for records in acknowledged.values())
    times = [at for records in acknowledged.values() for _, at in records]
    took = max(times) - min(times)
    print(f"{sent} records in {took:.1f} s, {options.batch} a call: {sent / took:.0f}/s of {options.rate:.0f}/s asked for; "
          f"the service took {cores:.2f} cores")
    print(f"{'table':12}{'seen':>8}{'p50 ms':>10}{'p90 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    written = {}
    for table in TABLES:
        all_ = [ms for name, records in acknowledged.items() for ms in latencies(records, seen[table].get(name, []))]
        row = {"seen": len(all_), **{name: figures.at(all_, share) for name, share in SHARES.items()}}
        written[table] = row
        print(f"{table:12}{row['seen']:>8}{row['p50']:>10.1f}{row['p90']:>10.1f}{row['p99']:>10.1f}{row['max']:>10.1f}")
    rates = {"asked_per_second": options.rate, "per_second": sent / took, "service_cores": cores}
    figures.write(options.json, {"records": sent, **rates, "tables": written})
    if lost := [table for table, row in written.items() if row["seen"] < sent]:
        raise SystemExit(f"not all records were seen in {', '.join(lost)}")


if __name__ == "__main__":
    main()
