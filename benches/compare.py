#!/usr/bin/env python3
"""CPU seconds, wall seconds and memory of the same queries over the same NDJSON bids: Millstream as a stream and as a
batch, DuckDB, and Flink where it is installed (tests/oracle/run_flink installs it).

Engines run in turn, round by round; printed are medians, spreads and, pair by pair, each engine's CPU seconds divided
by the stream's. CPU and memory are those of whole processes, but for DuckDB, whose CPU is counted from its connection
on. Before the rounds each result is checked to be the same rows in all engines.
"""

import argparse
import statistics
import sys
import tempfile
import time

import figures
from bids import Bids
from duckdb_engine import DuckDB
from flink_engine import Flink
from millstream_engine import Millstream
from process import Failed, TooSlow
from workloads import WORKLOADS

ENGINES = ["stream", "batch", "duckdb", "flink"]
SLOW_SECONDS = 30


def names(among):
    def chosen(text):
        wanted = text.split(",")
        if unknown := set(wanted) - set(among):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(among)}")
        return wanted

    return chosen


def chosen_engines(options):
    made = {
        "stream": lambda: Millstream(options.binary, options.threads, options.limit, batch=False),
        "batch": lambda: Millstream(options.binary, options.threads, options.limit, batch=True),
        "duckdb": lambda: DuckDB(options.threads, options.limit),
        "flink": lambda: Flink(options.threads, options.limit),
    }
    wanted = options.engines or [name for name in ENGINES if name != "flink" or Flink.installed()]
    return [made[name]() for name in wanted]


def attempt(call, *arguments):
    """What the call answers, or a text that says why it does not."""
    try:
        return call(*arguments)
    except TooSlow as error:
        return str(error)
    except Failed as error:
        return f"FAILED: {error}"


def measure(workload, data, engines, options):
    """What each engine's rows add up to, and its figures, a list with one for each round.

    An engine that fails takes part in no further round, and has the reason in place of the sums.
    """
    sums, rounds = {}, {}
    for engine in engines:
        began = time.monotonic()
        sums[engine.name] = attempt(engine.check, workload, data)
        slow = engine.name == "flink" or time.monotonic() - began > SLOW_SECONDS
        rounds[engine.name] = options.slow_runs if slow else options.runs
    found = {engine.name: [] for engine in engines}
    for number in range(options.runs):
        for engine in engines:
            if isinstance(sums[engine.name], str) or number >= rounds[engine.name]:
                continue
            run = attempt(engine.run, workload, data)
            if isinstance(run, str):
                sums[engine.name] = run
            else:
                found[engine.name].append(run)
    return sums, found


def show(name, workload, data, sums, found):
    rows = sorted({row[0] for row in sums.values() if isinstance(row, list)})
    print(f"\n{name}: {workload.about}; {' or '.join(rows) or 'no'} rows")
    print(f"  {'':8}{'CPU s':>22}{'wall s':>22}{'M rows/CPU s':>14}{'peak MB':>9}{'CPU / stream':>22}  rows")
    for engine, runs in found.items():
        told = told_rows(engine, sums)
        if not runs:
            print(f"  {engine:8}{'':89}  {told}")
            continue
        cpu, wall = [run["cpu_seconds"] for run in runs], [run["seconds"] for run in runs]
        streams = [run["cpu_seconds"] for run in found.get("stream", [])]
        ratio = figures.spread(figures.ratios(cpu, streams)) if streams and engine != "stream" else ""
        rate = data.rows / statistics.median(cpu) / 1e6
        peak = max(run["peak_mb"] for run in runs)
        start = f", {runs[0]['start_cpu_seconds']:.1f} CPU s of it to start" if "start_cpu_seconds" in runs[0] else ""
        print(f"  {engine:8}{figures.spread(cpu):>22}{figures.spread(wall):>22}{rate:>14.2f}{peak:>9.0f}{ratio:>22}  {told}{start}",
              flush=True)


def told_rows(engine, sums):
    if isinstance(sums[engine], str):
        return sums[engine]
    if sums[engine] is None:
        return "not checked"
    others = [row for name, row in sums.items() if name != engine and isinstance(row, list)]
    if not others:
        return "not compared"
    return "same" if all(row == sums[engine] for row in others) else f"DIFFER: {sums[engine][0]} rows"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--only", type=names(WORKLOADS), default=list(WORKLOADS), help=f"of {','.join(WORKLOADS)}")
    parser.add_argument("--engines", type=names(ENGINES), help=f"of {','.join(ENGINES)} [default: all that are installed]")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--slow-runs", type=int, default=1, help=f"rounds of what takes longer than {SLOW_SECONDS} s, and of Flink")
    parser.add_argument("--limit", type=float, default=180, metavar="SECONDS", help="what takes longer is ended and said so")
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--narrow", action="store_true", help="bids without url and extra")
    parser.add_argument("--files", type=int, default=1, help="the bids are dealt to; a file is a shard")
    parser.add_argument("--threads", type=int, default=2, help="workers, threads, parallelism")
    parser.add_argument("--input", help="a folder that keeps the generated bids for the next run")
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    written, wrong = {}, False
    with tempfile.TemporaryDirectory() as folder:
        data = Bids(options.input or folder, options.rows, options.narrow, options.files)
        print(f"{data.rows} bids, {data.bytes / 1e6:.0f} MB, {options.files} files, {options.threads} threads, "
              f"{options.runs} rounds")
        engines = chosen_engines(options)
        for name in options.only:
            workload = WORKLOADS[name]
            sums, found = measure(workload, data, engines, options)
            show(name, workload, data, sums, found)
            told = {engine: told_rows(engine, sums) for engine in sums}
            wrong |= any(text.startswith(("FAILED", "DIFFER")) for text in told.values())
            written[name] = {"rows": told, "runs": found}
            figures.write(options.json, {"bids": data.rows, "bytes": data.bytes, "workloads": written})
    sys.exit("not all results are there and the same" if wrong else 0)


if __name__ == "__main__":
    main()
