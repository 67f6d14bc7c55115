"""Rows are sorted by second and score, and the spikes are among them."""

from oracle import SECOND, millis, step, timestamp


def check(records, rows):
    found = [row for _, row in rows]
    keys = [(step(millis(row["at"]), SECOND), -row["score"]) for row in found]
    assert keys == sorted(keys)
    assert all(row["score"] > 0.5 for row in found)
    warm_up = timestamp(records[98].time)
    assert all(row["at"] > warm_up for row in found), "nothing scores above 0 until 100 rows were seen"
    scores = {row["rpm"]: row["score"] for row in found}
    spikes = [records[450].data["rpm"], records[600].data["rpm"]]
    assert all(spike in scores for spike in spikes)
    assert set(sorted(scores, key=lambda rpm: -scores[rpm])[:7]) >= set(spikes)
