#!/usr/bin/env python3
"""Runs every measurement in this folder, one after the other, and writes a file of figures for each.

Takes about an hour, of which Flink has a quarter where it is installed. What fails is named at the end, after the
others have run. --quick runs each once and small: it shows that they work, and measures nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
# Name: script and arguments, and what --quick adds. {input} is a folder for the bids that some of them share.
MEASUREMENTS = {
    "compare": ("compare.py --input {input}", "--rows 100000 --runs 1"),
    "compare_narrow": ("compare.py --input {input} --narrow --engines stream,batch,duckdb --only filter,tumble,hop,session", "--rows 100000 --runs 1"),
    "compare_files": ("compare.py --input {input} --files 2 --engines stream,batch,duckdb --only filter,tumble,hop,session", "--rows 100000 --runs 1"),
    "many_queries": ("many_queries.py --input {input}", "--rows 100000 --runs 1"),
    "groups": ("groups.py", "--rows 100000 --runs 1"),
    "put_records": ("put_records.py", "--runs 1 --seconds 2"),
    "consume": ("consume.py", "--runs 1 --records 20000"),
    "latency": ("latency.py", "--seconds 2"),
    "latency_10000": ("latency.py --rate 10000 --batch 20", "--seconds 2"),
    "fan_out": ("fan_out.py", "--seconds 2"),
    "checkpoint": ("checkpoint.py", "--groups 10000"),
    "state": ("state.py", "--rows 100000"),
    "overload": ("overload.py --minutes 5", "--minutes 0.2"),
    "demo_memory": ("demo_memory.py", "--minutes 0.2"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--json", metavar="FOLDER", help="writes the figures here")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.json:
        os.makedirs(options.json, exist_ok=True)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, quick) in MEASUREMENTS.items():
            script, *arguments = f"{command} {quick if options.quick else ''}".format(input=folder).split()
            arguments += ["--json", f"{options.json}/{name}.json"] if options.json else []
            print(f"\n==== {name}: benches/{script} {' '.join(arguments)}", flush=True)
            began = time.monotonic()
            if subprocess.run([sys.executable, HERE / script, options.binary, *arguments]).returncode != 0:
                failed.append(name)
            print(f"==== {name}: {time.monotonic() - began:.0f} s", flush=True)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
