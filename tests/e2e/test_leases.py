"""Several processes on one stream, which they share by leases in DynamoDB: real processes, kinesalite and dynalite."""

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict

import boto3
import botocore.exceptions
import conftest
import pyarrow.parquet
import pytest
from boto3.dynamodb.types import TypeDeserializer
from conftest import eventually
from kinesis_servers import AS_ENVIRONMENT, KEYS as CREDENTIALS, Producer, Stream, dynalite, kinesalite, moto

LEASE_SECONDS = 3
KEYS = [f"user-{number}" for number in range(40)]
START_MS = 1_767_225_600_000
ENVIRONMENT = AS_ENVIRONMENT | {"MILLSTREAM_CHECKPOINTS_INTERVAL": "300 ms"}


def text(millis):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000)) + f".{millis % 1000:03}"


def event(number, at=None):
    return {"id": number, "k": KEYS[number * 7 % len(KEYS)], "ts": text(START_MS + number * 40 if at is None else at)}


class World:
    """A stream, a lease table, and the folders that all processes share."""

    def __init__(self, folder, kinesis_url, dynamodb_url, shards, query):
        self.folder = folder
        self.stream = Stream(kinesis_url, "events", shards)
        self.dynamodb = boto3.client("dynamodb", endpoint_url=dynamodb_url, **CREDENTIALS)
        self.services = []
        self.queries = folder / "queries"
        self.queries.mkdir()
        self.files = folder / "files"
        (self.queries / "shared.sql").write_text(
            f"""
            CREATE TABLE events (
              id BIGINT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
            ) WITH ('connector' = 'kinesis', 'stream' = 'events', 'format' = 'json', 'aws.endpoint' = '{kinesis_url}',
              'source.init.position' = 'TRIM_HORIZON', 'source.partition-key' = 'k',
              'source.lease.table' = 'my-app', 'source.lease.duration' = '{LEASE_SECONDS} s',
              'aws.dynamodb.endpoint' = '{dynamodb_url}');
            {query.replace("$FILES", str(self.files))}
            """
        )
        self.producer = Producer(self.stream, event, "k")

    def start(self):
        number = len(self.services)
        environment = ENVIRONMENT | {"MILLSTREAM_CHECKPOINTS_SHARED_DIR": str(self.folder / "checkpoints")}
        log = self.folder / f"millstream-{number}.log"
        data = self.folder / f"data-{number}"
        arguments = ["--queries", self.queries, "--workers", 2]
        self.services.append(conftest.Service(data, log, arguments, environment=environment))
        return self.services[-1]

    def leases(self):
        try:
            items = self.dynamodb.scan(TableName="my-app", ConsistentRead=True)["Items"]
        except botocore.exceptions.ClientError:
            return {}
        plain = TypeDeserializer().deserialize
        rows = [{name: plain(value) for name, value in item.items()} for item in items]
        return {row["leaseKey"]: row for row in rows}

    def owners(self):
        """How many shards each worker reads."""
        readable = [lease for lease in self.leases().values() if lease["checkpoint"] != "SHARD_END"]
        return Counter(lease.get("leaseOwner") for lease in readable)

    def rows(self):
        """All rows of all visible files."""
        visible = sorted(self.files.glob("[!._]*.parquet")) if self.files.exists() else []
        return [row for path in visible for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]

    def ids(self):
        return Counter(row["id"] for row in self.rows())

    def has_exactly_what_was_put(self):
        found = self.ids()
        twice = [id for id, times in found.items() if times > 1]
        assert not twice, f"more than once: {twice[:10]}"
        return len(found) == len(self.producer.stored)

    def logs(self):
        return "\n".join(service.log.read_text() for service in self.services)


ROWS = """
    CREATE TABLE files (id BIGINT, k STRING, ts TIMESTAMP(3)) WITH ('connector' = 'filesystem', 'path' = '$FILES',
      'format' = 'parquet', 'sink.rolling-policy.rollover-interval' = '500 ms',
      'sink.rolling-policy.check-interval' = '200 ms');
    SET 'pipeline.name' = 'archive';
    INSERT INTO files SELECT id, k, ts FROM events WHERE id >= 0;
"""
WINDOWS = """
    CREATE TABLE files (window_end TIMESTAMP(3), k STRING, events BIGINT, ids BIGINT) WITH (
      'connector' = 'filesystem', 'path' = '$FILES', 'format' = 'parquet',
      'sink.rolling-policy.rollover-interval' = '500 ms', 'sink.rolling-policy.check-interval' = '200 ms');
    SET 'pipeline.name' = 'counts';
    INSERT INTO files SELECT window_end, k, count(*), sum(id)
      FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '4' SECOND)) GROUP BY window_end, k;
"""


def import_kcl(url, *arguments):
    """Runs the command to its end; answers what it printed, or the error."""
    ran = subprocess.run(
        [conftest.BINARY, "kinesis", "import-kcl", "--stream", "events", "--endpoint", url, *arguments],
        env=conftest.ENVIRONMENT | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=conftest.PATIENCE_SECONDS,
    )
    return (ran.returncode, ran.stdout if ran.returncode == 0 else ran.stderr)


@pytest.fixture
def make(tmp_path):
    with contextlib.ExitStack() as servers:
        kinesis, dynamodb = (servers.enter_context(server()) for server in [kinesalite, dynalite])
        worlds = []

        def make_one(shards, query):
            worlds.append(World(tmp_path, kinesis, dynamodb, shards, query))
            return worlds[-1]

        yield make_one
        for world in worlds:
            world.producer.ends = True
            for service in world.services:
                service.stop(signal.SIGKILL)


def test_two_share_and_when_one_is_killed_the_other_goes_on(make):
    world = make(4, ROWS)
    world.start()
    other = world.start()
    world.producer.start()
    eventually(lambda: sorted(world.owners().values()) == [2, 2])
    eventually(lambda: len(world.ids()) > 100)
    other.stop(signal.SIGKILL)
    killed_at, put_before = time.monotonic(), len(world.producer.stored)
    owners = eventually(lambda: (owners := world.owners()) and len(owners) == 1 and owners)
    taken_after = time.monotonic() - killed_at
    assert list(owners.values()) == [4]
    # It is seen to have expired after its duration, at one of three looks in that time; each may have just been done.
    assert taken_after < LEASE_SECONDS * 5 / 3 + 2, taken_after
    eventually(lambda: set(range(put_before)) <= world.ids().keys())
    print(f"taken over {taken_after:.1f} s after the kill, all rows shown after {time.monotonic() - killed_at:.1f} s")
    world.producer.stop()
    eventually(world.has_exactly_what_was_put)
    queries = world.services[0].json("/api/v1/queries")["queries"]
    assert [query["name"] for query in queries] == ["archive"], "its shards are shown as one"


def test_a_third_gets_its_share_and_all_survive_kills_and_splits(make):
    world = make(3, ROWS)
    first = world.start()
    second = world.start()
    world.producer.start()
    eventually(lambda: sorted(world.owners().values()) == [1, 2])
    world.start()
    eventually(lambda: sorted(world.owners().values()) == [1, 1, 1])
    assert "a lease is lost" not in world.logs(), "it was handed over"
    world.stream.split("shardId-000000000001")
    eventually(lambda: "shardId-000000000004" in world.leases())
    eventually(lambda: sorted(world.owners().values()) == [1, 1, 2])
    second.stop(signal.SIGKILL)
    eventually(lambda: sorted(world.owners().values()) == [2, 2])
    world.stream.merge("shardId-000000000003", "shardId-000000000004")
    eventually(lambda: world.owners().total() == 3 and len(world.owners()) == 2)
    assert first.stop(signal.SIGTERM) == 0
    # What is told to stop gives its leases back: nobody waits for them to expire.
    eventually(lambda: list(world.owners().values()) == [3], patience=LEASE_SECONDS)
    world.producer.stop()
    eventually(world.has_exactly_what_was_put)
    eventually(lambda: "shardId-000000000001" not in world.leases(), patience=90)


def test_one_that_stood_still_counts_nothing_twice(make):
    world = make(4, ROWS)
    world.start()
    still = world.start()
    world.producer.start()
    eventually(lambda: sorted(world.owners().values()) == [2, 2])
    for _ in range(2):
        still.process.send_signal(signal.SIGSTOP)
        eventually(lambda: list(world.owners().values()) == [4])
        time.sleep(LEASE_SECONDS)
        still.process.send_signal(signal.SIGCONT)
        eventually(lambda: sorted(world.owners().values()) == [2, 2])
    assert "a lease is lost" in still.log.read_text()
    world.producer.stop()
    eventually(world.has_exactly_what_was_put)


def test_windows_go_on_over_kills_splits_and_merges(make):
    world = make(2, WINDOWS)
    world.start()
    killed = world.start()
    world.producer.start()
    eventually(lambda: sorted(world.owners().values()) == [1, 1])
    eventually(lambda: len(world.rows()) > 20)
    world.stream.split("shardId-000000000000")
    eventually(lambda: world.owners().total() == 3)
    killed.stop(signal.SIGKILL)
    eventually(lambda: list(world.owners().values()) == [3])
    rows = len(world.rows())
    eventually(lambda: len(world.rows()) > rows + 40)
    world.stream.merge("shardId-000000000002", "shardId-000000000003")
    eventually(lambda: world.owners().total() == 2)
    rows = len(world.rows())
    eventually(lambda: len(world.rows()) > rows + 40)
    world.producer.stop()
    # Each shard gets a record that closes what there is.
    last = len(world.producer.stored)
    for _ in range(2):
        first = len(world.producer.stored)
        closing = range(first, first + len(KEYS))
        world.producer.put([event(number, at=START_MS + last * 40 + 3_600_000) for number in closing])
    expected = defaultdict(lambda: [0, 0])
    for record in world.producer.stored[:last]:
        end = (START_MS + record["id"] * 40) // 4000 * 4000 + 4000
        expected[text(end), record["k"]][0] += 1
        expected[text(end), record["k"]][1] += record["id"]

    def found():
        rows = world.rows()
        shown = [((row["window_end"].isoformat(timespec="milliseconds"), row["k"]), [row["events"], row["ids"]]) for row in rows]
        keys = Counter(key for key, _ in shown)
        assert max(keys.values(), default=0) <= 1, keys.most_common(3)
        return dict(shown)

    eventually(lambda: len(found()) >= len(expected))
    assert found() == dict(expected)


def test_an_application_of_the_kcl_is_taken_over_at_its_checkpoints(tmp_path):
    with moto() as url:
        world = World(tmp_path, url, url, 2, ROWS)
        world.producer.put([event(number) for number in range(60)])
        world.dynamodb.create_table(
            TableName="my-app",
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        # A worker of the KCL has read ten records of each shard; KCL 3.5 keeps other things in its table, too.
        left = set(range(60))
        for shard in ["shardId-000000000000", "shardId-000000000001"]:
            iterator = world.stream.kinesis.get_shard_iterator(
                StreamName="events", ShardId=shard, ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            read = world.stream.kinesis.get_records(ShardIterator=iterator, Limit=10)["Records"]
            left -= {json.loads(record["Data"])["id"] for record in read}
            lease = {
                "leaseKey": {"S": shard},
                "leaseOwner": {"S": "kcl-worker"},
                "leaseCounter": {"N": "41"},
                "ownerSwitchesSinceCheckpoint": {"N": "0"},
                "checkpoint": {"S": read[-1]["SequenceNumber"]},
                "checkpointSubSequenceNumber": {"N": "0"},
                "throughputKBps": {"N": "1.5"},
            }
            world.dynamodb.put_item(TableName="my-app", Item=lease)
        leader = {"leaseKey": {"S": "Leader"}, "entityType": {"S": "LEADER"}, "leaderName": {"S": "kcl-worker"}}
        world.dynamodb.put_item(TableName="my-app", Item=leader)

        lives = threading.Event()

        def renew():
            while not lives.wait(0.1):
                world.dynamodb.update_item(
                    TableName="my-app",
                    Key={"leaseKey": {"S": "shardId-000000000000"}},
                    UpdateExpression="ADD leaseCounter :one",
                    ExpressionAttributeValues={":one": {"N": "1"}},
                )

        worker = threading.Thread(target=renew)
        worker.start()
        status, said = import_kcl(url, "--table", "my-app", "--failover-ms", "1500")
        lives.set()
        worker.join()
        assert status == 1 and "kcl-worker renewed leases" in said, said
        status, said = import_kcl(url, "--table", "my-app", "--into", "other", "--failover-ms", "500")
        assert status == 0 and "'source.lease.table' = 'other'" in said, said
        status, said = import_kcl(url, "--table", "my-app", "--failover-ms", "500")
        assert status == 0 and "shardId-000000000001: after " in said, said
        try:
            world.start()
            eventually(lambda: world.ids().keys() == left)
            world.producer.put([event(number) for number in range(60, 80)])
            left |= set(range(60, 80))
            eventually(lambda: world.ids().keys() == left)
            assert max(world.ids().values()) == 1
        finally:
            for service in world.services:
                service.stop(signal.SIGKILL)
