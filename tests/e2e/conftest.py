"""The real binary on 127.0.0.1, and what talks to it. Every test has a data folder of its own."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import requests

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = Path(os.environ.get("MILLSTREAM_PEERS", Path.home() / ".cache/millstream-peers"))
BINARY = Path(os.environ["MILLSTREAM"]) if "MILLSTREAM" in os.environ else None
READY = re.compile(r"millstream is ready: (http://\S+)/")
# Debug builds on small machines take seconds; nothing should take this long.
PATIENCE_SECONDS = 60
# What the processes under test may see of this machine: no proxies, no AWS settings of whoever runs the tests.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "NO_PROXY": "127.0.0.1"}


def pytest_configure():
    if BINARY is None or not BINARY.exists():
        pytest.exit("MILLSTREAM is to name the binary: run `make e2e`", returncode=2)


def eventually(claim, patience=PATIENCE_SECONDS):
    """Asks until the claim is true (or gives something), and answers that; fails with the last answer."""
    deadline = time.monotonic() + patience
    while True:
        answer = claim()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {patience} s; the last answer was {answer!r}"
        time.sleep(0.02)


def command(*arguments, **more):
    """Runs `millstream` to its end."""
    return subprocess.run(
        [BINARY, *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        **more,
    )


class Service:
    """`millstream serve` (or another command that serves) in a process of its own."""

    def __init__(self, data, log, arguments=(), command="serve", environment=None, waits=True):
        self.data = data
        self.log = log
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                [BINARY, command, "--data", data, "--listen", "127.0.0.1:0", *map(str, arguments)],
                env=ENVIRONMENT | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if waits:
            self.wait_until_ready()

    def wait_until_ready(self):
        try:
            self.url = eventually(self._address)
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def _address(self):
        said = self.log.read_text()
        assert self.process.poll() is None, f"the service ended with {self.process.returncode}:\n{said}"
        ready = READY.search(said)
        return ready and ready.group(1)

    def stop(self, how=signal.SIGTERM):
        """Stops it; answers its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not stop within 10 s:\n{self.log.read_text()}") from None

    def get(self, path, **more):
        return requests.get(self.url + path, timeout=PATIENCE_SECONDS, **more)

    def post(self, path, **more):
        return requests.post(self.url + path, timeout=PATIENCE_SECONDS, **more)

    def delete(self, path):
        return requests.delete(self.url + path, timeout=PATIENCE_SECONDS)

    def json(self, path):
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sql(self, text):
        """The results of statements, which all have to take effect."""
        answer = self.post("/api/v1/sql", json={"sql": text})
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    def create_stream(self, name, shards):
        answer = self.post(f"/api/v1/streams/{name}", json={"shards": shards})
        assert answer.status_code == 201, answer.text

    def put(self, stream, records, key="user_id"):
        """Stores records in order."""
        for start in range(0, len(records), 5000):
            lines = "\n".join(json.dumps(record) for record in records[start : start + 5000])
            headers = {"content-type": "application/x-ndjson"}
            answer = self.post(f"/api/v1/streams/{stream}/records?key={key}", data=lines, headers=headers)
            assert answer.status_code == 200, answer.text

    def rows(self, table, query=""):
        return self.json(f"/api/v1/tables/{table}/rows?limit=10000{query}")["rows"]


@pytest.fixture
def start(tmp_path):
    """Starts services; whatever still runs at the end of the test is stopped."""
    started = []

    def start_one(*arguments, command="serve", data=None, env=None):
        log = tmp_path / f"millstream-{len(started)}.log"
        started.append(Service(data or tmp_path / "data", log, arguments, command, env))
        return started[-1]

    yield start_one
    for service in started:
        service.stop(signal.SIGKILL)


@pytest.fixture
def service(start):
    return start()


def node(script, *arguments):
    """Runs a script of this folder with the Node peers; answers what it prints as JSON."""
    environment = ENVIRONMENT | {"NODE_PATH": str(PEERS / "node/node_modules")}
    if "CHROMIUM" in os.environ:
        environment["CHROMIUM"] = os.environ["CHROMIUM"]
    ran = subprocess.run(
        ["node", REPOSITORY / "tests/e2e" / script, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,
    )
    assert ran.returncode == 0, f"{script}:\n{ran.stdout}\n{ran.stderr}"
    return json.loads(ran.stdout)
