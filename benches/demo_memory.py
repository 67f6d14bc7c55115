#!/usr/bin/env python3
"""Resident memory over minutes of `millstream demo`: is it flat?

Prints a sample each ten seconds, and the growth from the end of the first minute to the end.
"""

import argparse
import sys
import time

import figures
from service import memory_mb, running


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--most-growth-mb", type=float, default=30, help="fails above this")
    parser.add_argument("--json", help="writes the figures here")
    options = parser.parse_args()
    with running(options.binary, command="demo") as (_, pid):
        samples = []
        start = time.monotonic()
        while (elapsed := time.monotonic() - start) < options.minutes * 60:
            samples.append((elapsed, memory_mb(pid)))
            print(f"{elapsed:6.0f} s {samples[-1][1]:8.1f} MB", flush=True)
            time.sleep(10)
        settled = [mb for at, mb in samples if at >= 60] or [samples[-1][1]]
        growth = settled[-1] - settled[0]
        print(f"growth after the first minute: {growth:.1f} MB")
    figures.write(options.json, {"samples": samples, "growth_mb": growth})
    if growth > options.most_growth_mb:
        sys.exit(f"memory grew by {growth:.1f} MB, more than {options.most_growth_mb:.0f}")


if __name__ == "__main__":
    main()
