"""What a start refuses, and what a stop completes."""

import json
import re
import signal
import socket

import pyarrow.parquet
import pytest
from conftest import command, eventually
from user_events import STREAM, TABLE, closing, events, per_minute_of


def test_a_second_process_on_a_data_folder_is_told_why_not(start):
    service = start()
    ran = command("serve", "--data", service.data, "--listen", "127.0.0.1:0")
    assert ran.returncode == 1
    assert "is in use by another process" in ran.stderr and str(service.data) in ran.stderr
    assert service.get("/health").status_code == 200


def test_listening_beyond_this_machine_without_authentication_is_refused(tmp_path):
    ran = command("serve", "--data", tmp_path / "data", "--listen", "0.0.0.0:0")
    assert ran.returncode == 1
    assert "--insecure" in ran.stderr


def test_a_bad_query_file_is_named_with_line_and_column_and_nothing_listens(tmp_path):
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "good.sql").write_text(TABLE)
    (queries / "wrong.sql").write_text("-- totals\nCREATE MATERIALIZED VIEW v AS\nSELECT nope, count(*) FROM events GROUP BY nope;\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ran = command("serve", "--data", tmp_path / "data", "--queries", queries, "--listen", f"127.0.0.1:{port}")
    assert ran.returncode == 1
    assert re.search(r"wrong\.sql.*3.*8", ran.stderr), ran.stderr
    assert "nope" in ran.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_queries_of_a_folder_run_from_the_start(start, tmp_path):
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "events.sql").write_text(TABLE + "CREATE MATERIALIZED VIEW v AS SELECT user_id, count(*) AS n FROM events GROUP BY user_id;")
    service = start("--queries", queries)
    eventually(lambda: service.get("/ready").status_code == 200)
    assert [table["name"] for table in service.json("/api/v1/tables")["tables"]] == ["v"]


@pytest.mark.parametrize("file_format", ["json", "parquet"])
def test_told_to_stop_it_completes_its_files_and_exits_0_within_10_seconds(start, tmp_path, file_format):
    folder = tmp_path / "archive"
    service = start()
    service.create_stream(STREAM, 2)
    service.sql(
        TABLE
        + f"""
        CREATE TABLE archive (window_start TIMESTAMP(3), user_id STRING, events BIGINT)
        WITH ('connector' = 'filesystem', 'path' = '{folder}', 'format' = '{file_format}');
        INSERT INTO archive SELECT window_start, user_id, count(*)
        FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(server_time), INTERVAL '1' MINUTE))
        GROUP BY window_start, window_end, user_id;
        """
    )
    records = events(range(10_000))
    expected = per_minute_of(records)
    service.put(STREAM, records + closing())
    (query,) = service.json("/api/v1/queries")["queries"]
    eventually(lambda: service.json(f"/api/v1/queries/{query['name']}")["rows_out"] >= len(expected))
    assert service.stop(signal.SIGTERM) == 0

    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    assert all(not file.name.startswith((".", "_")) for file in files), f"files are left unfinished: {files}"
    rows = [row for file in files for row in ROWS_OF[file_format](file)]
    found = {(row["window_start"], row["user_id"]): row["events"] for row in rows}
    assert (found, len(rows)) == (expected, len(expected))


def json_rows(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def parquet_rows(file):
    rows = pyarrow.parquet.read_table(file).to_pylist()
    return [row | {"window_start": row["window_start"].isoformat(timespec="milliseconds")} for row in rows]


ROWS_OF = {"json": json_rows, "parquet": parquet_rows}


def test_open_change_streams_do_not_keep_it_from_stopping(start):
    service = start()
    service.sql(TABLE + "CREATE MATERIALIZED VIEW v AS SELECT user_id, count(*) AS n FROM events GROUP BY user_id")
    answer = service.get("/api/v1/tables/v/changes", stream=True)
    assert answer.status_code == 200
    assert service.stop() == 0


def test_the_demo_fills_its_tables_by_itself(start):
    service = start(command="demo")
    tables = {table["name"] for table in service.json("/api/v1/tables")["tables"]}
    assert {"events_per_user", "truck_positions"} <= tables
    for table in ("events_per_user", "truck_positions"):
        eventually(lambda: service.rows(table))
    assert service.get("/ready").status_code == 200
    assert service.stop() == 0
