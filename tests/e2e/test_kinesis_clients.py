"""Clients of the Kinesis API beyond plain puts and reads: fan-out, CBOR, aggregation, signatures, limits."""

import base64
import json
import subprocess
import threading

import aws_kinesis_agg.aggregator as aggregation
import boto3
import cbor2
import pytest
import requests
from aws_kinesis_agg.deaggregator import iter_deaggregate_records
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session
from conftest import ENVIRONMENT, PATIENCE_SECONDS, PEERS, REPOSITORY, eventually, node

SHARD = "shardId-000000000000"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
KEYS = {"AK1": "right/secret+1", "AK2": {"secret": "right/secret+2", "role": "analyst"}}


def client(service, key="id", secret="secret", retries=1):
    config = Config(retries={"total_max_attempts": retries}, read_timeout=PATIENCE_SECONDS)
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
    return boto3.client("kinesis", endpoint_url=service.url, config=config, **keys)


@pytest.fixture
def kinesis(service):
    kinesis = client(service)
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    return kinesis


def read(kinesis):
    start = {"StreamARN": ARN, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    return kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**start)["ShardIterator"])["Records"]


def test_every_operation_of_the_model_is_answered(service):
    operations = get_session().get_service_model("kinesis").operation_names
    assert len(operations) > 30
    for operation in operations:
        headers = {"x-amz-target": f"Kinesis_20131202.{operation}", "content-type": "application/x-amz-json-1.1"}
        answer = service.post("/", data="{}", headers=headers)
        assert answer.status_code in (200, 400), f"{operation}: {answer.text}"
        assert answer.json().get("__type") != "UnknownOperationException", operation


def test_replies_have_the_members_of_the_model(kinesis):
    kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="c", Tags={"a": "b"})
    kinesis.put_record(StreamARN=ARN, Data=b"x", PartitionKey="k")
    shard = {"StreamARN": ARN, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    model = get_session().get_service_model("kinesis")
    calls = {
        "DescribeAccountSettings": {},
        "DescribeLimits": {},
        "DescribeStream": {"StreamARN": ARN},
        "DescribeStreamConsumer": {"StreamARN": ARN, "ConsumerName": "c"},
        "DescribeStreamSummary": {"StreamARN": ARN},
        "EnableEnhancedMonitoring": {"StreamARN": ARN, "ShardLevelMetrics": ["ALL"]},
        "GetRecords": {"ShardIterator": kinesis.get_shard_iterator(**shard)["ShardIterator"]},
        "ListShards": {"StreamARN": ARN},
        "ListStreamConsumers": {"StreamARN": ARN},
        "ListStreams": {},
        "ListTagsForResource": {"ResourceARN": ARN},
        "UpdateShardCount": {"StreamARN": ARN, "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"},
    }
    for operation, arguments in calls.items():
        headers = {"x-amz-target": f"Kinesis_20131202.{operation}", "content-type": "application/x-amz-json-1.1"}
        answer = requests.post(kinesis.meta.endpoint_url, data=json.dumps(arguments), headers=headers, timeout=10)
        assert answer.status_code == 200, f"{operation}: {answer.text}"
        check(answer.json(), model.operation_model(operation).output_shape, operation)


def check(value, shape, path):
    """Whether a value has the required members of its shape, and no others than its shape's."""
    if shape.type_name == "structure":
        assert set(shape.required_members) <= set(value) <= set(shape.members), f"{path}: {sorted(value)}"
        for name, member in value.items():
            if member is not None:
                check(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for member in value:
            check(member, shape.member, path)
    elif shape.type_name == "string":
        assert isinstance(value, str) and (not shape.enum or value in shape.enum), f"{path}: {value!r}"


def test_boto3_is_pushed_what_is_put(kinesis):
    consumer = kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="c")["Consumer"]["ConsumerARN"]
    start = {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "TRIM_HORIZON"}}
    events = kinesis.subscribe_to_shard(**start)["EventStream"]
    expected = [str(n).encode() for n in range(100)]

    def put():
        for data in expected:
            kinesis.put_record(StreamName="orders", Data=data, PartitionKey="k")
        kinesis.split_shard(StreamARN=ARN, ShardToSplit=SHARD, NewStartingHashKey=str(1 << 127))

    putting = threading.Thread(target=put)
    putting.start()
    read, children = [], []
    for event in events:
        event = event["SubscribeToShardEvent"]
        read += [record["Data"] for record in event["Records"]]
        children = event.get("ChildShards", [])
    putting.join()
    assert read == expected
    assert [child["ShardId"] for child in children] == ["shardId-000000000001", "shardId-000000000002"]
    with pytest.raises(ClientError) as refused:
        kinesis.subscribe_to_shard(**start)
    assert refused.value.response["Error"]["Code"] == "ResourceInUseException"


def test_cbor_goes_in_and_out(service, kinesis):
    def call(operation, members):
        headers = {"x-amz-target": f"Kinesis_20131202.{operation}", "content-type": "application/x-amz-cbor-1.1"}
        answer = service.post("/", data=cbor2.dumps(members), headers=headers)
        assert answer.headers["content-type"] == "application/x-amz-cbor-1.1"
        # What is under a tag of time is milliseconds, not the seconds of CBOR's own rules.
        content = cbor2.loads(answer.content.replace(b"\xc1\x1b", b"\x1b"))
        return answer.status_code, content

    data = bytes(range(256))
    records = [{"Data": data, "PartitionKey": f"k{n}"} for n in range(500)]
    status, put = call("PutRecords", {"StreamName": "orders", "Records": records})
    assert (status, put["FailedRecordCount"], len(put["Records"])) == (200, 0, 500)
    assert {record["Data"] for record in read(kinesis)} == {data}, "in JSON too"
    start = {"StreamARN": ARN, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    _, iterator = call("GetShardIterator", start)
    _, got = call("GetRecords", {"ShardIterator": iterator["ShardIterator"]})
    assert [record["Data"] for record in got["Records"]] == [data] * 500
    arrival = read(kinesis)[0]["ApproximateArrivalTimestamp"]
    assert got["Records"][0]["ApproximateArrivalTimestamp"] == round(arrival.timestamp() * 1000)
    status, refused = call("DescribeStream", {"StreamName": "nothing"})
    assert (status, refused["__type"]) == (400, "ResourceNotFoundException")


def test_aggregated_records_come_out_as_they_went_in(kinesis):
    aggregator = aggregation.RecordAggregator()
    for n in range(200):
        assert aggregator.add_user_record(f"k{n % 7}", f'{{"n":{n}}}'.encode()) is None
    key, _, data = aggregator.clear_and_get().get_contents()
    kinesis.put_record(StreamName="orders", Data=data, PartitionKey=key)
    [stored] = read(kinesis)
    assert stored["Data"] == data
    users = iter_deaggregate_records([stored], data_format="Boto3")
    assert [json.loads(base64.b64decode(user["kinesis"]["data"]))["n"] for user in users] == list(range(200))


def test_async_kinesis_reads_what_it_put(service):
    ran = subprocess.run(
        [PEERS / "async/bin/python", REPOSITORY / "tests/e2e/async_kinesis.py", service.url, "orders", "1000"],
        env=ENVIRONMENT | {"AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == list(range(1000))


@pytest.fixture
def guarded(start, tmp_path):
    config = tmp_path / "millstream.toml"
    config.write_text(
        f'[auth.aws_keys]\nAK1 = "{KEYS["AK1"]}"\nAK2 = {{ secret = "{KEYS["AK2"]["secret"]}", role = "analyst" }}\n'
    )
    return start("--config", config)


def test_requests_have_to_be_signed_where_there_are_keys(guarded):
    right = KEYS["AK1"]
    kinesis = client(guarded, "AK1", right)
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    kinesis.put_records(StreamName="orders", Records=[{"Data": b"x" * 1000, "PartitionKey": "k"}] * 100)
    assert len(read(kinesis)) == 100
    for key, secret, code in [
        ("AK1", "wrong", "InvalidSignatureException"),
        ("AK3", right, "UnrecognizedClientException"),
        ("AK2", KEYS["AK2"]["secret"], "AccessDeniedException"),
    ]:
        with pytest.raises(ClientError) as refused:
            client(guarded, key, secret).list_streams()
        assert refused.value.response["Error"]["Code"] == code
    headers = {"x-amz-target": "Kinesis_20131202.ListStreams", "content-type": "application/x-amz-json-1.1"}
    unsigned = guarded.post("/", data="{}", headers=headers)
    assert (unsigned.status_code, unsigned.json()["__type"]) == (400, "MissingAuthenticationTokenException")
    assert "secret" not in guarded.log.read_text()


def test_the_command_line_signs(guarded):
    keys = {"AWS_ACCESS_KEY_ID": "AK1", "AWS_SECRET_ACCESS_KEY": KEYS["AK1"], "AWS_DEFAULT_REGION": "eu-west-1"}
    for secret, succeeds in [(KEYS["AK1"], True), ("wrong", False)]:
        ran = subprocess.run(
            [PEERS / "python/bin/aws", "kinesis", "list-streams", "--endpoint-url", guarded.url],
            env=ENVIRONMENT | keys | {"AWS_SECRET_ACCESS_KEY": secret},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert (ran.returncode == 0) == succeeds, ran.stderr
        assert succeeds or "InvalidSignatureException" in ran.stderr


def test_the_sdk_for_javascript_is_pushed_what_it_puts(guarded):
    found = node("subscribe.cjs", guarded.url, "AK1", KEYS["AK1"], "orders", 50)
    assert found == {"read": list(range(50)), "again": "ResourceInUseException"}


def test_limits_hold_where_they_are_switched_on(start):
    service = start(env={"MILLSTREAM_KINESIS_ENFORCE_LIMITS": "true"})
    kinesis = client(service)
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    assert kinesis.describe_stream_summary(StreamARN=ARN)["StreamDescriptionSummary"]["StreamStatus"] == "CREATING"
    kinesis.get_waiter("stream_exists").wait(StreamName="orders", WaiterConfig={"Delay": 1})
    records = [{"Data": b"x", "PartitionKey": "k"}] * 500
    replies = [kinesis.put_records(StreamName="orders", Records=records) for _ in range(6)]
    refused = [record["ErrorCode"] for reply in replies for record in reply["Records"] if "ErrorCode" in record]
    assert refused and set(refused) == {"ProvisionedThroughputExceededException"}
    assert sum(reply["FailedRecordCount"] for reply in replies) == len(refused)
    # An SDK that tries again gets through.
    patient = client(service, retries=10)
    eventually(lambda: patient.put_record(StreamName="orders", Data=b"x", PartitionKey="k")["SequenceNumber"])
