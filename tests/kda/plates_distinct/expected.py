from oracle import SECOND, out, rows, timestamp, tumbling


def expected(records):
    for start, (plate, lane), members in tumbling(rows(records), 10 * SECOND, lambda row: (row["PLATE"], row["LANE"])):
        yield out(PLATE=plate, LANE=lane, SINCE=timestamp(start), SEEN=timestamp(members[0].rowtime))
