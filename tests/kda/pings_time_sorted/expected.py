from oracle import SECOND, millis, out, rows, timestamp


def expected(records):
    taken, newest = [], 0
    for row in rows(records):
        if row["TS"] is None:
            continue
        time = millis(row["TS"])
        if time >= newest - 5 * SECOND:
            taken.append((time, row["ID"]))
        newest = max(newest, time)
    for time, identity in sorted(taken):
        yield out(at=timestamp(time), id=identity)
