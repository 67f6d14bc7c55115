"""Kinesis read and written while everything goes wrong: calls are throttled, refused, reset, torn and lost, the stream is
split and merged, and the process is killed. Each record is in an exactly-once sink once, and keys keep their order; in a
stream, which is at least once, what is there twice has the same id."""

import base64
import contextlib
import json
import random
import signal
import time
from collections import Counter, defaultdict

import conftest
import kinesis_servers
import pytest
from aws_kinesis_agg.deaggregator import deaggregate_records
from conftest import eventually
from kinesis_servers import Producer, Stream

KEYS = [f"user-{number}" for number in range(60)]
FAULTS = 0.12
SHARD = "shardId-{:012}".format
ENVIRONMENT = kinesis_servers.AS_ENVIRONMENT | {"MILLSTREAM_CHECKPOINTS_INTERVAL": "200 ms"}


@contextlib.contextmanager
def embedded(folder):
    """Our own endpoint, in a process of its own that is not the one that reads."""
    service = conftest.Service(folder / "embedded", folder / "embedded.log")
    try:
        yield service.url
    finally:
        service.stop(signal.SIGKILL)


def split_and_merge(stream):
    """One shard becomes two, of which one becomes two at once, and two others become one."""
    stream.split(SHARD(0))
    time.sleep(0.4)
    stream.split(SHARD(2))
    time.sleep(1.5)
    stream.merge(SHARD(3), SHARD(1))


# The server, what is done to the stream, how it is read, and whether what is written is aggregated. Moto never ends a
# shard that was split, so that nothing is to be seen of it.
CASES = {
    "kinesalite": (lambda _: kinesis_servers.kinesalite(), split_and_merge, "POLLING", "false"),
    "kinesis-local": (lambda _: kinesis_servers.kinesis_local(), split_and_merge, "POLLING", "true"),
    "moto": (lambda _: kinesis_servers.moto(), lambda _: None, "POLLING", "false"),
    "embedded": (embedded, split_and_merge, "POLLING", "false"),
    "embedded, fan-out": (embedded, split_and_merge, "EFO", "true"),
}


def rows_of(folder):
    """Rows of all visible files, in the order in which they were written."""
    files = folder.glob("[!._]*.json") if folder.exists() else []
    in_order = sorted(files, key=lambda path: int(path.name.split("-")[1]))
    return [json.loads(line) for path in in_order for line in path.read_text().splitlines()]


def written(stream):
    """What a stream holds, taken apart by AWS's own library, which takes records as Lambda gives them."""

    def envelope(record):
        return {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "approximateArrivalTimestamp": 0,
            "data": base64.b64encode(record["Data"]).decode(),
        }

    records = deaggregate_records([{"kinesis": envelope(record)} for record in stream.read_all()])
    return [json.loads(base64.b64decode(record["kinesis"]["data"])) for record in records]


def check_written(rows, put):
    ids = defaultdict(set)
    for row in rows:
        ids[row["n"]].add(row["id"])
    assert ids.keys() == put.keys()
    assert all(len(of_row) == 1 for of_row in ids.values()), "what is there twice has one id"
    assert len(set.union(*ids.values())) == len(ids), "and no other row has it"
    for key in KEYS:
        first = list(dict.fromkeys(row["n"] for row in rows if row["k"] == key))
        assert first == sorted(first), f"{key} is out of order"


@pytest.mark.parametrize("name", CASES)
def test_each_record_counts_once(name, tmp_path):
    server, reshard, reader, aggregates = CASES[name]
    dice = random.Random(name)
    with contextlib.ExitStack() as running:
        url = running.enter_context(server(tmp_path))
        stream, copy = Stream(url, "events", 2), Stream(url, "copy", 2)
        proxy = running.enter_context(kinesis_servers.fault_proxy(url, FAULTS, 7))
        queries, files = tmp_path / "queries", tmp_path / "files"
        queries.mkdir()
        (queries / "copy.sql").write_text(
            f"""
            CREATE TABLE events (k STRING, n BIGINT) WITH ('connector' = 'kinesis', 'format' = 'json',
              'aws.endpoint' = '{proxy}', 'source.init.position' = 'TRIM_HORIZON',
              'source.reader.type' = '{reader}'{", 'source.efo.consumer.name' = 'millstream'" if reader == "EFO" else ""});
            CREATE TABLE files (k STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{files}',
              'format' = 'json', 'sink.rolling-policy.rollover-interval' = '500 ms',
              'sink.rolling-policy.check-interval' = '200 ms');
            INSERT INTO files SELECT k, n FROM events;
            CREATE TABLE copy (k STRING, n BIGINT) WITH ('connector' = 'kinesis', 'format' = 'json',
              'aws.endpoint' = '{proxy}', 'sink.partition-key' = 'k', 'sink.id-field' = 'id',
              'sink.aggregation' = '{aggregates}');
            INSERT INTO copy SELECT k, n FROM events;
            CREATE MATERIALIZED VIEW per_key AS SELECT k, count(*) AS records, sum(n) AS total FROM events GROUP BY k;
            """
        )

        def start(number):
            log = tmp_path / f"millstream-{number}.log"
            service = conftest.Service(tmp_path / "data", log, ["--queries", queries], environment=ENVIRONMENT)
            running.callback(service.stop, signal.SIGKILL)
            return service

        # Key after key, so that the order within a key is that of the numbers.
        producer = Producer(stream, lambda number: {"k": KEYS[number % len(KEYS)], "n": number}, "k", batch=10, pause_seconds=0.1)
        producer.start()
        for life in range(4):
            service = start(life)
            if life == 1:
                reshard(stream)
            time.sleep(dice.uniform(0.8, 2.5))
            service.stop(signal.SIGKILL)
        service = start(4)
        time.sleep(0.5)
        producer.stop()
        put = Counter(record["n"] for record in producer.stored)
        totals = defaultdict(lambda: [0, 0])
        for record in producer.stored:
            totals[record["k"]][0] += 1
            totals[record["k"]][1] += record["n"]

        def shown():
            return {row["k"]: [row["records"], row["total"]] for row in service.rows("per_key")}

        eventually(lambda: shown() == totals)
        eventually(lambda: len(rows_of(files)) >= len(put))
        rows = rows_of(files)
        assert Counter(row["n"] for row in rows) == put
        for key in KEYS:
            of_key = [row["n"] for row in rows if row["k"] == key]
            assert of_key == sorted(of_key), f"{key} is out of order"
        # After each kill rows since the last checkpoint are written again, one of a key at a time.
        eventually(lambda: {row["n"] for row in written(copy)} == put.keys(), patience=180)
        check_written(written(copy), put)
        logs = "".join(path.read_text() for path in tmp_path.glob("millstream-*.log"))
        assert "trying again" in logs, "calls went wrong"
