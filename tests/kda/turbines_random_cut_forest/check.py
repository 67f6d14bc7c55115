"""What holds of any random cut forest."""

# The default of subSampleSize: until so many rows were seen every score is 0.
WARM_UP = 256


def check(records, rows):
    found = [row for table, row in rows if table == "DESTINATION_SQL_STREAM"]
    assert [(row["turbine"], row["rpm"]) for row in found] == [(r.data["turbine"], r.data["rpm"]) for r in records]
    scores = [row["ANOMALY_SCORE"] for row in found]
    assert set(scores[: WARM_UP - 1]) == {0}
    assert all(score > 0 for score in scores[WARM_UP + 1 :])
    best = sorted(range(len(scores)), key=lambda i: -scores[i])[:7]
    assert {450, 600} <= set(best), f"the spikes are in the top 1 %: {best}"
