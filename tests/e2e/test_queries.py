"""Running queries: paused, resumed, dropped, described."""

from conftest import eventually
from crash import call
from user_events import (
    PER_MINUTE, STREAM, TABLE, TOTALS, closed_minutes_in, closing, events, per_minute_of, totals_in, totals_of,
)

RECORDS = events(range(1000))


def test_a_paused_query_counts_what_it_missed_once_it_is_resumed(service):
    service.create_stream(STREAM, 2)
    service.sql(TABLE + TOTALS + TOTALS.replace("totals", "others"))
    service.put(STREAM, RECORDS[:500])
    eventually(lambda: totals_in(service) == totals_of(RECORDS[:500]))
    paused = service.post("/api/v1/queries/totals/pause")
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    service.put(STREAM, RECORDS[500:])
    eventually(lambda: sum(row["events"] for row in service.rows("others")) == len(RECORDS))
    assert totals_in(service) == totals_of(RECORDS[:500]), "the other query went on, this one did not"
    resumed = service.post("/api/v1/queries/totals/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (200, "running")
    eventually(lambda: totals_in(service) == totals_of(RECORDS))


def test_a_dropped_query_is_gone_with_its_table_and_its_name_is_free(service):
    service.create_stream(STREAM, 1)
    service.sql(TABLE + TOTALS)
    assert service.delete("/api/v1/queries/totals").status_code == 204
    assert service.delete("/api/v1/queries/totals").status_code == 404
    assert service.get("/api/v1/tables/totals/rows").status_code == 404
    service.sql(TOTALS)
    service.put(STREAM, RECORDS)
    eventually(lambda: totals_in(service) == totals_of(RECORDS))


def test_a_query_added_later_starts_at_the_beginning_of_its_stream(service):
    service.create_stream(STREAM, 2)
    service.sql(TABLE + TOTALS.replace("totals", "earlier"))
    service.put(STREAM, RECORDS)
    eventually(lambda: sum(row["events"] for row in service.rows("earlier")) == len(RECORDS))
    service.sql(TOTALS)
    eventually(lambda: sum(events for events, _ in totals_in(service).values()) >= len(RECORDS))
    assert totals_in(service) == totals_of(RECORDS)


def test_numbers_of_a_query_add_up(service):
    service.create_stream(STREAM, 2)
    service.sql(TABLE + TOTALS)
    service.put(STREAM, RECORDS + [{"user_id": "bad", "amount": "x", "server_time": "never"}])
    described = lambda: service.json("/api/v1/queries/totals")
    eventually(lambda: described()["rows_in"] == len(RECORDS) + 1)
    eventually(lambda: described()["rejected"] == 1)
    eventually(lambda: all(shard["lag_ms"] == 0 for shard in described()["shards"]))
    # The size of the state is made public ten times a second, not at every step.
    eventually(lambda: described()["groups"] == 7)
    query = described()
    assert (query["state"], query["error"], query["late"], query["groups"]) == ("running", None, 0, 7)
    assert {shard["shard"] for shard in query["shards"]} == {"shardId-000000000000", "shardId-000000000001"}
    metrics = service.get("/metrics").text
    assert f'millstream_rows_in_total{{query="totals"}} {len(RECORDS) + 1}' in metrics


def test_windows_of_a_query_that_is_added_after_a_split_close(service):
    service.create_stream(STREAM, 1)
    service.sql(TABLE + TOTALS)
    service.put(STREAM, RECORDS[:500])
    parent = "shardId-000000000000"
    call(service, "SplitShard", StreamName=STREAM, ShardToSplit=parent, NewStartingHashKey=str(2**127))
    service.put(STREAM, RECORDS[500:] + closing())
    total = len(RECORDS) + len(closing())
    eventually(lambda: sum(events for events, _ in totals_in(service).values()) == total)
    service.sql(PER_MINUTE)
    eventually(lambda: closed_minutes_in(service) == per_minute_of(RECORDS))
