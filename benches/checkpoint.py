#!/usr/bin/env python3
"""What checkpoints cost a window with a million groups.

Fills the window through the embedded stream, and prints how long the query stood still for a checkpoint of all of it,
how long writing took, its bytes, what the next checkpoint wrote after a few more records, and how long a start after a
kill took until the service was ready again.
"""

import argparse
import os
import signal
import tempfile
import time

import figures
from service import ask, execute, running

VIEW = """CREATE TABLE e (id BIGINT, k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'stream', 'stream' = 'e', 'format' = 'json');
CREATE MATERIALIZED VIEW q WITH ('emit' = 'final', 'checkpoint-interval' = '1 h') AS
SELECT window_start, window_end, k, count(*) AS n, sum(v) AS s, max(id) AS m
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end, k;"""


def checkpoint(port, name):
    """Takes one, as a savepoint does; answers what is told of it."""
    execute(port, f"ALTER QUERY q SAVEPOINT '{name}'")
    return ask(port, "/api/v1/queries/q")["checkpoint"]


def put(port, records):
    for start in range(0, records, 50_000):
        rows = (
            f'{{"id":{n},"k":"customer-{n:012}","v":{n % 97},"ts":"2026-01-01T00:00:00"}}'
            for n in range(start, min(start + 50_000, records))
        )
        ask(port, "/api/v1/streams/e/records?key=k", "\n".join(rows).encode(), "application/x-ndjson")


def wait_for(port, rows):
    while ask(port, "/api/v1/queries/q")["rows_in"] < rows:
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--groups", type=int, default=1_000_000)
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        began = time.monotonic()
        with running(options.binary, data=data) as (port, pid):
            empty = time.monotonic() - began
            execute(port, VIEW)
            put(port, options.groups)
            wait_for(port, options.groups)
            whole = checkpoint(port, "whole")
            put(port, 1000)
            wait_for(port, options.groups + 1000)
            more = checkpoint(port, "more")
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        with running(options.binary, data=data):
            restored = time.monotonic() - began
    print(f"groups                       {options.groups}")
    print(f"state                        {whole['state_bytes'] / 1e6:.1f} MB, {whole['state_bytes'] / options.groups:.1f} bytes a group")
    print(f"stood still for a checkpoint {whole['pause_us'] / 1000:.1f} ms")
    print(f"written in                   {whole['duration_ms']} ms")
    print(f"the next, 1000 keys changed  {more['bytes_written'] / 1000:.1f} KB, {more['pause_us'] / 1000:.1f} ms")
    print(f"start to ready, restored     {restored:.2f} s (empty: {empty:.2f} s)")
    written = {"whole": whole, "more": more, "ready_seconds": restored, "ready_seconds_empty": empty}
    figures.write(options.json, {"groups": options.groups, **written})


if __name__ == "__main__":
    main()
