"""Starts the release binary for a measurement and stops it by its process id."""

import contextlib
import http.client
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
def running(binary, *arguments, command="serve"):
    """A service on a free port with a data folder of its own; yields (port, process id)."""
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        log = open(os.path.join(data, "log"), "w+")
        words = [binary, command, "--listen", f"127.0.0.1:{port}", "--data", os.path.join(data, "data"), *arguments]
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(600):
                if process.poll() is not None:
                    log.seek(0)
                    sys.exit(f"{' '.join(words)} ended:\n{log.read()}")
                with contextlib.suppress(OSError):
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                    connection.request("GET", "/ready")
                    if connection.getresponse().status == 200:
                        break
                time.sleep(0.05)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            log.close()


def execute(port, sql):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/api/v1/sql", sql.encode(), {"content-type": "text/plain"})
    reply = connection.getresponse()
    body = reply.read().decode()
    if reply.status != 200:
        sys.exit(f"{sql}: {reply.status} {body}")
    return body


def memory_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0.0
