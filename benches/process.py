"""A child process and what it took: wall seconds, CPU seconds and peak memory as the kernel counts them."""

import os
import subprocess
import tempfile
import threading
import time


class Failed(Exception):
    pass


class TooSlow(Exception):
    pass


def measured(command, stdout=subprocess.DEVNULL, limit=None, **options):
    """Runs to the end; answers its figures and its standard error.

    To the kernel a child's peak begins with this process's memory when it starts the child: that has to be small.
    Raises Failed with the last lines of that, and TooSlow, having killed it, after `limit` seconds.
    """
    with tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen([str(word) for word in command], stdout=stdout, stderr=errors, **options)
        killer = threading.Timer(limit or threading.TIMEOUT_MAX, process.kill)
        killer.start()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read()
    if limit and seconds >= limit:
        raise TooSlow(f"took longer than {limit:.0f} s")
    if process.returncode != 0:
        last = "\n".join(said.strip().splitlines()[-20:])
        raise Failed(f"{' '.join(process.args)} ended with {process.returncode}:\n{last}")
    figures = {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}
    return figures, said


def cpu_seconds(pid):
    """Of a process that goes on, and all its threads."""
    with open(f"/proc/{pid}/stat") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
