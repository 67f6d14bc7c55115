"""Tokens and their roles: who may put, ask and change."""

import pytest
import requests
from user_events import STREAM, TABLE, TOTALS

TOKENS = {"producer": "p-secret", "analyst": "a-secret", "admin": "x-secret"}
PUT = ("POST", f"/api/v1/streams/{STREAM}/records", {"user_id": "a"})
ASK = ("POST", "/api/v1/sql", {"sql": "SELECT * FROM totals"})
LIST = ("GET", "/api/v1/tables", None)
DEFINE = ("POST", "/api/v1/sql", {"sql": "CREATE VIEW v AS SELECT user_id FROM events"})
DROP = ("DELETE", "/api/v1/queries/totals", None)
ALLOWED = {None: [], "producer": [PUT], "analyst": [ASK, LIST], "admin": [PUT, ASK, LIST, DEFINE, DROP]}


@pytest.fixture
def guarded(start, tmp_path):
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "totals.sql").write_text(TABLE + TOTALS)
    config = tmp_path / "millstream.toml"
    config.write_text("".join(f'[[auth.tokens]]\ntoken = "{t}"\nrole = "{role}"\n' for role, t in TOKENS.items()))
    service = start("--config", config, "--queries", queries)
    headers = {"authorization": f"Bearer {TOKENS['admin']}"}
    # Where the query's reader has not made it yet.
    assert service.post(f"/api/v1/streams/{STREAM}", json={"shards": 2}, headers=headers).status_code in (201, 409)
    return service


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_its_own_and_nothing_else(guarded, role):
    headers = {"authorization": f"Bearer {TOKENS[role]}"} if role else {}
    for call in [PUT, ASK, LIST, DEFINE, DROP]:
        method, path, body = call
        answer = requests.request(method, guarded.url + path, json=body, headers=headers, timeout=10)
        refused = 403 if role else 401
        expected = [200, 204] if call in ALLOWED[role] else [refused]
        assert answer.status_code in expected, f"{role} {method} {path}: {answer.text}"
    assert guarded.get("/health").status_code == 200


def test_an_unknown_token_is_refused_and_no_token_is_told(guarded):
    answer = guarded.get("/api/v1/tables", headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.text + guarded.log.read_text()
    assert not any(token in said for token in TOKENS.values())
