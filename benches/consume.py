#!/usr/bin/env python3
"""Reading a stream over HTTP, from its oldest record to its newest: how many records a second, and what that takes.

One service keeps the stream and speaks Kinesis. Its readers run in turn, each in a process of its own, and decode every
record: another millstream, which also counts them by SQL; boto3 with a thread for each shard; and async-kinesis.
Millstream reads a shard as AWS lets it: five times and 2 MB a second. So it is the CPU that is compared.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import duckdb_engine
import figures
import kinesis
import service
from process import cpu_seconds, measured

HERE = Path(__file__).parent
# Whoever asks a server of this machine signs with any key.
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"}
COUNT = """
CREATE TABLE bench (n BIGINT, x STRING) WITH ('connector' = 'kinesis', 'aws.endpoint' = 'http://127.0.0.1:{port}',
  'aws.region' = 'us-east-1', 'source.init.position' = 'TRIM_HORIZON', 'format' = 'json');
CREATE MATERIALIZED VIEW counted AS SELECT n % 1 AS all_of_them, count(x) AS records FROM bench GROUP BY n % 1;
"""


def fill(port, options):
    """Puts the records, with keys that spread over all shards."""
    stream, rng = kinesis.Connection(port), random.Random(1)
    stream.call("CreateStream", {"StreamName": "bench", "ShardCount": options.shards})
    padding = "x" * (options.record_bytes - 21)
    for start in range(0, options.records, 500):
        records = [
            kinesis.record(f"key-{rng.randrange(100_000)}", f'{{"n":{n:08},"x":"{padding}"}}'.replace('"n":0', '"n":1'))
            for n in range(start, min(start + 500, options.records))
        ]
        stream.call("PutRecords", {"StreamName": "bench", "Records": records})


def by_millstream(port, options):
    """From the statement to the row that counts them all."""
    with service.running(options.binary) as (reader, pid):
        before, began = cpu_seconds(pid), time.monotonic()
        service.execute(reader, COUNT.format(port=port))
        while True:
            rows = service.ask(reader, "/api/v1/tables/counted/rows")["rows"]
            if rows and rows[0]["records"] >= options.records:
                break
            time.sleep(0.02)
        seconds, cpu = time.monotonic() - began, cpu_seconds(pid) - before
        if rows[0]["records"] != options.records:
            sys.exit(f"{rows[0]['records']} records were counted, {options.records} put")
        return {"seconds": seconds, "cpu_seconds": cpu, "memory_mb": service.memory_mb(pid)}


def by_script(script):
    def run(port, options):
        # Without this folder in its path: a package is named as a module here.
        words = [duckdb_engine.PYTHON, "-P", HERE / script, f"http://127.0.0.1:{port}", "bench", str(options.records)]
        found, _ = measured(words, env=os.environ)
        return {"seconds": found["seconds"], "cpu_seconds": found["cpu_seconds"], "memory_mb": found["peak_mb"]}

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--record-bytes", type=int, default=200)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    os.environ.update(KEYS)
    readers = {"millstream": by_millstream}
    if subprocess.run([duckdb_engine.PYTHON, "-P", "-c", "import boto3, kinesis"], stderr=subprocess.DEVNULL).returncode == 0:
        readers["boto3"] = by_script("boto3_consumer.py")
        readers["async-kinesis"] = by_script("async_kinesis_consumer.py")
    else:
        print("boto3 and async-kinesis are not installed: run `scripts/setup bench`")
    found = {name: [] for name in readers}
    with service.running(options.binary) as (port, _):
        fill(port, options)
        for _ in range(options.runs):
            for name, read in readers.items():
                found[name].append(read(port, options))
    print(f"{options.records} records of {options.record_bytes} bytes in {options.shards} shards, {options.runs} rounds")
    print(f"{'':14}{'records/s':>12}{'records/CPU s':>30}{'MB':>7}")
    written = {"runs": found}
    rates = {name: [options.records / run["cpu_seconds"] for run in runs] for name, runs in found.items()}
    for name, runs in found.items():
        speed = statistics.median(options.records / run["seconds"] for run in runs)
        memory = statistics.median(run["memory_mb"] for run in runs)
        print(f"{name:14}{speed:>12.0f}{figures.spread(rates[name], 0):>30}{memory:>7.0f}")
    for name in list(readers)[1:]:
        ratio = figures.ratios(rates["millstream"], rates[name])
        written[f"ratio_to_{name}"] = statistics.median(ratio)
        print(f"millstream / {name}, records a CPU second: {figures.spread(ratio, 1)}")
    figures.write(options.json, written)


if __name__ == "__main__":
    main()
