#!/usr/bin/env python3
"""Time a row and memory a group of one window with a thousand to ten million groups, and of 1 to 256 shards.

The rows are the same for all numbers of groups: each has a number of its own, in an order at random, and queries group
by its remainder. Bytes a group are those of the peak above a run with one group. Shards are files of one folder, to
which the same rows are dealt. All sizes run in turn, round by round.
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile

import figures
from process import measured

SCRIPT = """
CREATE TABLE s (n BIGINT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json');
CREATE TABLE r (window_start TIMESTAMP(3), k BIGINT, c BIGINT, total BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO r SELECT window_start, n % {groups}, count(*), sum(v)
FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end, n % {groups};
"""
START_MS = 1_767_225_600_000  # 2026-01-01; event time goes on by a millisecond in a hundred rows: one window
BLOCK = 1000
GROUPS = [1, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]
SHARDS = [1, 4, 16, 64, 256]


def write_all(paths, rows):
    """The same rows for each number of shards. Takes a lot of memory, and so a process of its own."""
    numbers = list(range(rows))
    random.Random(1).shuffle(numbers)
    for shards, path in paths.items():
        write(path, numbers, shards)


def write(folder, numbers, shards):
    os.makedirs(folder)
    outs = [open(os.path.join(folder, f"{n:03}.ndjson"), "w") for n in range(shards)]
    for block, start in enumerate(range(0, len(numbers), BLOCK)):
        outs[block % shards].writelines(
            f'{{"n":{number},"v":{at % 97},"ts":{START_MS + at // 100}}}\n'
            for at, number in enumerate(numbers[start : start + BLOCK], start)
        )
    for out in outs:
        out.close()


def run(options, folder, path, groups):
    script = os.path.join(folder, "query.sql")
    with open(script, "w") as out:
        out.write(SCRIPT.format(path=path, groups=groups))
    taken, said = measured([options.binary, "run", script, "--stats", "--workers", options.threads])
    stats = json.loads(said.strip().splitlines()[-1])
    if stats["rows_in"] != options.rows or stats["late"] or stats["rejected"]:
        raise SystemExit(f"{options.rows} rows in {groups} groups gave {stats}")
    return taken


def series(options, cases, one):
    """Runs all cases in turn; answers {name: figures of each round}."""
    found = {name: [] for name, _ in cases}
    for _ in range(options.runs):
        for name, case in cases:
            found[name].append(one(case))
    return found


def show(what, found, rows, base=None):
    print(f"\n{what:>12}{'ns CPU / row':>22}{'wall s':>22}{'peak MB':>10}" + (f"{'bytes / group':>15}" if base else ""))
    for name, runs in found.items():
        cpu = [run["cpu_seconds"] / rows * 1e9 for run in runs]
        wall = [run["seconds"] for run in runs]
        peak = statistics.median(run["peak_mb"] for run in runs)
        above = f"{(peak - base) * 2**20 / min(name, rows):>15.0f}" if base and name >= 1_000_000 else ""
        print(f"{name:>12,}{figures.spread(cpu, 0):>22}{figures.spread(wall):>22}{peak:>10.0f}{above}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--groups", type=int, nargs="*", default=GROUPS[1:])
    parser.add_argument("--shards", type=int, nargs="*", default=SHARDS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = {shards: os.path.join(folder, str(shards)) for shards in sorted({1, *options.shards})}
        writer = multiprocessing.Process(target=write_all, args=(paths, options.rows))
        writer.start()
        writer.join()
        if writer.exitcode != 0:
            raise SystemExit("the input could not be written")
        by_groups = series(options, [(n, n) for n in [1, *options.groups]], lambda n: run(options, folder, paths[1], n))
        base = statistics.median(run["peak_mb"] for run in by_groups[1])
        show("groups", by_groups, options.rows, base)
        by_shards = series(options, list(paths.items()), lambda path: run(options, folder, path, 10_000))
        show("shards", by_shards, options.rows)
    figures.write(options.json, {"rows": options.rows, "groups": by_groups, "shards": by_shards})


if __name__ == "__main__":
    main()
