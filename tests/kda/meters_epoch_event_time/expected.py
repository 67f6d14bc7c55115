from oracle import SECOND, out, rows, step, tumbling


def expected(records):
    def device_and_time(row):
        return row["deviceId"], step(row["ts"], 30 * SECOND)

    for _, (device, start), members in tumbling(rows(records), 30 * SECOND, device_and_time):
        volts = [row["volts"] for row in members]
        yield out(**{"deviceId": device, "from": start, "low": min(volts), "high": max(volts), "n": len(members)})
