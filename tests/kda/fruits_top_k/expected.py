from collections import Counter

from oracle import SECOND, rows, tumbling


def expected(records):
    # So few fruits are counted exactly, and no two are as frequent at the border of three.
    for _, _, members in tumbling(rows(records), 10 * SECOND):
        best = Counter(row["FRUIT"] for row in members).most_common(3)
        for fruit, n in best:
            yield "DESTINATION_SQL_STREAM", {"FRUIT": fruit, "N": n}
        item, n = best[0]
        yield "NAMED", {"ITEM": item, "N": n}
        yield "BY_COLUMN", {"ITEM": item, "N": n}
