"""`error_stream` as a stream: bad records, late rows and failed expressions reach sinks and tables while the service runs."""

import base64
import json

from conftest import command, eventually

READINGS = """
CREATE TABLE readings (n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'stream', 'format' = 'json');
CREATE MATERIALIZED VIEW inverse AS SELECT 100 / n AS i FROM readings;
CREATE MATERIALIZED VIEW minutes AS SELECT window_end, count(*) AS c
    FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_end;
"""
DEAD_LETTERS = """
CREATE TABLE dead_letters (error_name STRING, message STRING, data_row STRING, pump_name STRING)
    WITH ('connector' = 'stream', 'format' = 'json');
CREATE MATERIALIZED VIEW told AS SELECT error_name, pump_name FROM error_stream;
INSERT INTO dead_letters SELECT error_name, message, data_row, pump_name FROM error_stream;
"""


def row(n, at):
    return {"n": n, "ts": f"2026-01-31T15:{at}"}


# Good rows; a division by zero, a bad record and a row that is late by a minute.
RECORDS = [row(1, "00:10"), row(0, "00:20"), row("x", "00:30"), row(4, "02:00"), row(5, "00:40")]
ERRORS = [("coercion", None), ("evaluation", "inverse"), ("late row", "minutes")]


def in_order(errors):
    return sorted(errors, key=lambda error: error[0])


def test_errors_flow_into_a_stream_and_a_table_over_a_restart(start):
    service = start()
    for stream in ["readings", "dead_letters"]:
        service.create_stream(stream, 1)
    service.sql(READINGS)
    service.sql(DEAD_LETTERS)

    def letters():
        lines = service.get("/api/v1/streams/dead_letters/sample?limit=100").json()["records"]
        return in_order((letter["error_name"], letter["pump_name"]) for letter in map(payload, lines))

    def payload(record):
        data = record["data"]
        return data if isinstance(data, dict) else json.loads(data)

    def told():
        return in_order((told["error_name"], told["pump_name"]) for told in service.rows("told"))

    # The row is late once the window has closed.
    service.put("readings", RECORDS[:4], key="n")
    eventually(lambda: any(minute["is_final"] for minute in service.rows("minutes")))
    service.put("readings", RECORDS[4:], key="n")
    eventually(lambda: letters() == ERRORS)
    eventually(lambda: told() == ERRORS)
    service.stop()

    service = start()
    assert told() == ERRORS
    service.put("readings", [row("y", "03:00")], key="n")
    twice = in_order([*ERRORS, ("coercion", None)])
    eventually(lambda: letters() == twice)
    eventually(lambda: told() == twice)


def test_a_run_prints_the_errors_of_a_sink(tmp_path):
    script, replay = tmp_path / "script.sql", tmp_path / "records.ndjson"
    table = "CREATE TABLE dead_letters (error_name STRING, data_row STRING, pump_name STRING, raw BYTES) WITH ('connector' = 'print');"
    query = "INSERT INTO dead_letters SELECT error_name, data_row, pump_name, raw FROM error_stream;"
    script.write_text(READINGS + table + query)
    lines = ({"stream": "readings", "arrival": f"2026-01-31T15:0{number}:00Z", "data": data} for number, data in enumerate(RECORDS))
    replay.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = command("run", script, "--replay", replay)
    assert ran.returncode == 0, ran.stderr
    printed = [json.loads(line) for line in ran.stdout.splitlines()]
    letters = [line["row"] for line in printed if line["table"] == "dead_letters"]
    assert in_order((letter["error_name"], letter["pump_name"]) for letter in letters) == ERRORS
    bad = next(letter for letter in letters if letter["error_name"] == "coercion")
    assert bytes.fromhex(bad["data_row"]) == base64.b64decode(bad["raw"])
    assert json.loads(base64.b64decode(bad["raw"])) == RECORDS[2]
