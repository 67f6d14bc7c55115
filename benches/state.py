#!/usr/bin/env python3
"""Peak memory of large state, with and without a limit: many groups in one window, sessions of many keys, a 24 h hop.

Each case is run over a file by `millstream run`: once with one key, which is what everything but state takes, once with
all keys and as much memory as it wants, and once within --limit. Printed are seconds and peak resident memory, and the
bytes that a group takes without a limit. A query that needs more than the limit stops, and what it says is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import figures

TABLES = """
CREATE TABLE s (k STRING, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json');
CREATE TABLE r (window_start TIMESTAMP(3), window_end TIMESTAMP(3), k STRING, c BIGINT, total BIGINT)
WITH ('connector' = 'blackhole');
INSERT INTO r SELECT window_start, window_end, k, count(*), sum(n) FROM TABLE({window})
GROUP BY window_start, window_end, k;
"""
# 2026-01-01, in milliseconds.
START = 1_767_225_600_000
DAY = 86_400_000

# name: (window, groups for each million of --rows, milliseconds of event time that the rows are spread over)
CASES = {
    "one window": ("TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' DAY)", 1_000_000, DAY - 1),
    "sessions": ("SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' DAY)", 1_000_000, DAY - 1),
    "24 h hop": ("HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' DAY)", 1000, DAY // 4),
}


def write(path, rows, keys, spread_ms):
    with open(path, "w") as out:
        for n in range(rows):
            key = n * 7919 % keys
            out.write(f'{{"k":"customer {key:09}","n":{n},"ts":{START + n * spread_ms // rows}}}\n')


def run(binary, script, limit):
    environment = dict(os.environ, MILLSTREAM_MEMORY_LIMIT=limit)
    done = subprocess.run([binary, "run", script, "--stats"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          env=environment)
    if done.returncode != 0:
        return None, done.stderr.strip()
    return json.loads(done.stderr.strip().splitlines()[-1]), ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--limit", default="512 MB")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    written = {}
    for name in options.case or CASES:
        window, per_million, spread_ms = CASES[name]
        rows = options.rows if name == "one window" else min(options.rows, 1_000_000)
        keys = max(1, rows * per_million // 1_000_000)
        with tempfile.TemporaryDirectory() as folder:
            results = {}
            for what, of_keys, limit in [("one key", 1, "1000 gb"), ("no limit", keys, "1000 gb"), ("limit", keys, options.limit)]:
                path, script = os.path.join(folder, "in.ndjson"), os.path.join(folder, "query.sql")
                if what != "limit":
                    write(path, rows, of_keys, spread_ms)
                with open(script, "w") as out:
                    out.write(TABLES.format(path=path, window=window))
                stats, error = run(options.binary, script, limit)
                results[what] = stats
                if stats is None:
                    print(f"{name}, {what}: {error}", flush=True)
                    continue
                mb = stats["rss_max_bytes"] / 1e6
                print(f"{name:12} {what:9} {of_keys:>10,} keys {stats['rows_in']:>11,} in {stats['seconds']:7.1f} s "
                      f"{mb:8.0f} MB peak", flush=True)
            if results["one key"] and results["no limit"]:
                state = results["no limit"]["rss_max_bytes"] - results["one key"]["rss_max_bytes"]
                print(f"{name:12} {state / keys:.0f} bytes a group at the peak without a limit", flush=True)
            written[name] = results
    figures.write(options.json, {"rows": options.rows, "limit": options.limit, "cases": written})
    sys.exit("a case did not run to its end" if any(stats is None for results in written.values() for stats in results.values()) else 0)


if __name__ == "__main__":
    main()
