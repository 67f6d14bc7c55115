from oracle import millis, out, rows, timestamp


def expected(records):
    for row in rows(records):
        if row["ozone"] > 80:
            seen = timestamp(millis(row["timestamp"]))
            yield out(STATION=row["station"], OZONE=row["ozone"], SEEN=seen, AGAIN=seen)
