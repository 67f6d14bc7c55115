"""`millstream streams` on a running service, which speaks Kinesis."""

import json

from conftest import command


def streams(service, *arguments):
    return command("streams", "--endpoint", service.url, *arguments)


def table(ran):
    """The rows of a list of streams, by name, without their ARNs."""
    assert ran.returncode == 0, ran.stderr
    header, *rows = ran.stdout.splitlines()
    assert header.split() == ["stream", "status", "mode", "shards", "hours", "arn"]
    return {row.split()[0]: row.split()[1:5] for row in rows}


def test_a_stream_is_made_listed_read_and_resharded(service, tmp_path):
    assert table(streams(service, "create", "orders", "--shards", "2")) == {"orders": ["ACTIVE", "PROVISIONED", "2", "24"]}
    again = streams(service, "create", "orders")
    assert again.returncode == 1 and "stream `orders`: ResourceInUseException" in again.stderr
    (tmp_path / "lines").write_text("".join(json.dumps({"user_id": f"u{n}", "n": n}) + "\n" for n in range(20)))
    put = streams(service, "put", "orders", tmp_path / "lines", "--key", "user_id")
    assert put.stdout == "20 records stored in `orders`\n", put.stderr

    tail = streams(service, "tail", "orders", "--from", "TRIM_HORIZON", "--limit", "20")
    lines = [json.loads(line) for line in tail.stdout.splitlines()]
    assert sorted(line["data"]["n"] for line in lines) == list(range(20))
    assert {line["shard"] for line in lines} == {"shardId-000000000000", "shardId-000000000001"}
    assert all(line["key"] == line["data"]["user_id"] and line["stream"] == "orders" for line in lines)

    # What was printed is a replay.
    (tmp_path / "orders.ndjson").write_text(tail.stdout)
    (tmp_path / "count.sql").write_text(
        "CREATE TABLE orders (n BIGINT) WITH ('connector' = 'stream', 'format' = 'json');"
        "CREATE MATERIALIZED VIEW c AS SELECT n % 1 AS zero, sum(n) AS s FROM orders GROUP BY n % 1; SELECT s FROM c;"
    )
    ran = command("run", tmp_path / "count.sql", "--replay", tmp_path / "orders.ndjson")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["row"]["s"] == 190

    split = streams(service, "reshard", "orders", "--split", "shardId-000000000000")
    assert table(split)["orders"][2] == "3"
    merged = streams(service, "reshard", "orders", "--merge", "shardId-000000000002", "shardId-000000000003")
    assert table(merged)["orders"][2] == "2"
    assert table(streams(service, "reshard", "orders", "--shards", "4"))["orders"][2] == "4"
    assert table(streams(service, "list"))["orders"][2] == "4"


def test_what_arrives_is_measured(service):
    service.create_stream("clicks", 1)
    ran = streams(service, "measure", "clicks", "--seconds", "1")
    assert ran.returncode == 0, ran.stderr
    assert "shardId-000000000000" in ran.stdout
    assert "shards needed with 25 % headroom: 1" in ran.stdout


def test_what_is_wrong_is_said_in_words(service):
    for arguments, words in [
        (["tail", "none"], "Kinesis stream `none` does not exist: check its name, region and endpoint"),
        (["tail", "none", "--from", "noon"], "option 'source.init.timestamp'"),
        (["reshard", "none", "--split", "shardId-000000000000"], "stream `none`: ResourceNotFoundException"),
    ]:
        ran = streams(service, *arguments)
        assert ran.returncode == 1 and words in ran.stderr, ran.stderr
        assert len(ran.stderr) < 400, "no inner workings"
    unreachable = command("streams", "--endpoint", "http://127.0.0.1:1", "list")
    assert unreachable.returncode == 1 and "the server cannot be asked" in unreachable.stderr
    assert command("streams", "reshard", "orders").returncode == 2
