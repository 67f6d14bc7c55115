#!/usr/bin/env python3
"""Rows per CPU-second of a 10 s tumble by bidder over NDJSON bids: the stream against the same plan as one batch query.

The two run in turn, after a warm-up; printed are medians, spreads and the ratio pair by pair.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

QUERY = """
CREATE TABLE bids (
  auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, date_time TIMESTAMP(3), extra STRING,
  WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json');
CREATE TABLE result (window_start TIMESTAMP(3), bidder BIGINT, bids BIGINT, total BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO result
SELECT window_start, bidder, count(*), sum(price)
FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(date_time), INTERVAL '10' SECOND))
GROUP BY window_start, bidder;
"""


def write_bids(path, rows):
    """About 224 bytes a bid, 10,000 bidders, 10,000 bids a second of event time, up to two seconds of disorder."""
    rng = random.Random(1)
    channels = ["Google", "Facebook", "Baidu", "Apple"]
    with open(path, "w") as out:
        for n in range(rows):
            ms = 1_767_225_600_000 + n // 10 - rng.randrange(2000)
            seconds, millis = divmod(ms, 1000)
            minutes, second = divmod(seconds - 1_767_225_600 + 86_400, 60)
            hour, minute = divmod(minutes, 60)
            day, hour = divmod(hour, 24)
            date = "2025-12-31" if day == 0 else f"2026-01-{day:02}"
            out.write(
                f'{{"auction":{1000 + rng.randrange(2000)},"bidder":{1000 + rng.randrange(10_000)},"price":{rng.randrange(10_000_000)},'
                f'"channel":"{channels[n & 3]}","url":"https://www.nexmark.com/item.htm?query=1&channel_id={rng.randrange(1 << 30)}",'
                f'"date_time":"{date}T{hour:02}:{minute:02}:{second:02}.{millis:03}","extra":"{rng.randrange(1 << 40):012x}{"x" * 20}"}}\n'
            )


def run(binary, query, batch):
    command = [binary, "run", query, "--stats"] + (["--batch"] if batch else [])
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stderr.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--input", help="keeps the generated bids here and uses them again")
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.input or os.path.join(folder, "bids.ndjson")
        if not os.path.exists(path):
            write_bids(path, options.rows)
        query = os.path.join(folder, "query.sql")
        with open(query, "w") as out:
            out.write(QUERY.format(path=path))
        for batch in (False, True):
            run(options.binary, query, batch)
        figures = {"stream": [], "batch": []}
        for _ in range(options.runs):
            figures["stream"].append(run(options.binary, query, False))
            figures["batch"].append(run(options.binary, query, True))
    print(f"{options.rows} bids, {os.path.getsize(path) / 1e6 if options.input else figures['stream'][0]['bytes_in'] / 1e6:.0f} MB, {options.runs} runs each, in turn")
    print(f"{'':8}{'M rows / CPU s':>26}{'wall s':>20}{'CPU s':>20}{'peak MB':>10}")
    summary = {}
    for how, runs in figures.items():
        rate = [r["rows_in"] / r["cpu_seconds"] / 1e6 for r in runs]
        wall, cpu = [r["seconds"] for r in runs], [r["cpu_seconds"] for r in runs]
        peak = max(r["rss_max_bytes"] for r in runs) / 1e6
        spread = lambda values: f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
        print(f"{how:8}{spread(rate):>26}{spread(wall):>20}{spread(cpu):>20}{peak:>10.0f}")
        summary[how] = {"rows_per_cpu_second": statistics.median(rate) * 1e6, "seconds": statistics.median(wall), "cpu_seconds": statistics.median(cpu)}
    ratios = [b["cpu_seconds"] / s["cpu_seconds"] for s, b in zip(figures["stream"], figures["batch"])]
    print(f"stream / batch, rows per CPU second: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    summary["ratio"] = statistics.median(ratios)
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"summary": summary, "runs": figures}, out, indent=1)


if __name__ == "__main__":
    main()
