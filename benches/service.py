"""Starts the service for a measurement and stops it by its process id."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(binary, *arguments, command="serve", data=None):
    """A service on a free port with a data folder of its own, or with the one given; yields (port, process id)."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = open(os.path.join(folder, "log"), "w+")
        words = [binary, command, "--listen", f"127.0.0.1:{port}", "--data", data or os.path.join(folder, "data"), *arguments]
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(port, process, log)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            log.close()


def wait_until_ready(port, process, log):
    for _ in range(6000):
        if process.poll() is not None:
            log.seek(0)
            sys.exit(f"{' '.join(process.args)} ended:\n{log.read()}")
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.01)
    log.seek(0)
    sys.exit(f"{' '.join(process.args)} was not ready within a minute:\n{log.read()}")


def ask(port, path, body=None, kind="application/json"):
    """GET, or POST of a body; the JSON that it answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET" if body is None else "POST", path, body, {"content-type": kind})
    reply = connection.getresponse()
    said = reply.read().decode()
    if reply.status != 200:
        sys.exit(f"{path}: {reply.status} {said}")
    return json.loads(said)


def execute(port, sql):
    return ask(port, "/api/v1/sql", sql.encode(), "text/plain")


def memory_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0.0
