"""`millstream test`: SQL tests of this repository and of a user's own folder."""

import json

import pytest
from conftest import REPOSITORY, command

QUERY = """CREATE TABLE e (k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '0' SECOND)
WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');
CREATE MATERIALIZED VIEW counts AS SELECT window_start, count(*) AS n
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start;
"""
START = "1970-01-01T00:00:00.000"


def record(arrival, time, shard="x"):
    return {"stream": "e", "arrival": arrival, "shard": shard, "data": {"k": shard, "ts": time}}


def count(start, n):
    return {"table": "counts", "row": {"window_start": f"1970-01-01T00:00:{start:02}.000", "n": n}}


def ndjson(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def topic(tmp_path):
    """Writes a test into a folder of the user's."""

    def write(name="topic", query=QUERY, records=(record(1, 1),), expected=(count(0, 1),)):
        folder = tmp_path / "tests" / name
        folder.mkdir(parents=True)
        for file, content in [("query.sql", query), ("input.ndjson", records), ("expected.ndjson", expected)]:
            if content is not None:
                (folder / file).write_text(content if isinstance(content, str) else ndjson(content))
        return folder

    write.root = tmp_path / "tests"
    return write


def test_the_queries_of_this_repository_pass():
    ran = command("test", cwd=REPOSITORY)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert any(line.startswith("ok      queries/user_events") for line in lines), ran.stdout
    assert "ok      queries/user_events/cases/late_and_idle (4 late, 0 rejected)" in lines, ran.stdout
    assert lines[-1].endswith(" tests passed")


def test_rows_are_late_by_what_arrived_before_them(topic):
    records = [record(1, 1), record(2, 12_000), record(2, 2), record(3, 3)]
    topic(records=records, expected=[count(10, 1), count(0, 2)])
    ran = command("test", topic.root)
    assert (ran.returncode, "(1 late, 0 rejected)" in ran.stdout) == (0, True), ran.stdout


def test_steps_let_time_pass(topic):
    y = [record(1, 1), record(1, 1, "y"), record(2000, 12_000)]
    late = record(7000, 2, "y")
    topic("none", records=[*y, late], expected=[count(0, 3), count(10, 1)])
    topic("idle", records=[*y, {"arrival": 6500, "step": "idle"}, late], expected=[count(0, 2), count(10, 1)])
    mark = {"arrival": 2500, "step": "watermark", "stream": "e", "time": 10_000}
    topic("watermark", records=[*y, mark, late], expected=[count(0, 2), count(10, 1)])
    ran = command("test", topic.root)
    assert ran.returncode == 0, ran.stdout
    # `run` knows them too.
    folder = topic.root / "idle"
    ran = command("run", folder / "query.sql", "--replay", folder / "input.ndjson", "--stats")
    assert json.loads(ran.stderr.splitlines()[-1])["late"] == 1
    wrong = topic("wrong", records=[*y, {"arrival": 6500, "step": "idel"}])
    ran = command("test", topic.root)
    assert ran.returncode == 1
    message = f"{wrong}/input.ndjson: line 4 of the replay: the step `idel` is unknown; there are `idle` and `watermark`"
    assert message in ran.stdout, ran.stdout


def test_what_differs_is_shown_and_can_be_taken_over(topic):
    right = topic("a_right", expected='{"row": {"n":1, "window_start":"%s"}, "table":"counts"}\n' % START)
    before = (right / "expected.ndjson").read_bytes()
    wrong = topic("b_wrong", records=[record(1, 1), record(2, 11_000)], expected=[count(0, 2), count(10, 1)])
    new = topic("c_new", expected=None)
    ran = command("test", topic.root)
    assert ran.returncode == 1
    expected = f"""ok      {right}
FAILED  {wrong}
--- {wrong}/expected.ndjson
+++ what the query gives
@@ counts: 1 missing, 1 not expected @@
-{json.dumps(count(0, 2)["row"])}
+{json.dumps(count(0, 1)["row"], separators=(",", ":"))}
 {json.dumps(count(10, 1)["row"])}
FAILED  {new}
{new}/expected.ndjson is missing: `millstream test --update` writes it from what the query gives
2 of 3 tests failed
"""
    assert ran.stdout == expected
    answer = json.loads(command("test", topic.root, "--format", "json").stdout)
    assert [test["status"] for test in answer["tests"]] == ["passed", "failed", "error"]
    (table,) = answer["tests"][1]["tables"]
    assert table == {"table": "counts", "missing": [{"line": 1, "row": count(0, 2)["row"]}], "unexpected": [count(0, 1)["row"]]}
    assert "is missing" in answer["tests"][2]["error"] and (answer["passed"], answer["failed"]) == (1, 2)

    ran = command("test", topic.root, "--update")
    assert ran.returncode == 0, ran.stdout
    written = [line for line in ran.stdout.splitlines() if line.startswith("updated ")]
    assert written == [f"updated {folder}/expected.ndjson" for folder in (wrong, new)]
    assert (right / "expected.ndjson").read_bytes() == before
    assert [json.loads(line) for line in (wrong / "expected.ndjson").read_text().splitlines()] == [count(0, 1), count(10, 1)]
    ran = command("test", topic.root)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "3 tests passed")


def test_the_order_of_rows_counts_where_the_script_says_so(topic):
    swapped = {"records": [record(1, 1), record(2, 11_000)], "expected": [count(10, 1), count(0, 1)]}
    topic("a", **swapped)
    topic("b", query="-- test: ordered\n" + QUERY, **swapped)
    ran = command("test", topic.root)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (1, "1 of 2 tests failed"), ran.stdout


def test_a_broken_script_fails_with_its_place_and_harms_no_other(topic):
    broken = topic("a", query=QUERY + "CREATE VIEW v AS SELECT nope FROM e;\nSELEC 1;\n")
    topic("b")
    ran = command("test", topic.root)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (1, "1 of 2 tests failed")
    assert f"{broken}/query.sql:5:25: error: " in ran.stdout and f"{broken}/query.sql:6:1: error: " in ran.stdout, ran.stdout
    assert "hint: statements start with CREATE" in ran.stdout
    ran = command("test", topic.root, "--update")
    assert ran.returncode == 1 and "FAILED" in ran.stdout
    (broken / "expected.ndjson").write_text("{\n")
    (broken / "query.sql").write_text(QUERY)
    ran = command("test", topic.root)
    assert ran.returncode == 1 and f"{broken}/expected.ndjson: line 1: " in ran.stdout, ran.stdout


def test_wrong_usage_is_told_apart_from_failure(tmp_path):
    for arguments, message in [
        ([tmp_path / "nowhere"], "nowhere is no folder"),
        ([tmp_path], "has no tests: no folder in it has a query.sql"),
        (["--nonsense"], "--nonsense"),
    ]:
        ran = command("test", *arguments)
        assert (ran.returncode, message in ran.stderr) == (2, True), ran.stderr
