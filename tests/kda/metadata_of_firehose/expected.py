from oracle import SECOND, out, rows, timestamp, tumbling


def expected(records):
    for start, _, members in tumbling(rows(records), 2 * SECOND):
        yield out(SINCE=timestamp(start), N=len(members))
