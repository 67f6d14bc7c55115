"""Memory while far more comes than one core can take: `python3 benches/overload.py BINARY [--minutes N]`.

A generator that would give a million records a second feeds two windowed queries on one worker. Prints the resident
memory every ten seconds as CSV, and the least and the most after the first minute."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

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


def resident(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--minutes", type=float, default=30)
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        queries = Path(folder) / "queries"
        queries.mkdir()
        (queries / "overload.sql").write_text(SCRIPT)
        command = [arguments.binary, "serve", "--data", f"{folder}/data", "--queries", str(queries)]
        command += ["--workers", "1", "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        url = next(line.split("is ready: ")[1].split("/ ")[0] for line in process.stdout if "is ready: " in line)
        started, seen = time.monotonic(), []
        print("seconds,resident_mb,rows_in")
        while time.monotonic() - started < arguments.minutes * 60:
            time.sleep(10)
            with urllib.request.urlopen(f"{url}/api/v1/queries") as answer:
                rows = max(query["rows_in"] for query in json.load(answer)["queries"])
            seconds = time.monotonic() - started
            seen.append((seconds, resident(process)))
            print(f"{seconds:.0f},{seen[-1][1]:.0f},{rows}", flush=True)
        steady = [megabytes for seconds, megabytes in seen if seconds > 60]
        print(f"after the first minute: {min(steady):.0f} to {max(steady):.0f} MB, {rows / seconds:.0f} records a second", file=sys.stderr)
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
