from oracle import SECOND, out, rows, tumbling


def expected(records):
    refused = [row for row in rows(records) if not row["ok"]]
    for _, (door, badge), _ in tumbling(refused, 15 * SECOND, lambda row: (row["door"], row["badge"])):
        yield out(DOOR=door, BADGE=badge)
