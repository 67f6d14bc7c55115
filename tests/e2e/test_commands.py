"""`millstream run` and `millstream check`, as scripts use them."""

import json
from collections import Counter

import pytest
from conftest import REPOSITORY, command
from user_events import TABLE, TOTALS

TOPICS = sorted(query.parent.name for query in (REPOSITORY / "queries").glob("*/query.sql"))


def lines_of(text):
    return Counter(json.dumps(json.loads(line), sort_keys=True) for line in text.splitlines())


@pytest.mark.parametrize("mode", [[], ["--batch"]], ids=["stream", "batch"])
@pytest.mark.parametrize("topic", TOPICS)
def test_run_prints_the_expected_rows_of_every_query(topic, mode):
    folder = REPOSITORY / "queries" / topic
    ran = command("run", folder / "query.sql", "--replay", folder / "input.ndjson", "--stats", *mode)
    assert ran.returncode == 0, ran.stderr
    assert lines_of(ran.stdout) == lines_of((folder / "expected.ndjson").read_text())
    stats = json.loads(ran.stderr.splitlines()[-1])
    assert stats["rows_in"] == len((folder / "input.ndjson").read_text().splitlines())
    assert stats["rows_out"] > 0 and stats["seconds"] > 0


@pytest.mark.parametrize("mode", [[], ["--batch"]], ids=["stream", "batch"])
def test_rows_that_a_blackhole_swallows_are_counted(tmp_path, mode):
    script, replay = tmp_path / "script.sql", tmp_path / "replay.ndjson"
    script.write_text(
        "CREATE TABLE a (n BIGINT) WITH ('connector' = 'stream', 'format' = 'json');\n"
        "CREATE TABLE b (n BIGINT) WITH ('connector' = 'blackhole');\n"
        "INSERT INTO b SELECT n FROM a WHERE n > 1;\n"
    )
    lines = ({"stream": "a", "arrival": "2026-01-01T00:00:00Z", "key": "k", "data": {"n": n}} for n in range(5))
    replay.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = command("run", script, "--replay", replay, "--stats", *mode)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    stats = json.loads(ran.stderr.splitlines()[-1])
    assert (stats["rows_in"], stats["rows_out"]) == (5, 3)


def test_run_fails_with_the_place_of_a_mistake(tmp_path):
    script = tmp_path / "wrong.sql"
    script.write_text(TABLE.strip() + "\nSELECT nope FROM events;\n")
    replay = tmp_path / "replay.ndjson"
    replay.write_text("")
    ran = command("run", script, "--replay", replay)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "wrong.sql:5:8" in ran.stderr and "nope" in ran.stderr
    replay.write_text("{}\n{nonsense\n")
    script.write_text(TABLE + TOTALS)
    ran = command("run", script, "--replay", replay)
    assert ran.returncode == 1 and "line" in ran.stderr, ran.stderr


def test_run_ends_when_its_sink_has_completed_its_files(tmp_path):
    script = tmp_path / "files.sql"
    script.write_text(
        "CREATE TABLE a (n BIGINT) WITH ('connector' = 'stream', 'format' = 'json');\n"
        f"CREATE TABLE f (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{tmp_path / 'out'}', 'format' = 'json');\n"
        "INSERT INTO f SELECT n FROM a;\n"
    )
    replay = tmp_path / "replay.ndjson"
    replay.write_text('{"stream":"a","arrival":"2026-01-01T00:00:00Z","key":"k","data":{"n":7}}\n')
    for _ in range(10):
        assert command("run", script, "--replay", replay).returncode == 0
    assert {json.loads(line)["n"] for file in (tmp_path / "out").iterdir() for line in file.read_text().splitlines()} == {7}


def test_check_answers_by_its_exit_status_and_in_json(tmp_path):
    good, wrong = tmp_path / "good.sql", tmp_path / "wrong.sql"
    good.write_text(TABLE + TOTALS)
    wrong.write_text(TABLE.strip() + "\nSELECT nope FROM events;\n")
    ran = command("check", good)
    assert (ran.returncode, "totals" in ran.stdout) == (0, True), ran.stderr
    ran = command("check", good, wrong, "--format", "json")
    assert ran.returncode == 1
    of_good, of_wrong = json.loads(ran.stdout)["files"]
    assert [statement["name"] for statement in of_good["statements"]] == ["events", "totals"]
    assert of_good["errors"] == []
    (error,) = of_wrong["errors"]
    assert (error["line"], error["column"]) == (5, 8)
    assert command("check", REPOSITORY / "queries/user_events/query.sql").returncode == 0


def test_check_tells_editors_everything_and_goes_on_after_a_failure(tmp_path):
    wrong, good = tmp_path / "wrong.sql", tmp_path / "good.sql"
    wrong.write_text(
        "CREATE TABLE a (n STRANGE) WITH ('connector' = 'stream', 'format' = 'json');\n"
        "CREATE VIEW b AS SELECT n FROM a;\nSELECT n FROM b;\nSELEC 1;\n" + TABLE.strip() + "\n"
    )
    good.write_text(TABLE + TOTALS)
    ran = command("check", tmp_path / "gone.sql", wrong, good, "--format", "json")
    assert ran.returncode == 1
    of_gone, of_wrong, of_good = json.loads(ran.stdout)["files"]
    assert "gone.sql cannot be read" in of_gone["errors"][0]["message"]
    assert [error["line"] for error in of_wrong["errors"]] == [1, 4], "b and its reader are not to blame"
    assert {tuple(sorted(error)) for error in of_wrong["errors"]} == {("code", "column", "hint", "line", "message")}
    assert [statement["name"] for statement in of_wrong["statements"]] == ["events"]
    (query,) = of_good["queries"]
    assert (query["name"], query["target"], query["sources"]) == ("totals", {"kind": "table", "name": "totals"}, ["events"])
    assert sorted(query) == [
        "column", "columns", "graph", "is_updating", "key", "line", "name", "sources", "target", "window",
    ]  # fmt: skip
    assert {node["kind"] for node in query["graph"]["nodes"]} >= {"source", "hot", "operator", "sink"}
    assert all(len(edge) == 2 for edge in query["graph"]["edges"])
