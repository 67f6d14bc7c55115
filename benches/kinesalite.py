"""kinesalite, the Kinesis server that `scripts/setup bench` installs, for a measurement.

It keeps records in memory, and so does not survive a restart; with --path it would write them to LevelDB, without
waiting for the disk. So it is compared at its quickest.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from service import free_port

FOLDER = Path(os.environ.get("MILLSTREAM_PEERS", Path.home() / ".cache/millstream-peers")) / "node"
# Its own command listens on all interfaces.
LISTEN = "require('kinesalite')({ createStreamMs: 5, shardLimit: 100 }).listen(+process.argv[1], '127.0.0.1')"


def installed():
    return (FOLDER / "node_modules/kinesalite").exists()


@contextlib.contextmanager
def running():
    """Yields (port, process id)."""
    port = free_port()
    process = subprocess.Popen(["node", "--eval", LISTEN, str(port)], cwd=FOLDER)
    try:
        for _ in range(600):
            if process.poll() is not None:
                sys.exit("kinesalite ended")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)
