"""A restart on the same data folder, told or killed: definitions, records and results are there again."""

import signal

import pytest
from conftest import eventually
from user_events import STREAM, TABLE, TOTALS, events, totals_in, totals_of

RECORDS = events(range(2000))


def sequence_numbers(service):
    stream = service.json(f"/api/v1/streams/{STREAM}")
    return [(shard["shard"], shard["records"], shard["first"], shard["last"]) for shard in stream["shard_list"]]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["told", "killed"])
def test_nothing_is_lost_and_nothing_counted_twice(start, how):
    service = start()
    service.create_stream(STREAM, 2)
    service.sql(TABLE + TOTALS)
    service.put(STREAM, RECORDS[:1000])
    eventually(lambda: totals_in(service) == totals_of(RECORDS[:1000]))
    stored = sequence_numbers(service)
    service.stop(how)

    service = start()
    assert [query["name"] for query in service.json("/api/v1/queries")["queries"]] == ["totals"]
    assert sequence_numbers(service) == stored
    service.put(STREAM, RECORDS[1000:])
    eventually(lambda: sum(events for events, _ in totals_in(service).values()) >= len(RECORDS))
    assert totals_in(service) == totals_of(RECORDS)


def test_what_was_dropped_stays_dropped(start):
    service = start()
    service.sql(TABLE + TOTALS)
    service.sql("DROP MATERIALIZED VIEW totals")
    service.stop()
    service = start()
    assert service.json("/api/v1/queries")["queries"] == []
    assert service.get("/api/v1/tables/totals").status_code == 404
    service.sql(TOTALS)
