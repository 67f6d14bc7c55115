"""Every row comes through with a score, which is 0 while the forest has seen fewer than ten."""


def check(records, rows):
    found = [row for _, row in rows]
    assert [(row["V"], row["W"]) for row in found] == [(r.data["V"], r.data["W"]) for r in records]
    assert all(row["ANOMALY_SCORE"] == 0 for row in found[:9])
    assert all(row["ANOMALY_SCORE"] > 0 for row in found[20:])
