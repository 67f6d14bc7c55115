from oracle import DAY, HOUR, MINUTE, SECOND, divide, millis, moment, out, step, rows, timestamp


def expected(records):
    for row in rows(records):
        s, e = row["S"] and millis(row["S"]), millis(row["E"])
        end = moment(e)
        parts = {"Y": end.year, "MO": end.month, "D": end.day, "H": end.hour, "MI": end.minute, "S": end.second}
        if s is None:
            rest = dict.fromkeys(("MS", "MINUTES", "EPOCH", "TOMORROW", "EARLIER", "NEXT_HOUR", "QUARTER"))
        else:
            rest = {
                "MS": e - s, "MINUTES": divide(e - s, MINUTE), "EPOCH": s, "TOMORROW": timestamp(s + DAY),
                "EARLIER": timestamp(s - 90 * SECOND - 30 * SECOND), "NEXT_HOUR": timestamp(-(-s // HOUR) * HOUR),
                "QUARTER": timestamp(step(s, 15 * MINUTE)),
            }
        yield out(**parts, **rest, MOMENT=timestamp(row["MS"]), MINUTE_OF=timestamp(step(e, MINUTE)))
