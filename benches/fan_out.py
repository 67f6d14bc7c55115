#!/usr/bin/env python3
"""Many readers of one live table: how long after a record's acknowledgement each has seen the change, and what the
service takes for it.

Readers are connections for server-sent events, dealt to a few processes; their own cost is part of the figures. Each
call stores one record for each key, so a change has so many rows. The same calls are first made with no reader.
"""

import argparse
import multiprocessing
import selectors
import time

import figures
import kinesis
from changes import Changes
from process import cpu_seconds
from service import execute, running

SETUP = """
CREATE TABLE events (k STRING, n BIGINT) WITH ('connector' = 'stream', 'stream' = 'fan-out', 'format' = 'json');
CREATE MATERIALIZED VIEW newest AS SELECT k, max(n) AS n, count(*) AS records FROM events GROUP BY k;
"""


def read(port, readers, ready, stop, answers):
    """For each reader, when it had first seen each n of the last key."""
    selector, seen, waiting = selectors.DefaultSelector(), [{} for _ in range(readers)], readers
    for number in range(readers):
        selector.register(Changes(port, "newest"), selectors.EVENT_READ, number)
    while not stop.is_set():
        for key, _ in selector.select(0.1):
            events = key.fileobj.receive()
            now = time.monotonic()
            for event, rows in events:
                waiting -= event == "snapshot"
                for row in rows:
                    if event in ("snapshot", "upsert") and row["k"] == "k0":
                        seen[key.data].setdefault(row["n"], now)
        if waiting == 0:
            ready.set()
    answers.put(seen)


def put(port, pid, first, options):
    """Calls at a steady rate; answers when each n was acknowledged, and the service's CPU seconds meanwhile."""
    connection, acknowledged = kinesis.Connection(port), {}
    before, start = cpu_seconds(pid), time.monotonic()
    for n in range(first, first + int(options.rate * options.seconds)):
        time.sleep(max(0.0, start + (n - first) / options.rate - time.monotonic()))
        records = [kinesis.record(f"k{key}", f'{{"k":"k{key}","n":{n}}}') for key in range(options.keys)]
        connection.call("PutRecords", {"StreamName": "fan-out", "Records": records})
        acknowledged[n] = time.monotonic()
    time.sleep(1)
    return acknowledged, cpu_seconds(pid) - before


def latencies(acknowledged, seen):
    """Milliseconds of each n, to the first that is at least as new; what was never seen is missing."""
    numbers, found = sorted(seen), {}
    position = 0
    for n, at in acknowledged.items():
        while position < len(numbers) and numbers[position] < n:
            position += 1
        if position < len(numbers):
            found[n] = max(0.0, seen[numbers[position]] - at) * 1000
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rate", type=float, default=10, help="calls a second")
    parser.add_argument("--keys", type=int, default=10, help="rows of a change")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    with running(options.binary) as (port, pid):
        execute(port, SETUP)
        first, alone = put(port, pid, 0, options)
        stop, answers = multiprocessing.Event(), multiprocessing.Queue()
        processes = []
        for number in range(options.processes):
            ready = multiprocessing.Event()
            readers = len(range(number, options.readers, options.processes))
            processes.append(multiprocessing.Process(target=read, args=(port, readers, ready, stop, answers)))
            processes[-1].start()
            if not ready.wait(30):
                raise SystemExit(f"{readers} readers did not all get a snapshot within 30 s")
        acknowledged, cpu = put(port, pid, len(first), options)
        stop.set()
        seen = [reader for _ in processes for reader in answers.get()]
        for process in processes:
            process.join()
    of_readers = [latencies(acknowledged, reader) for reader in seen]
    each = [ms for found in of_readers for ms in found.values()]
    if len(each) < len(acknowledged) * options.readers:
        raise SystemExit(f"{len(acknowledged) * options.readers - len(each)} changes were not seen")
    last = [max(found[n] for found in of_readers) for n in acknowledged]
    print(f"{options.readers} readers, {len(acknowledged)} changes of {options.keys} rows, {options.rate:.0f} a second")
    print(f"{'':24}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    for name, values in [("a reader", each), ("the last of the readers", last)]:
        print(f"{name:24}{figures.at(values, 0.5):>10.1f}{figures.at(values, 0.99):>10.1f}{max(values):>10.1f}")
    delivered = (cpu - alone) / len(each) * 1e6
    print(f"the service took {cpu:.2f} CPU s, {alone:.2f} without readers: {delivered:.0f} us for each change of each reader")
    figures.write(options.json, {
        "readers": options.readers, "changes": len(acknowledged), "cpu_seconds": cpu, "cpu_seconds_without_readers": alone,
        "reader_ms": {"p50": figures.at(each, 0.5), "p99": figures.at(each, 0.99), "max": max(each)},
        "last_reader_ms": {"p50": figures.at(last, 0.5), "p99": figures.at(last, 0.99), "max": max(last)},
    })


if __name__ == "__main__":
    main()
