#!/usr/bin/env python3
"""From PutRecord acknowledged to the row seen over server-sent events, at a steady rate.

Two live tables are watched: one that passes rows on, and one that groups by key and keeps each key's last value.
Senders and watchers are threads of this process and share one clock; their own cost is part of the figures.
"""

import argparse
import base64
import http.client
import json
import threading
import time

from service import execute, running

SETUP = """
CREATE TABLE events (sender STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'stream', 'stream' = 'latency', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis', 'shards' = '2');
CREATE MATERIALIZED VIEW passed WITH ('max-rows' = '10000') AS SELECT sender, n FROM events;
CREATE MATERIALIZED VIEW last_seen AS SELECT sender, max(n) AS n, count(*) AS records FROM events GROUP BY sender;
CREATE MATERIALIZED VIEW per_second WITH ('retention' = '10 s') AS
SELECT window_start, sender, max(n) AS n FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, sender;
"""


class Watcher(threading.Thread):
    """Notes when each (sender, n) was first seen in a table, as a number at least n."""

    def __init__(self, port, table):
        super().__init__(daemon=True)
        self.port, self.table, self.seen = port, table, {}
        self.ready = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", f"/api/v1/tables/{self.table}/changes")
        reply = connection.getresponse()
        while line := reply.readline():
            now = time.monotonic()
            if line.startswith(b"event: snapshot"):
                self.ready.set()
            if not line.startswith(b"data: "):
                continue
            for row in json.loads(line[6:])["rows"]:
                if row.get("n") is not None and "sender" in row:
                    self.seen.setdefault(row["sender"], []).append((row["n"], now))


def send(port, sender, rate, seconds, acknowledged):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Kinesis_20131202.PutRecord"}
    start = time.monotonic()
    for n in range(int(rate * seconds)):
        wait = start + n / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        data = json.dumps({"sender": sender, "n": n, "ts": int(time.time() * 1000)})
        body = {"StreamName": "latency", "PartitionKey": sender, "Data": base64.b64encode(data.encode()).decode()}
        connection.request("POST", "/", json.dumps(body), headers)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200, reply.status
        acknowledged.append((n, time.monotonic()))


def latencies(acknowledged, seen):
    """For each record the time from its acknowledgement to the first row that includes it; negative: seen before."""
    found, position = [], 0
    seen = sorted(seen, key=lambda pair: pair[1])
    for n, at in acknowledged:
        while position < len(seen) and seen[position][0] < n:
            position += 1
        if position == len(seen):
            break
        found.append(max(0.0, seen[position][1] - at) * 1000)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--json")
    options = parser.parse_args()
    with running(options.binary) as (port, _):
        execute(port, SETUP)
        watchers = [Watcher(port, table) for table in ("passed", "last_seen", "per_second")]
        for watcher in watchers:
            watcher.start()
            watcher.ready.wait(10)
        acknowledged = {f"s{n}": [] for n in range(options.senders)}
        senders = [
            threading.Thread(target=send, args=(port, name, options.rate / options.senders, options.seconds, list_))
            for name, list_ in acknowledged.items()
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        time.sleep(2)
        figures = {}
        took = max(a[-1][1] for a in acknowledged.values()) - min(a[0][1] for a in acknowledged.values())
        sent = sum(len(a) for a in acknowledged.values())
        print(f"{sent} records in {took:.1f} s, {sent / took:.0f}/s")
        print(f"{'table':12}{'seen':>8}{'p50 ms':>10}{'p90 ms':>10}{'p99 ms':>10}{'max ms':>10}")
        for watcher in watchers:
            all_ = sorted(v for name, a in acknowledged.items() for v in latencies(a, watcher.seen.get(name, [])))
            at = lambda share: all_[min(len(all_) - 1, int(len(all_) * share))] if all_ else float("nan")
            row = {"seen": len(all_), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1)}
            figures[watcher.table] = row
            print(f"{watcher.table:12}{row['seen']:>8}{row['p50']:>10.1f}{row['p90']:>10.1f}{row['p99']:>10.1f}{row['max']:>10.1f}")
        if options.json:
            with open(options.json, "w") as out:
                json.dump({"records": sent, "per_second": sent / took, "tables": figures}, out, indent=1)


if __name__ == "__main__":
    main()
