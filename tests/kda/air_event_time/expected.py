from oracle import MINUTE, millis, out, rows, step, timestamp, tumbling


def expected(records):
    def sensor_and_minute(row):
        return row["SENSOR"], step(millis(row["EVENT_TIME"]), MINUTE)

    for _, (sensor, minute), members in tumbling(rows(records), MINUTE, sensor_and_minute):
        worst = max(row["PPM"] for row in members)
        yield out(SENSOR=sensor, EVENT_MINUTE=timestamp(minute), READINGS=len(members), WORST=worst)
