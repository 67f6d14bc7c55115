"""`GET /api/v1/tables/{name}/changes`: a snapshot, then what changes, and on from where a reader was."""

import json

from conftest import eventually
from user_events import PER_MINUTE, STREAM, TABLE, TOTALS, events, totals_in, totals_of

RECORDS = events(range(700))


def follow(service, table, last_event_id=None):
    """The events of a table, as (id, kind, data)."""
    headers = {"last-event-id": last_event_id} if last_event_id else {}
    answer = service.get(f"/api/v1/tables/{table}/changes", headers=headers, stream=True)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    fields = {}
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "event" in fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}


def apply(rows, kind, data):
    """What a reader's copy of `totals` is after an event."""
    if kind == "snapshot":
        rows.clear()
    for row in data["rows"]:
        if kind == "delete":
            rows.pop(row["user_id"], None)
        elif kind in ("snapshot", "upsert"):
            rows[row["user_id"]] = (row["events"], row["amount"])


def test_a_reader_has_a_snapshot_and_then_every_change(service):
    service.create_stream(STREAM, 2)
    service.sql(TABLE + TOTALS)
    service.put(STREAM, RECORDS[:350])
    eventually(lambda: totals_in(service) == totals_of(RECORDS[:350]))
    changes, rows = follow(service, "totals"), {}
    _, kind, data = next(changes)
    assert kind == "snapshot"
    apply(rows, kind, data)
    assert rows == totals_of(RECORDS[:350])
    service.put(STREAM, RECORDS[350:])
    for _, kind, data in changes:
        assert kind != "snapshot"
        apply(rows, kind, data)
        if rows == totals_of(RECORDS):
            return


def test_a_reader_that_was_away_gets_what_it_missed(service):
    service.create_stream(STREAM, 1)
    service.sql(TABLE + TOTALS)
    service.put(STREAM, RECORDS[:350])
    eventually(lambda: totals_in(service) == totals_of(RECORDS[:350]))
    changes, rows = follow(service, "totals"), {}
    seen, kind, data = next(changes)
    apply(rows, kind, data)
    changes.close()
    missed = RECORDS[:350] + [{"user_id": "u1", "amount": 1.0, "server_time": RECORDS[-1]["server_time"]}]
    service.put(STREAM, missed[350:])
    eventually(lambda: totals_in(service) == totals_of(missed))
    for _, kind, data in follow(service, "totals", seen):
        assert kind != "snapshot", "what it missed is still kept"
        assert {row["user_id"] for row in data["rows"]} <= {"u1"}, "what did not change is not sent again"
        apply(rows, kind, data)
        if rows == totals_of(missed):
            break


def test_an_id_of_an_earlier_process_is_answered_with_a_snapshot(start):
    service = start()
    service.create_stream(STREAM, 1)
    service.sql(TABLE + TOTALS)
    service.put(STREAM, RECORDS)
    eventually(lambda: totals_in(service) == totals_of(RECORDS))
    seen, _, _ = next(follow(service, "totals"))
    service.stop()
    service = start()
    eventually(lambda: totals_in(service) == totals_of(RECORDS))
    _, kind, data = next(follow(service, "totals", seen))
    assert (kind, len(data["rows"])) == ("snapshot", 7)


def test_watermarks_are_told_and_never_go_back(service):
    service.create_stream(STREAM, 1)
    service.sql(TABLE + PER_MINUTE)
    changes, watermarks = follow(service, "per_minute"), []
    assert next(changes)[1] == "snapshot"
    service.put(STREAM, events([0]))
    service.put(STREAM, events([100_000]))
    for _, kind, data in changes:
        if kind == "watermark":
            assert data["rows"] == []
            watermarks.append(data["watermark"])
            if watermarks[-1] >= "2026-01-01T00:16:35.000":
                break
    assert watermarks == sorted(watermarks)
    is_final = lambda: [row["is_final"] for row in service.rows("per_minute", "&order=window_start")]
    eventually(lambda: is_final() == [True, False])
