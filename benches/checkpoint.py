"""What checkpoints cost: `python3 benches/checkpoint.py BINARY [--groups N]`.

Fills one window with N groups through the embedded stream, and prints how long the query stood still for a checkpoint of
all of it, how long writing took, its bytes, what the next checkpoint wrote after a few more records, and how long a start
after a kill took until the service was ready again."""

import argparse
import json
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

VIEW = """CREATE TABLE e (id BIGINT, k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'stream', 'stream' = 'e', 'format' = 'json');
CREATE MATERIALIZED VIEW q WITH ('emit' = 'final', 'checkpoint-interval' = '1 h') AS
SELECT window_start, window_end, k, count(*) AS n, sum(v) AS s, max(id) AS m
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end, k;"""


class Service:
    def __init__(self, binary, data):
        started = time.monotonic()
        command = [binary, "serve", "--data", data, "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            if "millstream is ready: " in line:
                self.url = line.split("millstream is ready: ")[1].split("/ ")[0]
                break
        self.seconds = time.monotonic() - started

    def ask(self, path, body=None, kind="application/json"):
        request = urllib.request.Request(self.url + path, body, {"content-type": kind})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def sql(self, text):
        return self.ask("/api/v1/sql", json.dumps({"sql": text}).encode())

    def checkpoint(self, name):
        """Takes one, as a savepoint does; answers what is told of it."""
        self.sql(f"ALTER QUERY q SAVEPOINT '{name}'")
        return self.ask("/api/v1/queries/q")["checkpoint"]

    def put(self, first, last):
        for start in range(first, last, 50_000):
            rows = (
                f'{{"id":{n},"k":"customer-{n:012}","v":{n % 97},"ts":"2026-01-01T00:00:00"}}'
                for n in range(start, min(start + 50_000, last))
            )
            self.ask("/api/v1/streams/e/records?key=k", "\n".join(rows).encode(), "application/x-ndjson")

    def wait_for(self, rows):
        while self.ask("/api/v1/queries/q")["rows_in"] < rows:
            time.sleep(0.2)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--groups", type=int, default=1_000_000)
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(arguments.binary, Path(folder) / "data")
        service.sql(VIEW)
        service.put(0, arguments.groups)
        service.wait_for(arguments.groups)
        whole = service.checkpoint("whole")
        service.put(0, 1000)
        service.wait_for(arguments.groups + 1000)
        more = service.checkpoint("more")
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        again = Service(arguments.binary, Path(folder) / "data")
        print(f"groups                       {arguments.groups}")
        print(f"state                        {whole['state_bytes'] / 1e6:.1f} MB, {whole['state_bytes'] / arguments.groups:.1f} bytes a group")
        print(f"stood still for a checkpoint {whole['pause_us'] / 1000:.1f} ms")
        print(f"written in                   {whole['duration_ms']} ms")
        print(f"the next, 1000 keys changed  {more['bytes_written'] / 1000:.1f} KB, {more['pause_us'] / 1000:.1f} ms")
        print(f"start to ready, restored     {again.seconds:.2f} s (empty: {service.seconds:.2f} s)")
        again.process.terminate()
        again.process.wait()


if __name__ == "__main__":
    main()
