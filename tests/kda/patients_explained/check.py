"""Attributions add up to the score and point at the column that was made strange."""

import json


def check(records, rows):
    found = [row for _, row in rows]
    assert [(row["HEART"], row["PRESSURE"]) for row in found] == [(r.data["HEART"], r.data["PRESSURE"]) for r in records]
    assert {row["ANOMALY_SCORE"] for row in found[:255]} == {0}
    for index, column, other, direction in [(500, "HEART", "PRESSURE", "HIGH"), (550, "PRESSURE", "HEART", "LOW")]:
        row = found[index]
        assert row["ANOMALY_SCORE"] > sorted(r["ANOMALY_SCORE"] for r in found)[int(len(found) * 0.99)] - 1e-9
        explained = json.loads(row["ANOMALY_EXPLANATION"])
        assert set(explained) == {"HEART", "PRESSURE"}
        assert explained[column]["DIRECTION"] == direction
        scores = {name: float(part["ATTRIBUTION_SCORE"]) for name, part in explained.items()}
        assert scores[column] > scores[other]
        assert abs(sum(scores.values()) - row["ANOMALY_SCORE"]) < 0.1 * row["ANOMALY_SCORE"]
        assert all("STRENGTH" in part for part in explained.values())
