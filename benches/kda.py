#!/usr/bin/env python3
"""A tumbling window as a Kinesis Data Analytics application and as a native query over the same records: the rows must be
the same, and the application is to take no longer. Both run in turn; ratios of CPU seconds, their median and range."""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SQL = """
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (ticker VARCHAR(8), trades BIGINT, volume BIGINT, highest DOUBLE);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM s."ticker", COUNT(*), SUM(s."quantity"), MAX(s."price")
FROM "SOURCE_SQL_STREAM_001" AS s
GROUP BY s."ticker", STEP(s.ROWTIME BY INTERVAL '10' SECOND);
"""
NATIVE = """
CREATE TABLE trades (ticker STRING, quantity BIGINT, price DOUBLE,
  arrived TIMESTAMP(3) METADATA FROM 'arrival-timestamp' VIRTUAL, WATERMARK FOR arrived AS arrived)
WITH ('connector' = 'stream', 'stream' = 'trades', 'format' = 'json');
CREATE TABLE "DESTINATION_SQL_STREAM" ("TICKER" STRING, "TRADES" BIGINT, "VOLUME" BIGINT, "HIGHEST" DOUBLE)
WITH ('connector' = 'print');
INSERT INTO "DESTINATION_SQL_STREAM"
SELECT ticker, count(*), sum(quantity), max(price)
FROM TABLE(TUMBLE(TABLE trades, DESCRIPTOR(arrived), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, ticker;
"""
COLUMNS = (("ticker", "VARCHAR(8)"), ("quantity", "BIGINT"), ("price", "DOUBLE"))


def application():
    columns = [{"Name": name, "SqlType": kind, "Mapping": f"$.{name}"} for name, kind in COLUMNS]
    arn = "arn:aws:kinesis:us-east-1:111122223333:stream/trades"
    schema = {"RecordFormat": {"RecordFormatType": "JSON"}, "RecordEncoding": "UTF-8", "RecordColumns": columns}
    source = {"NamePrefix": "SOURCE_SQL_STREAM", "KinesisStreamsInput": {"ResourceARN": arn}, "InputSchema": schema}
    output = arn.replace("trades", "per-ticker")
    sink = {
        "Name": "DESTINATION_SQL_STREAM",
        "KinesisStreamsOutput": {"ResourceARN": output},
        "DestinationSchema": {"RecordFormatType": "JSON"},
    }
    return {"ApplicationName": "bench", "ApplicationCode": SQL, "Inputs": [source], "Outputs": [sink]}


def write_records(file, count):
    rng = random.Random(1)
    with file.open("w") as records:
        for n in range(count):
            # A thousand records a second.
            arrival = f"2026-01-01T{n // 3_600_000:02}:{n // 60_000 % 60:02}:{n // 1000 % 60:02}.{n % 1000:03}Z"
            data = {"ticker": f"T{rng.randrange(500)}", "quantity": rng.randrange(1000), "price": rng.randrange(10**5) / 100}
            key = f"k{n % 64}"
            records.write(json.dumps({"stream": "trades", "arrival": arrival, "key": key, "data": data}) + "\n")


def run(command):
    ran = subprocess.run([*command, "--stats"], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(ran.stderr)
    return sorted(ran.stdout.splitlines()), json.loads(ran.stderr.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "app.json").write_text(json.dumps(application()))
        (folder / "native.sql").write_text(NATIVE)
        write_records(folder / "records.ndjson", options.records)
        replay = ["--replay", folder / "records.ndjson"]
        ways = {
            "application": [options.binary, "kda", "run", folder / "app.json", *replay],
            "native": [options.binary, "run", folder / "native.sql", *replay],
        }
        ratios = {"cpu_seconds": [], "seconds": []}
        for _ in range(options.runs):
            (rows, ours), (expected, native) = (run(command) for command in ways.values())
            if rows != expected:
                sys.exit(f"the rows differ: {rows[:2]} and {expected[:2]}")
            for key, found in ratios.items():
                found.append(ours[key] / native[key])
        for key, found in ratios.items():
            low, high = min(found), max(found)
            print(f"application / native, {key}: {statistics.median(found):.3f} ({low:.3f} to {high:.3f}), {len(rows)} rows")


if __name__ == "__main__":
    main()
