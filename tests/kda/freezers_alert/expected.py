from oracle import SECOND, mean, rows, sliding


def expected(records):
    for row, window in sliding(rows(records), 30 * SECOND, lambda row: row["sensor_id"]):
        average = mean([other["temp"] for other in window])
        if average > -8 and (len(window) >= 3 or not row["temp"] < 5):
            level = "critical" if average > 0 else "warning"
            yield "ALERTS", {"sensor_id": row["sensor_id"], "avg_temp": average, "level": level}
