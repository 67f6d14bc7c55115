"""AWS's own clients work on the embedded streams: boto3, the command line, and the SDK for JavaScript (over HTTP/2)."""

import json
import subprocess

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import ENVIRONMENT, PATIENCE_SECONDS, PEERS, eventually, node
from user_events import STREAM, TABLE, TOTALS, events, totals_in, totals_of

COUNT = 10_000
BATCH = 500
KEYS = {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


@pytest.fixture
def kinesis(service):
    return boto3.client("kinesis", endpoint_url=service.url, config=Config(retries={"total_max_attempts": 1}), **KEYS)


def read_all(kinesis, stream):
    """The records of all shards, each shard's in order."""
    records = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        start = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        page = {"NextShardIterator": kinesis.get_shard_iterator(**start)["ShardIterator"], "MillisBehindLatest": 1}
        while page["MillisBehindLatest"] > 0:
            page = kinesis.get_records(ShardIterator=page["NextShardIterator"])
            records += page["Records"]
    return records


def test_boto3_reads_back_what_it_put(kinesis):
    kinesis.create_stream(StreamName="orders", ShardCount=3)
    kinesis.get_waiter("stream_exists").wait(StreamName="orders", WaiterConfig={"Delay": 1})
    for start in range(0, COUNT, BATCH):
        records = [{"Data": f'{{"n":{n}}}'.encode(), "PartitionKey": f"k{n % 50}"} for n in range(start, start + BATCH)]
        assert kinesis.put_records(StreamName="orders", Records=records)["FailedRecordCount"] == 0
    read = read_all(kinesis, "orders")
    assert sorted(json.loads(record["Data"])["n"] for record in read) == list(range(COUNT))
    of_one_key = [json.loads(record["Data"])["n"] for record in read if record["PartitionKey"] == "k7"]
    assert of_one_key == list(range(7, COUNT, 50)), "the records of a key keep their order"


def test_errors_have_the_codes_of_aws(kinesis):
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    shard = "shardId-000000000000"
    for code, call in [
        ("ResourceInUseException", lambda: kinesis.create_stream(StreamName="orders", ShardCount=1)),
        ("ResourceNotFoundException", lambda: kinesis.describe_stream_summary(StreamName="nothing")),
        ("ResourceNotFoundException", lambda: kinesis.put_record(StreamName="nothing", Data=b"x", PartitionKey="k")),
        ("InvalidArgumentException", lambda: kinesis.get_records(ShardIterator="no iterator")),
        ("ValidationException", lambda: kinesis.put_record(StreamName="orders", Data=b"x", PartitionKey="k" * 257)),
        (
            "InvalidArgumentException",
            lambda: kinesis.split_shard(StreamName="orders", ShardToSplit=shard, NewStartingHashKey="0"),
        ),
        (
            "ResourceNotFoundException",
            lambda: kinesis.get_shard_iterator(
                StreamName="orders", ShardId="shardId-000000000009", ShardIteratorType="LATEST"
            ),
        ),
    ]:
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code, refused.value


def test_the_command_line_reads_back_what_it_put(service, kinesis, tmp_path):
    def aws(*arguments):
        ran = subprocess.run(
            [PEERS / "python/bin/aws", "kinesis", *arguments, "--endpoint-url", service.url, "--output", "json"],
            env=ENVIRONMENT
            | {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout else None

    aws("create-stream", "--stream-name", "orders", "--shard-count", "1")
    aws("wait", "stream-exists", "--stream-name", "orders")
    records = [{"Data": "n", "PartitionKey": f"k{n}"} for n in range(BATCH)]
    file = tmp_path / "records.json"
    file.write_text(json.dumps(records))
    put = aws("put-records", "--stream-name", "orders", "--records", f"file://{file}")
    assert put["FailedRecordCount"] == 0
    shard = ["--stream-name", "orders", "--shard-id", put["Records"][0]["ShardId"]]
    iterator = aws("get-shard-iterator", *shard, "--shard-iterator-type", "TRIM_HORIZON")["ShardIterator"]
    read = aws("get-records", "--shard-iterator", iterator)
    assert [record["PartitionKey"] for record in read["Records"]] == [f"k{n}" for n in range(BATCH)]
    assert {record["Data"] for record in read["Records"]} == {"bg=="}, "n, in base64"
    assert aws("list-streams")["StreamNames"] == ["orders"]


def test_the_sdk_for_javascript_reads_back_what_it_put(service):
    found = node("aws_sdk.cjs", service.url, "orders", COUNT)
    assert found["failed"] == 0
    assert sorted(found["read"]) == list(range(COUNT))
    assert found["error"] == "ResourceInUseException"
    assert found["protocol"].startswith(("h2", "NodeHttp2Handler"))


def test_records_put_with_boto3_reach_queries(service, kinesis):
    kinesis.create_stream(StreamName=STREAM, ShardCount=2)
    service.sql(TABLE + TOTALS)
    records = events(range(BATCH))
    entries = [{"Data": json.dumps(record).encode(), "PartitionKey": record["user_id"]} for record in records]
    kinesis.put_records(StreamName=STREAM, Records=entries)
    eventually(lambda: totals_in(service) == totals_of(records))
