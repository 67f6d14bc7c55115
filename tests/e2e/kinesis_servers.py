"""Servers of other people that speak Kinesis (and DynamoDB), each on a free port of 127.0.0.1, and a producer."""

import contextlib
import json
import socket
import subprocess
import threading
import time

import boto3
from conftest import BINARY, ENVIRONMENT, PEERS, REPOSITORY, eventually

KEYS = {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
# What a service needs to talk to them.
AS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def running(command, port, **options):
    """A process, from when it listens until it is killed; yields its address."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        eventually(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def of_node(expression):
    """A server of the Node peers; the expression makes it."""
    port = free_port()
    script = f"{expression}.listen({port}, '127.0.0.1')"
    return running(["node", "--eval", script], port, cwd=PEERS / "node")


def kinesalite():
    return of_node("require('kinesalite')({ createStreamMs: 5, updateStreamMs: 5, shardLimit: 100 })")


def dynalite():
    return of_node("require('dynalite')({ createTableMs: 5 })")


def moto():
    port = free_port()
    return running([PEERS / "python/bin/moto_server", "-H", "127.0.0.1", "-p", str(port)], port)


def kinesis_local():
    port, script = free_port(), REPOSITORY / "scripts/peers/kinesis-local.js"
    return running(["node", script, PEERS / "node/node_modules/kinesis-local", str(port)], port)


def fault_proxy(to, probability, seed):
    """Our own proxy, in front of another server: part of the calls go wrong."""
    port = free_port()
    where = to.removeprefix("http://")
    words = [BINARY.parent / "fault-proxy", "--to", where, "--port", port, "--probability", probability, "--seed", seed]
    return running([str(word) for word in words], port)


class Stream:
    """A stream on one of these servers, with a producer that may be resharded under."""

    def __init__(self, url, name, shards):
        self.kinesis = boto3.client("kinesis", endpoint_url=url, **KEYS)
        self.name = name
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.wait()

    def describe(self):
        return self.kinesis.describe_stream(StreamName=self.name)["StreamDescription"]

    def wait(self):
        eventually(lambda: self.describe()["StreamStatus"] == "ACTIVE")

    def split(self, shard):
        hashes = {one["ShardId"]: one["HashKeyRange"] for one in self.describe()["Shards"]}[shard]
        middle = (int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"])) // 2 + 1
        self.kinesis.split_shard(StreamName=self.name, ShardToSplit=shard, NewStartingHashKey=str(middle))
        self.wait()

    def merge(self, shard, adjacent):
        self.kinesis.merge_shards(StreamName=self.name, ShardToMerge=shard, AdjacentShardToMerge=adjacent)
        self.wait()

    def put(self, records, key):
        """Stores records; those that are refused again, until they are stored."""
        entries = [{"Data": json.dumps(record), "PartitionKey": record[key]} for record in records]
        while entries:
            answers = self.kinesis.put_records(StreamName=self.name, Records=entries)["Records"]
            entries = [entry for entry, answer in zip(entries, answers) if "ErrorCode" in answer]


    def read_all(self):
        """The records of all shards, each shard's in order: until a page is empty."""
        records = []
        for shard in self.describe()["Shards"]:
            start = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = self.kinesis.get_shard_iterator(StreamName=self.name, **start)["ShardIterator"]
            while page := (answer := self.kinesis.get_records(ShardIterator=iterator))["Records"]:
                records += page
                iterator = answer["NextShardIterator"]
        return records


class Producer(threading.Thread):
    """Puts what `make(number)` gives, batch after batch, while it may; keeps what it put."""

    def __init__(self, stream, make, key, batch=20, pause_seconds=0.05):
        super().__init__(daemon=True)
        self.stream, self.make, self.key, self.batch, self.pause_seconds = stream, make, key, batch, pause_seconds
        self.stored = []
        self.ends = False
        self.failure = None

    def run(self):
        try:
            while not self.ends:
                first = len(self.stored)
                self.put([self.make(number) for number in range(first, first + self.batch)])
                time.sleep(self.pause_seconds)
        except Exception as error:
            self.failure = error

    def put(self, records):
        self.stream.put(records, self.key)
        self.stored.extend(records)

    def stop(self):
        self.ends = True
        self.join()
        if self.failure:
            raise self.failure
