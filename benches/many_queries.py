#!/usr/bin/env python3
"""CPU seconds of 1, 10 and 50 cheap queries over one source in one script, and what the fiftieth adds to them.

Queries of a script share the reading and decoding of their source. Filters let one bid of some ten thousand pass, each
another part; groups count and sum by channel in windows of 10 s, which only differ in their condition. Counts run in
turn, round by round.
"""

import argparse
import os
import statistics
import tempfile

import figures
from bids import Bids
from millstream_engine import tables
from process import measured

KINDS = {
    "filter": (
        "auction BIGINT, bidder BIGINT, price BIGINT",
        "SELECT auction, bidder, price FROM bids WHERE price BETWEEN {n}000 AND {n}999",
    ),
    "group": (
        "window_start TIMESTAMP(3), channel STRING, bids BIGINT, total BIGINT",
        """SELECT window_start, channel, count(*), sum(price)
FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(date_time), INTERVAL '10' SECOND))
WHERE bidder > {n} GROUP BY window_start, window_end, channel""",
    ),
}


def script(data, kind, queries):
    columns, query = KINDS[kind]
    inserts = "".join(f"INSERT INTO result {query.format(n=1000 + n)};\n" for n in range(queries))
    return f"{tables(data)}CREATE TABLE result ({columns}) WITH ('connector' = 'blackhole');\n{inserts}"


def run(binary, workers, folder, text):
    path = os.path.join(folder, "queries.sql")
    with open(path, "w") as out:
        out.write(text)
    taken, _ = measured([binary, "run", path, "--workers", workers])
    return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--input", help="a folder that keeps the generated bids for the next run")
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    written = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Bids(options.input or folder, options.rows)
        print(f"{data.rows} bids, {data.bytes / 1e6:.0f} MB, {options.runs} rounds")
        for kind in KINDS:
            found = {count: [] for count in options.counts}
            for _ in range(options.runs):
                for count in options.counts:
                    found[count].append(run(options.binary, options.threads, folder, script(data, kind, count)))
            written[kind] = show(kind, found)
    figures.write(options.json, {"bids": data.rows, "queries": written})


def show(kind, found):
    cpu = {count: [run["cpu_seconds"] for run in runs] for count, runs in found.items()}
    print(f"\n{kind:10}{'CPU s':>22}{'wall s':>22}{'peak MB':>9}{'CPU / one query':>22}")
    one, most = min(cpu), max(cpu)
    for count, runs in found.items():
        ratio = figures.spread(figures.ratios(cpu[count], cpu[one]))
        wall = figures.spread([run["seconds"] for run in runs])
        print(f"{count:<10}{figures.spread(cpu[count]):>22}{wall:>22}{max(run['peak_mb'] for run in runs):>9.0f}{ratio:>22}")
    if most == one:
        return {"runs": found}
    shares = [(many / single - 1) / (most - one) for many, single in zip(cpu[most], cpu[one])]
    print(f"a query more costs {figures.spread([100 * share for share in shares], 1)} % of the first", flush=True)
    return {"runs": found, "share_of_first": statistics.median(shares)}


if __name__ == "__main__":
    main()
