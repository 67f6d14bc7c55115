#!/usr/bin/env python3
"""Kills the service again and again while it works, and compares all it gives with what it has to give.

    $MILLSTREAM_PEERS/python/bin/python tests/e2e/crash.py --binary target/debug/millstream --rounds 100 --seed 7

A life is a data folder: its queries, a load, and some rounds, each of which ends a process in its own way and starts
the next. After each round the load pauses, and once everything has been read each table, stream and file has to hold
exactly what `crash_queries.py` computes from the streams. Meanwhile the files and the final rows of tables are watched.
A failing life is left in `--keep`: its folder, its logs and what was wrong.
"""

import argparse
import base64
import contextlib
import heapq
import json
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet
import requests

if __name__ == "__main__" and "--binary" in sys.argv:
    os.environ["MILLSTREAM"] = sys.argv[sys.argv.index("--binary") + 1]
import conftest
import crash_queries
from crash_queries import FILES, LIVE, ONLY_FINAL, START_MS, STREAMS, Shard, World, text

KEYS = [f"k{number}" for number in range(12)]
ROUNDS_OF_A_LIFE = 8
# Of event time, from one order to the next.
STEP_MS = 40
# How much older an order may be than one before it. A batch that is put twice adds its own length to it, 1 s at most.
DISORDER_MS = 2000
# Of event time: what is left open is closed by records so much later.
END_MS = 24 * 3600 * 1000
# The most rows a table answers at once.
ROWS_MAX = 10_000
# How long a process may take to have read everything and to show it.
PATIENCE_SECONDS = 60
# How often a life takes checkpoints, and how many workers its processes have.
INTERVALS = ["50 ms", "300 ms", "1500 ms"]
WORKERS = [1, 2, 3, 4]
CALL_SECONDS = 10
# Lines of logs.
UNEXPECTED = re.compile(r" WARN | ERROR |panicked")
EXPECTED = ["removing a hidden file: its rows are written anew"]


class Wrong(Exception):
    """What is not as it has to be, in words."""


class Load(threading.Thread):
    """Puts orders and payments while it may. A batch whose answer was lost may be stored: it is put again or left."""

    def __init__(self, seed):
        super().__init__(daemon=True)
        self.random = random.Random(f"load {seed}")
        self.service = None
        # Held while records are put.
        self.lock = threading.Lock()
        self.goes = threading.Event()
        self.ends = False
        self.now_ms = START_MS
        self.next_id = 1
        self.times = defaultdict(set)
        # Payments that are due later: their time, and the record.
        self.due = []
        self.batch = []
        self.acknowledged = {"orders": Counter(), "payments": Counter()}
        self.failure = None

    def run(self):
        try:
            while not self.ends:
                self.goes.wait()
                with self.lock:
                    if self.goes.is_set() and not self.ends:
                        self.put()
                time.sleep(self.random.uniform(0.01, 0.08))
        except BaseException as error:
            self.failure = error

    def put(self):
        self.batch = self.batch or self.make(self.random.randrange(1, 25))
        while self.batch:
            stream, records = self.batch[0]
            if not self.store(stream, records):
                self.batch = self.batch if self.random.random() < 0.5 else []
                return
            self.batch.pop(0)

    def store(self, stream, records):
        key = "k" if stream == "orders" else "id"
        lines = "\n".join(json.dumps(record) for record in records)
        headers = {"content-type": "application/x-ndjson"}
        url = f"{self.service.url}/api/v1/streams/{stream}/records?key={key}"
        try:
            answer = requests.post(url, data=lines, headers=headers, timeout=CALL_SECONDS)
        except requests.RequestException:
            return False
        if answer.status_code != 200:
            # A service that stops refuses; anything else is a mistake.
            if answer.status_code < 500:
                raise Wrong(f"a put to {stream} was answered with {answer.status_code}: {answer.text}")
            return False
        self.acknowledged[stream].update(record["id"] for record in records)
        return True

    def make(self, count):
        """Orders of so many steps, and the payments that have come due meanwhile."""
        orders = []
        for _ in range(count):
            self.now_ms += STEP_MS
            k, at = self.random.choice(KEYS), self.now_ms - self.random.randrange(DISORDER_MS)
            # In one partition the order of rows by time is unambiguous.
            while at in self.times[k]:
                at -= 1
            self.times[k].add(at)
            order = {"id": self.next_id, "k": k, "u": f"u{self.random.randrange(9)}", "v": self.random.randrange(10**9)}
            orders.append(order | {"ts": text(at)})
            if self.random.random() < 0.7:
                paid_at = at + self.random.randrange(12_000)
                payment = {"order_id": self.next_id, "id": self.next_id, "paid": self.random.randrange(1000)}
                heapq.heappush(self.due, (paid_at, self.next_id, payment | {"ts": text(paid_at)}))
            self.next_id += 1
            if self.random.random() < 0.03:
                orders.append(orders[-1])
        payments = []
        while self.due and self.due[0][0] <= self.now_ms:
            payments.append(heapq.heappop(self.due)[2])
        return [("orders", orders), ("payments", payments)] if payments else [("orders", orders)]

    def close(self):
        """Puts records so late that all there is becomes final; each shard gets some."""
        self.batch = []
        for step in range(4):
            self.now_ms = START_MS + END_MS + step * 60_000
            for stream, of in (("orders", self.last_order), ("payments", self.last_payment)):
                records = [of(number) for number in range(40)]
                if not self.store(stream, records):
                    raise Wrong(f"the last records of {stream} were not taken")

    def last_order(self, number):
        self.next_id += 1
        k = KEYS[number % len(KEYS)]
        return {"id": self.next_id, "k": k, "u": "u", "v": self.next_id, "ts": text(self.now_ms + number)}

    def last_payment(self, number):
        self.next_id += 1
        return {"order_id": 0, "id": self.next_id, "paid": 0, "ts": text(self.now_ms + number)}

    @contextlib.contextmanager
    def paused(self):
        self.goes.clear()
        with self.lock:
            yield
        if self.failure:
            raise self.failure

    def use(self, service):
        with self.lock:
            self.service = service


class FileWatch(threading.Thread):
    """Reads every visible file as soon as it is there, and sees to it that none changes, vanishes or cannot be read."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder = folder
        self.known = {}
        self.rows = {name: Counter() for name in FILES}
        self.lock = threading.Lock()
        self.problems = []
        self.ends = False

    def run(self):
        while not self.ends:
            self.look()
            time.sleep(0.02)

    def look(self):
        with self.lock:
            for name, (columns, _) in FILES.items():
                folder = self.folder / name
                visible = sorted(folder.glob("[!._]*.parquet")) if folder.exists() else []
                for gone in [path for path in self.known if path.parent == folder and path not in visible]:
                    self.problems.append(f"{name}: the file {gone.name} was visible and is gone")
                    del self.known[gone]
                for path in visible:
                    self.read(name, path, columns.split())

    def read(self, name, path, columns):
        try:
            status = path.stat()
            identity = (status.st_ino, status.st_size, status.st_mtime_ns)
            if path in self.known:
                if self.known[path] != identity:
                    self.problems.append(f"{name}: the file {path.name} has changed since it was visible")
                    self.known[path] = identity
                return
            read = pyarrow.parquet.ParquetFile(path).read().to_pylist()
        except Exception as error:
            self.problems.append(f"{name}: the visible file {path.name} cannot be read: {error}")
            self.known[path] = None
            return
        self.known[path] = identity
        self.rows[name].update(tuple(shown(row[column]) for column in columns) for row in read)


def shown(value):
    return value.isoformat(timespec="milliseconds") if hasattr(value, "isoformat") else value


class TableWatch(threading.Thread):
    """Keeps all rows that were shown as final."""

    def __init__(self, columns):
        super().__init__(daemon=True)
        self.columns = columns
        self.seen = {name: set() for name in columns}
        self.service = None
        self.ends = False

    def run(self):
        while not self.ends:
            for name in list(self.columns):
                time.sleep(0.05)
                try:
                    rows = rows_of(self.service, name, self.columns[name], "&is_final=true")
                except (requests.RequestException, Wrong, AttributeError):
                    break
                self.seen[name].update(rows)


def rows_of(service, table, columns, query=""):
    url = f"{service.url}/api/v1/tables/{table}/rows?limit={ROWS_MAX}{query}"
    answer = requests.get(url, timeout=CALL_SECONDS)
    if answer.status_code != 200:
        raise Wrong(f"{table}: {answer.status_code}: {answer.text}")
    answer = answer.json()
    if answer["total"] > ROWS_MAX:
        raise Wrong(f"{table} has {answer['total']} rows: more than can be compared")
    return Counter(tuple(row[column] for column in columns) for row in answer["rows"])


class Streams:
    """What streams hold, by the Kinesis API, each record read once."""

    def __init__(self):
        self.records = {}
        self.last = {}

    def read(self, service, stream):
        """The records of a stream by shard, in order, with where they are."""
        shards = self.records.setdefault(stream, {})
        for shard in shards_of(service, stream):
            known = shards.setdefault(shard["ShardId"], Shard())
            known.parents = [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name)]
            known.is_open = "EndingSequenceNumber" not in shard["SequenceNumberRange"]
            self.read_shard(service, stream, shard["ShardId"], known.rows)
        return shards

    def read_shard(self, service, stream, shard, records):
        last = self.last.get((stream, shard))
        start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": last} if last else None
        start = start or {"ShardIteratorType": "TRIM_HORIZON"}
        iterator = call(service, "GetShardIterator", StreamName=stream, ShardId=shard, **start)["ShardIterator"]
        while True:
            got = call(service, "GetRecords", ShardIterator=iterator)
            for record in got["Records"]:
                self.last[stream, shard] = record["SequenceNumber"]
                place = {"shard": shard, "seq": record["SequenceNumber"]}
                records.append(json.loads(base64.b64decode(record["Data"])) | place)
            iterator = got["NextShardIterator"]
            if iterator is None or not got["Records"] and got["MillisBehindLatest"] == 0:
                return


def call(service, operation, **arguments):
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"Kinesis_20131202.{operation}"}
    answer = requests.post(service.url, data=json.dumps(arguments), headers=headers, timeout=CALL_SECONDS)
    if answer.status_code != 200:
        raise Wrong(f"{operation} {arguments}: {answer.status_code}: {answer.text}")
    return answer.json()


def shards_of(service, stream):
    """Those of a stream that is not there yet are none: a process may have been killed before it made the stream."""
    if stream not in call(service, "ListStreams")["StreamNames"]:
        return []
    return call(service, "ListShards", StreamName=stream)["Shards"]


class Life:
    """A data folder, and all that happens to it."""

    def __init__(self, folder, seed):
        self.folder = folder
        self.random = random.Random(f"life {seed}")
        self.load = Load(seed)
        self.files = FileWatch(folder / "files")
        self.live = {name: (columns.split(), rows) for name, (columns, rows) in LIVE.items()}
        finals = {name: columns for name, (columns, _) in self.live.items() if "is_final" in columns}
        self.tables = TableWatch(finals)
        self.streams = Streams()
        self.starts = 0
        self.service = None
        self.environment = {"MILLSTREAM_CHECKPOINTS_INTERVAL": self.random.choice(INTERVALS)}

    def start(self, waits=True):
        log = self.folder / f"process-{self.starts:03}.log"
        self.starts += 1
        workers = ["--workers", self.random.choice(WORKERS)]
        self.service = conftest.Service(
            self.folder / "data", log, workers, environment=self.environment, waits=False
        )
        if waits:
            self.ready()

    def ready(self):
        self.service.wait_until_ready()
        self.load.use(self.service)
        self.tables.service = self.service

    def kill(self):
        self.service.process.kill()
        self.service.process.wait()

    def wait(self, least, most):
        time.sleep(self.random.uniform(least, most))

    def begin(self):
        """Defines everything; sometimes the process is killed over it."""
        self.folder.mkdir(parents=True)
        self.start()
        tables = (crash_queries.TABLES + crash_queries.PARQUET_TABLES).replace("$FILES", str(self.files.folder))
        self.define(tables + crash_queries.QUERIES, "tumbled", is_killed=self.random.random() < 0.7)
        # Killed before it made the streams, it is their readers that make them.
        conftest.eventually(lambda: all(shards_of(self.service, stream) for stream in self.load.acknowledged))
        for thread in (self.load, self.files, self.tables):
            thread.start()

    def define(self, sql, query, is_killed):
        """Has the statements take effect. What was acknowledged has to be there after a kill; else it is told again."""
        said = []

        def tell():
            with contextlib.suppress(requests.RequestException):
                answer = requests.post(f"{self.service.url}/api/v1/sql", json={"sql": sql}, timeout=PATIENCE_SECONDS)
                said.append((answer.status_code, answer.text))

        teller = threading.Thread(target=tell)
        teller.start()
        if is_killed:
            self.wait(0, 1.5)
            self.kill()
            teller.join()
            self.start()
        teller.join()
        queries = {one["name"] for one in self.service.json("/api/v1/queries")["queries"]}
        if said and said[0][0] != 200 and not is_killed:
            raise Wrong(f"`{query}` was refused: {said[0][1]}")
        if said and said[0][0] == 200 and query not in queries:
            raise Wrong(f"`{query}` was defined, which was acknowledged, and is gone after a restart")
        if query not in queries:
            self.service.sql(sql)

    def round(self):
        """Ends the process in some way, and starts the next; answers which way."""
        way = self.random.choices(list(WAYS), weights=[weight for weight, _ in WAYS.values()])[0]
        self.load.goes.set()
        WAYS[way][1](self)
        return way

    def killed(self):
        self.wait(0.2, 2.5)
        self.kill()
        self.start()
        self.wait(0, 0.5)

    def killed_twice(self):
        self.wait(0.2, 1.5)
        self.kill()
        self.start()
        self.wait(0, 1)
        self.kill()
        self.start()

    def killed_at_start(self):
        self.wait(0.2, 2.5)
        self.kill()
        for _ in range(self.random.randrange(1, 4)):
            self.start(waits=False)
            self.wait(0, 1.5)
            self.kill()
        self.start()

    def killed_in_silence(self):
        self.wait(0.2, 1.5)
        with self.load.paused():
            self.wait(0, 1.2)
            self.kill()
        self.start()

    def told(self):
        self.wait(0.2, 2.5)
        if status := self.service.stop(signal.SIGTERM):
            raise Wrong(f"told to stop, it ended with {status}")
        self.start()
        self.wait(0, 0.5)

    def asked_for_more(self):
        self.wait(0.2, 1.5)
        statement, (columns, rows) = crash_queries.later(self.starts)
        name = f"later_{self.starts}"
        self.define(statement, name, is_killed=True)
        self.live[name] = (columns.split(), rows)
        self.tables.seen[name] = set()
        self.tables.columns[name] = self.live[name][0]

    def resharded(self):
        """Splits a shard or merges two; its readers find the children, in this process or the next."""
        self.wait(0.2, 1.5)
        stream = self.random.choice(["orders", "payments", "hops", "picked"])
        shards = shards_of(self.service, stream)
        ranges = [
            (int(one["HashKeyRange"]["StartingHashKey"]), int(one["HashKeyRange"]["EndingHashKey"]), one["ShardId"])
            for one in shards
            if "EndingSequenceNumber" not in one["SequenceNumberRange"]
        ]
        ranges.sort()
        if len(ranges) > 3:
            (_, _, shard), (_, _, next_to_it) = ranges[:2]
            call(self.service, "MergeShards", StreamName=stream, ShardToMerge=shard, AdjacentShardToMerge=next_to_it)
        elif ranges:
            start, end, shard = self.random.choice(ranges)
            middle = str((start + end) // 2)
            call(self.service, "SplitShard", StreamName=stream, ShardToSplit=shard, NewStartingHashKey=middle)
        self.wait(0, 0.6)
        self.kill()
        self.start()
        self.wait(0, 0.5)

    def check(self, at_end=False):
        """Waits until everything is as it has to be; says what is not."""
        with self.load.paused():
            if at_end:
                self.load.close()
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                missing, wrong = self.compare()
                if wrong or not missing or time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            problems = self.files.problems + wrong + missing + self.complaints()
            if problems:
                raise Wrong("\n".join(problems))

    def compare(self):
        """What is missing by now, and what should never have been there."""
        sources = {name: self.streams.read(self.service, name) for name in ("orders", "payments", *STREAMS)}
        world = World(sources)
        missing, wrong = [], []
        for stream, acknowledged in self.load.acknowledged.items():
            stored = Counter(row["id"] for shard in sources[stream].values() for row in shard.rows)
            if lost := acknowledged - stored:
                wrong.append(f"{stream}: acknowledged and not stored: {some(lost)}")
        held = {}
        for name, (columns, rows) in STREAMS.items():
            stored = (row for shard in sources[name].values() for row in shard.rows)
            held[name] = (Counter(tuple(row[column] for column in columns.split()) for row in stored), rows(world))
        self.files.look()
        with self.files.lock:
            for name, (_, rows) in FILES.items():
                held[name] = (Counter(self.files.rows[name]), rows(world))
        for name, (found, expected) in held.items():
            missing += describe(name, expected.must - found, "missing")
            wrong += describe(name, found - expected.may, "more than there should be", expected.may)
        for name, (columns, rows) in self.live.items():
            expected = rows(world)
            found = rows_of(self.service, name, columns, "&is_final=true" if name in ONLY_FINAL else "")
            if name in ONLY_FINAL:
                expected.must = Counter({row: count for row, count in expected.must.items() if row[-1]})
            missing += describe(name, expected.must - found, "missing")
            # An open window, and what is updated, may be on its way; a final row is not.
            final = [row for row in found - expected.may if columns[-1] == "is_final" and row[-1]]
            other = found - expected.may - Counter(final)
            wrong += describe(name, Counter(final), "final, and not among the expected rows", expected.may)
            missing += describe(name, other, "shown, and not among the expected rows", expected.may)
            seen = Counter(self.tables.seen.get(name, ()))
            wrong += describe(name, seen - expected.may, "seen as final earlier, and wrong", expected.may)
        return missing, wrong

    def complaints(self):
        """What queries say of themselves that they should not."""
        found = []
        for query in self.service.json("/api/v1/queries")["queries"]:
            if query["state"] != "running" or query["error"] or query["late"] or query["rejected"]:
                told = {key: query[key] for key in ("state", "error", "late", "rejected")}
                found.append(f"query {query['name']}: {told}")
        for error in self.service.json("/api/v1/errors?limit=3")["errors"]:
            found.append(f"error_stream: {error['error_name']} {error['message']} of {error['pump_name']}")
        return found + self.warnings()

    def end(self):
        for thread in (self.load, self.files, self.tables):
            thread.ends = True
        self.load.goes.set()
        if self.service and self.service.process.poll() is None:
            self.kill()
        for thread in (self.load, self.files, self.tables):
            if thread.is_alive():
                thread.join(timeout=CALL_SECONDS)

    def warnings(self):
        """What processes warned of, but for what a kill leaves behind."""
        lines = (f"{log.name}: {line}" for log in sorted(self.folder.glob("process-*.log")) for line in log.open())
        said = (line.strip() for line in lines if UNEXPECTED.search(line))
        return [line for line in said if not any(expected in line for expected in EXPECTED)]


# How processes end, and how often in this way.
WAYS = {
    "killed": (40, Life.killed),
    "killed twice": (15, Life.killed_twice),
    "killed at start": (15, Life.killed_at_start),
    "killed in silence": (10, Life.killed_in_silence),
    "told": (10, Life.told),
    "killed over SQL": (10, Life.asked_for_more),
    "killed over shards": (10, Life.resharded),
}


def some(rows):
    """The first of them, with how often each is there."""
    return ", ".join(f"{row} × {count}" for row, count in sorted(rows.items(), key=str)[:4])


def describe(name, rows, what, may=None):
    """In words; rows of the same name that are expected are doubled, others are unknown."""
    if not rows:
        return []
    doubled = f", {sum(1 for row in rows if row in may)} of them doubled" if may is not None else ""
    return [f"{name}: {sum(rows.values())} rows {what}{doubled}: {some(rows)}"]


def live_once(folder, seed, rounds, say):
    """A life of so many rounds; answers how many it had, and raises what was wrong."""
    life = Life(folder, seed)
    done = 0
    try:
        life.begin()
        for number in range(rounds):
            started = time.monotonic()
            way = "?"
            try:
                way = life.round()
                life.check()
                if number == rounds - 1:
                    life.check(at_end=True)
            except Exception as error:
                raise Wrong(f"seed {seed}, round {number + 1} ({way}), process {life.starts - 1}: {error}") from error
            orders = sum(life.load.acknowledged["orders"].values())
            files = len(life.files.known)
            seconds = time.monotonic() - started
            say(f"seed {seed} round {number + 1}: {way}; {orders} orders, {files} files; {seconds:.1f} s")
            done += 1
        return done
    except Exception as error:
        (folder / "wrong.txt").write_text(f"{error}\n")
        raise
    finally:
        life.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", help="the program; else $MILLSTREAM names it")
    parser.add_argument("--rounds", type=int, default=100, help="how often it is ended, over all lives")
    parser.add_argument("--seed", type=int, default=1, help="of the first life; the next ones count up")
    parser.add_argument("--keep", type=Path, default="/tmp/millstream-crash", help="where lives are; failing ones stay")
    options = parser.parse_args()
    say = lambda line: print(line, flush=True)
    seed, left, failed = options.seed, options.rounds, []
    while left > 0:
        rounds = min(left, ROUNDS_OF_A_LIFE)
        left -= rounds
        folder = options.keep / f"seed-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            live_once(folder, seed, rounds, say)
            shutil.rmtree(folder)
        except Exception as error:
            say(f"FAILED {error}\n    kept in {folder}")
            failed.append(seed)
        seed += 1
    say(f"{options.rounds} rounds of {seed - options.seed} lives; failing seeds: {failed or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
