"""Reads a stream to its last record with boto3: a thread for each shard, each record decoded.

Run by `consume.py` in an environment of its own: address, stream, number of records.
"""

import json
import sys
import threading

import boto3
from botocore.config import Config

address, stream, records = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = Config(max_pool_connections=100)
kinesis = boto3.client("kinesis", endpoint_url=address, region_name="us-east-1", config=config)
seen, lock, done = [0], threading.Lock(), threading.Event()


def read(shard):
    start = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**start)["ShardIterator"]
    while not done.is_set():
        page = kinesis.get_records(ShardIterator=iterator, Limit=10_000)
        iterator = page["NextShardIterator"]
        for record in page["Records"]:
            json.loads(record["Data"])
        with lock:
            seen[0] += len(page["Records"])
            if seen[0] >= records:
                done.set()
        if not page["Records"]:
            done.wait(0.2)


shards = kinesis.list_shards(StreamName=stream)["Shards"]
threads = [threading.Thread(target=read, args=(shard["ShardId"],)) for shard in shards]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(seen[0])
