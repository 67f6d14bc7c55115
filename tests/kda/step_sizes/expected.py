from oracle import DAY, HOUR, MINUTE, out, rows, timestamp, tumbling

SIZES = {"7 min": 7 * MINUTE, "90 min": 90 * MINUTE, "100 h": 100 * HOUR, "1 day": DAY}


def expected(records):
    for kind, size in SIZES.items():
        for start, _, members in tumbling(rows(records), size):
            yield out(KIND=kind, SINCE=timestamp(start), TOTAL=sum(row["V"] for row in members), N=len(members))
