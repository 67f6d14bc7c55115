"""A child process and what it took: wall seconds, CPU seconds and peak memory as the kernel counts them."""

import os
import subprocess
import tempfile
import time


class Failed(Exception):
    pass


def measured(command, stdout=subprocess.DEVNULL, **options):
    """Runs to the end; answers its figures and its standard error. Raises Failed with the last lines of that."""
    with tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen([str(word) for word in command], stdout=stdout, stderr=errors, **options)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read()
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
