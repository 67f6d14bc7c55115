from oracle import MINUTE, SECOND, Row, out, rows, timestamp, tumbling


def expected(records):
    good = [row for row in rows(records) if row["status"] < 400]
    counts = [
        Row(start + 10 * SECOND, user=user, requests=len(members))
        for start, user, members in tumbling(good, 10 * SECOND, lambda row: row["user"])
    ]
    for start, user, members in tumbling(counts, MINUTE, lambda row: row["user"]):
        busiest = max(row["requests"] for row in members)
        yield out(user=user, busiest=busiest, windows=len(members), minute_end=timestamp(start + MINUTE))
