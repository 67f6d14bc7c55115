#!/usr/bin/env python3
"""Memory while far more comes than one core can take.

A generator that would give a million records a second feeds two windowed queries on one worker. Prints the resident
memory every ten seconds as CSV, and the least and the most after the first minute.
"""

import argparse
import os
import tempfile
import time

import figures
from service import ask, memory_mb, running

SCRIPT = """CREATE TABLE e (id BIGINT, k STRING, v BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at - INTERVAL '1' SECOND)
WITH ('connector' = 'generator', 'format' = 'json', 'rows-per-second' = '1000000', 'shards' = '4',
  'fields.id.kind' = 'sequence', 'fields.k.length' = '2', 'fields.at.max-past' = '1 s');
CREATE TABLE nowhere (k STRING, n BIGINT) WITH ('connector' = 'blackhole');
CREATE MATERIALIZED VIEW tumble WITH ('retention' = '1 m') AS
SELECT window_start, window_end, k, count(*) AS n, sum(v) AS s
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(at), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k;
INSERT INTO nowhere SELECT k, count(*)
FROM TABLE(HOP(TABLE e, DESCRIPTOR(at), INTERVAL '1' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k;
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as queries:
        with open(os.path.join(queries, "overload.sql"), "w") as out:
            out.write(SCRIPT)
        with running(options.binary, "--queries", queries, "--workers", "1") as (port, pid):
            samples = watch(port, pid, options.minutes)
    steady = [mb for seconds, mb, _ in samples if seconds > 60] or [samples[-1][1]]
    seconds, _, rows = samples[-1]
    print(f"after the first minute: {min(steady):.0f} to {max(steady):.0f} MB, {rows / seconds:.0f} records a second")
    figures.write(options.json, {"samples": samples, "least_mb": min(steady), "most_mb": max(steady), "per_second": rows / seconds})


def watch(port, pid, minutes):
    """(seconds, resident MB, records taken) each ten seconds."""
    started, samples = time.monotonic(), []
    print("seconds,resident_mb,rows_in")
    while time.monotonic() - started < minutes * 60:
        time.sleep(10)
        rows = max(query["rows_in"] for query in ask(port, "/api/v1/queries")["queries"])
        samples.append((time.monotonic() - started, memory_mb(pid), rows))
        print("{:.0f},{:.0f},{}".format(*samples[-1]), flush=True)
    return samples


if __name__ == "__main__":
    main()
