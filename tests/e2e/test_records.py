"""`POST /api/v1/streams/{name}/records`, and the form of refusals."""

import pytest
from conftest import eventually
from user_events import STREAM, TABLE, TOTALS, at, totals_in


def stored(service):
    stream = service.json("/api/v1/streams/orders")
    return sum(shard["records"] for shard in stream["shard_list"])


def send(service, body, content_type="application/json", query="?key=user_id"):
    headers = {"content-type": content_type}
    return service.post(f"/api/v1/streams/orders/records{query}", data=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "content_type", "count"),
    [
        ('{"user_id": "a"}', "application/json", 1),
        ('[{"user_id": "a"}, {"user_id": "b"}]', "application/json", 2),
        ('{"user_id": "a"}\n{"user_id": "b"}\n{"user_id": 3}\n', "application/x-ndjson", 3),
    ],
    ids=["object", "array", "ndjson"],
)
def test_records_come_as_an_object_an_array_or_lines(service, body, content_type, count):
    service.create_stream("orders", 2)
    answer = send(service, body, content_type)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stored"] == count
    assert len({place["sequence_number"] for place in answer.json()["records"]}) == count
    assert stored(service) == count
    sample = service.json("/api/v1/streams/orders/sample")["records"]
    assert {"a"} <= {record["key"] for record in sample}


@pytest.mark.parametrize(
    ("body", "line"),
    [('{"user_id":"a"}\n{"user_id":}\n', 2), ('{"user_id":"a"}\n\n[]\n', 3), ('{"user_id":"a"}\n{"other":1}\n', 2)],
    ids=["no JSON", "no object", "no key"],
)
def test_a_bad_line_is_refused_with_all_others(service, body, line):
    service.create_stream("orders", 1)
    answer = send(service, body, "application/x-ndjson")
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (problem["status"], problem["line"]) == (400, line)
    assert problem["title"] and f"line {line}" in problem["detail"]
    assert stored(service) == 0


def test_what_is_not_there_is_a_problem_with_a_remedy(service):
    for method, path, status in [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/tables/nothing", 404),
        ("GET", "/api/v1/queries/nothing", 404),
        ("POST", "/api/v1/streams/nothing/records", 404),
        ("POST", "/health", 405),
    ]:
        answer = service.get(path) if method == "GET" else service.post(path, data="{}")
        assert answer.status_code == status, f"{method} {path}: {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json", path
        assert {"title", "status", "detail"} <= answer.json().keys(), path


def test_a_refused_statement_says_where_and_nothing_of_the_request_is_kept(service):
    answer = service.post("/api/v1/sql", json={"sql": TABLE + TOTALS + "SELECT nope FROM totals"})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert problem["line"] > 1 and problem["column"] >= 1 and "nope" in problem["detail"], problem
    assert service.json("/api/v1/queries")["queries"] == []
    service.sql(TABLE + TOTALS)
    again = service.post("/api/v1/sql", json={"sql": TOTALS})
    assert again.status_code == 409, again.text


def test_a_stream_that_a_query_reads_is_there_once_the_query_is(service):
    service.sql(TABLE + TOTALS)
    answer = service.post(f"/api/v1/streams/{STREAM}/records?key=user_id", json={"user_id": "a"})
    assert answer.status_code == 200, answer.text


def test_a_record_that_a_query_cannot_read_is_listed_with_its_reason_and_the_others_count(service):
    service.create_stream(STREAM, 1)
    service.sql(TABLE + TOTALS)
    bad = [{"user_id": "a", "amount": 1, "server_time": None}, {"user_id": "a", "amount": "x", "server_time": at(0)}]
    service.put(STREAM, [*bad, {"user_id": "b", "amount": 1, "server_time": at(0)}])
    eventually(lambda: totals_in(service) == {"b": (1, 1.0)})
    errors = eventually(lambda: (found := service.json("/api/v1/errors")["errors"]) and len(found) == 2 and found)
    assert all(error["source"] == "events" and error["sequence_number"] for error in errors)
    assert "server_time" in "".join(error["message"] for error in errors)
    assert "amount" in "".join(error["message"] for error in errors)
