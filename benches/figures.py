"""Medians, spreads and ratios pair by pair, as benches print them, and the file that keeps them."""

import json
import os
import platform
import statistics


def spread(values, digits=2):
    """`median (least-most)`."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratios(of, to):
    """Of what ran in the same round."""
    return [one / other for one, other in zip(of, to)]


def at(values, share):
    """The value that this share of all is at most."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def write(path, figures):
    """With what the machine was, and how busy: figures of other machines are other figures."""
    if not path:
        return
    machine = {"cores": os.cpu_count(), "load": os.getloadavg(), "system": platform.platform()}
    with open(path, "w") as out:
        json.dump({"machine": machine, **figures}, out, indent=1)
