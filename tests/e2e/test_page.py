"""The analysts' page in Chromium, served by the real binary."""

from conftest import node
from user_events import STREAM, TABLE, TOTALS


def test_an_analyst_sees_cells_change_and_makes_a_table_by_sql(service):
    assert "<script" in service.get("/").text, "the page was built before the binary"
    service.create_stream(STREAM, 1)
    service.sql(TABLE + TOTALS)
    seen = node("page.cjs", service.url)
    assert seen["before"][0][:2] == ["u1", "1"]
    assert [row[:2] for row in seen["after"]] == [["u1", "2"], ["u2", "1"]]
    assert "nope" in seen["error"] and "line 1" in seen["error"]
    assert ["u3", "7"] in [[row[0], row[1].removesuffix(".00")] for row in seen["created"]]
    assert seen["errors"] == []
