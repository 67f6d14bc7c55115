"""What tables answer equals what was put."""

from conftest import eventually
from user_events import (
    PER_MINUTE, STREAM, TABLE, TOTALS, closed_minutes_in, closing, events, per_minute_of, totals_in, totals_of,
)

RECORDS = events(range(10_000))


def test_an_updating_view_counts_every_record_once(service):
    service.create_stream(STREAM, 4)
    service.sql(TABLE + TOTALS)
    service.put(STREAM, RECORDS)
    eventually(lambda: sum(events for events, _ in totals_in(service).values()) >= len(RECORDS))
    assert totals_in(service) == totals_of(RECORDS)
    one = service.json("/api/v1/tables/totals/rows/u3")
    assert one["events"] == totals_of(RECORDS)["u3"][0]
    assert service.get("/api/v1/tables/totals/rows/nobody").status_code == 404


def test_closed_windows_count_every_record_once(service):
    service.create_stream(STREAM, 4)
    service.sql(TABLE + PER_MINUTE)
    service.put(STREAM, RECORDS + closing())
    expected = per_minute_of(RECORDS)
    assert len(expected) == 14, "two minutes of seven users"
    eventually(lambda: len(closed_minutes_in(service)) >= len(expected))
    assert closed_minutes_in(service) == expected
    query = service.json("/api/v1/queries/per_minute")
    assert (query["late"], query["rejected"]) == (0, 0)


def test_a_select_over_a_table_answers_in_the_form_asked_for(service):
    service.create_stream(STREAM, 1)
    service.sql(TABLE + TOTALS)
    service.put(STREAM, RECORDS[:70])
    eventually(lambda: totals_in(service) == totals_of(RECORDS[:70]))
    select = "SELECT user_id, events FROM totals ORDER BY user_id LIMIT 2"
    (result,) = service.sql(select)
    assert (result["kind"], result["rows"]) == ("rows", [{"user_id": "u0", "events": 10}, {"user_id": "u1", "events": 10}])
    for accept, expected in [
        ("text/csv", "user_id,events\nu0,10\nu1,10\n"),
        ("application/x-ndjson", '{"user_id":"u0","events":10}\n{"user_id":"u1","events":10}\n'),
    ]:
        answer = service.post("/api/v1/sql", data=select, headers={"accept": accept, "content-type": "text/plain"})
        assert answer.text.replace("\r\n", "\n") == expected
