"""State over restarts and changes of queries: what goes on, what starts anew, and what is refused in words."""

import shutil
import signal

import pytest
from conftest import eventually

TABLE = """CREATE TABLE e (k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'stream', 'stream' = 'e', 'format' = 'json');"""


def window(seconds, more=""):
    return f"""SELECT window_start, window_end, k, count(*) AS n
        FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '{seconds}' SECOND))
        GROUP BY window_start, window_end, k {more}"""


def events(seconds, key="a"):
    return [{"k": key, "v": s, "ts": f"1970-01-01T00:{s // 60:02}:{s % 60:02}"} for s in seconds]


def shown(service, view="q"):
    rows = service.json(f"/api/v1/tables/{view}/rows?limit=1000")["rows"]
    return sorted((row["window_start"][14:19], row["k"], row["n"], row["is_final"]) for row in rows)


def refused(service, statement):
    answer = service.post("/api/v1/sql", json={"sql": statement})
    assert answer.status_code in (400, 409), answer.text
    return answer.json()


COUNTED = [("00:00", "a", 10, True), ("00:10", "a", 10, True), ("00:20", "a", 5, False)]


@pytest.fixture
def counting(start):
    """A service that counts in windows of ten seconds; the last one is open."""
    service = start()
    service.create_stream("e", 1)
    service.sql(f"{TABLE} CREATE MATERIALIZED VIEW q AS {window(10)}")
    service.put("e", events(range(25)), key="k")
    eventually(lambda: shown(service) == COUNTED)
    return service


def test_a_changed_query_goes_on_with_its_state(counting):
    counting.sql(f"CREATE OR REPLACE MATERIALIZED VIEW q AS {window(10, 'HAVING count(*) > 3')}")
    eventually(lambda: shown(counting) == COUNTED)
    counting.put("e", events([28], key="b") + events([45]), key="k")
    eventually(lambda: ("00:20", "a", 5, True) in shown(counting))
    assert [row for row in shown(counting) if row[1] == "b"] == []


def test_what_does_not_fit_is_refused_and_told_how_to_start(counting):
    problem = refused(counting, f"CREATE OR REPLACE MATERIALIZED VIEW q AS {window(20)}")
    assert "TUMBLE(size=10000 ms)" in problem["detail"] and "TUMBLE(size=20000 ms)" in problem["detail"]
    assert "START FROM BEGINNING" in problem["hint"]
    assert shown(counting) == COUNTED, "the old query runs on"
    problem = refused(counting, f"CREATE MATERIALIZED VIEW p START FROM CHECKPOINT AS {window(10)}")
    assert "there is no checkpoint of `p`" in problem["detail"]
    problem = refused(counting, f"CREATE MATERIALIZED VIEW p START FROM SAVEPOINT 'none' AS {window(10)}")
    assert "there is no savepoint 'none'" in problem["detail"]


def test_a_new_query_takes_over_when_it_has_caught_up(counting, start):
    counting.sql(f"CREATE OR REPLACE MATERIALIZED VIEW q START FROM BEGINNING AS {window(20)}")
    replaced = [("00:00", "a", 20, True), ("00:20", "a", 5, False)]
    eventually(lambda: shown(counting) == replaced)
    eventually(lambda: [query["name"] for query in counting.json("/api/v1/queries")["queries"]] == ["q"])
    counting.stop(signal.SIGKILL)
    service = start()
    eventually(lambda: shown(service) == replaced)


def test_a_savepoint_is_gone_back_to_and_starts_another_service(counting, start, tmp_path):
    counting.sql("ALTER QUERY q SAVEPOINT 'before'")
    assert "there is a savepoint 'before' already" in refused(counting, "ALTER QUERY q SAVEPOINT 'before'")["detail"]
    counting.put("e", events([26, 45]), key="k")
    eventually(lambda: ("00:20", "a", 6, True) in shown(counting))
    # It reads again what came after the savepoint.
    counting.sql(f"CREATE MATERIALIZED VIEW again START FROM SAVEPOINT 'before' AS {window(10)}")
    eventually(lambda: ("00:20", "a", 6, True) in shown(counting, "again"))
    counting.stop()
    # Another service that has the same stream.
    shutil.copytree(counting.data / "streams", tmp_path / "other/streams")
    savepoint = counting.data / "checkpoints/savepoints/before"
    other = start(data=tmp_path / "other")
    other.sql(f"{TABLE} CREATE MATERIALIZED VIEW q START FROM SAVEPOINT '{savepoint}' AS {window(10)}")
    eventually(lambda: ("00:20", "a", 6, True) in shown(other))
    other.stop(signal.SIGKILL)
    # What it started from is its own now.
    shutil.rmtree(savepoint)
    other = start(data=tmp_path / "other")
    eventually(lambda: ("00:20", "a", 6, True) in shown(other))


def test_a_paused_query_is_paused_after_a_restart(counting, start):
    assert counting.post("/api/v1/queries/q/pause").json()["state"] == "paused"
    counting.put("e", events([26]), key="k")
    counting.stop(signal.SIGKILL)
    service = start()
    assert service.json("/api/v1/queries/q")["state"] == "paused"
    assert shown(service)[:2] == COUNTED[:2]
    assert service.post("/api/v1/queries/q/resume").json()["state"] == "running"
    eventually(lambda: ("00:20", "a", 6, False) in shown(service))
    service.stop()
    service = start()
    assert service.json("/api/v1/queries/q")["state"] == "running"


def test_a_dropped_query_leaves_nothing_behind(counting, start):
    counting.sql("DROP MATERIALIZED VIEW q")
    assert not list((counting.data / "checkpoints/queries").rglob("*.json"))
    counting.sql(f"CREATE MATERIALIZED VIEW q AS {window(10)}")
    eventually(lambda: shown(counting) == COUNTED)


def test_what_arrives_while_the_service_is_down_is_read_although_the_table_begins_at_the_latest(start):
    service = start()
    service.create_stream("e", 2)
    latest = TABLE.replace("'format'", "'source.init.position' = 'LATEST', 'format'")
    service.put("e", events([1]), key="k")
    service.sql(f"{latest} CREATE MATERIALIZED VIEW q AS {window(10)}")
    eventually(lambda: service.json("/api/v1/queries/q")["shards"])
    service.stop(signal.SIGKILL)
    # Nothing had been read: the position is where the query began.
    service = start()
    service.put("e", events([2, 3, 4]), key="k")
    service.stop(signal.SIGKILL)
    service = start()
    eventually(lambda: shown(service) == [("00:00", "a", 3, False)])


def test_two_services_do_not_share_their_checkpoints(counting, start, tmp_path):
    with pytest.raises(AssertionError, match="is in use by another process"):
        start(data=tmp_path / "other", env={"MILLSTREAM_CHECKPOINTS_DIR": str(counting.data / "checkpoints")})


def test_checkpoints_are_told(counting):
    eventually(lambda: counting.json("/api/v1/queries/q")["checkpoint"]["number"] > 1)
    query = counting.json("/api/v1/queries/q")
    assert query["delivery"] == "exactly-once"
    assert query["checkpoint"]["failing"] is None and query["checkpoint"]["state_bytes"] > 0
    rows = counting.sql("SELECT query, checkpoint, failing FROM millstream.checkpoints")[0]["rows"]
    assert rows[0]["query"] == "q" and rows[0]["checkpoint"] > 1 and rows[0]["failing"] is None
    metrics = counting.get("/metrics").text
    assert 'millstream_checkpoint_failing{query="q"} 0' in metrics


def test_a_paused_query_whose_file_is_gone_keeps_nothing_from_starting(start, tmp_path):
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "q.sql").write_text(f"{TABLE} CREATE MATERIALIZED VIEW q AS {window(10)};")
    service = start("--queries", queries)
    assert service.post("/api/v1/queries/q/pause").json()["state"] == "paused"
    service.stop()
    service = start("--queries", queries)
    assert service.json("/api/v1/queries/q")["state"] == "paused"
    service.stop()
    (queries / "q.sql").unlink()
    assert start("--queries", queries).json("/api/v1/queries")["queries"] == []
