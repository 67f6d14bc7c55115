from oracle import SECOND, Row, out, rows, tumbling


def expected(records):
    source = rows(records)
    merged = [Row(row.rowtime, what="a") for row in source if row["A"] == 0]
    merged += [Row(row.rowtime, what="b") for row in source if row["B"] == 0]
    for _, what, members in tumbling(merged, 10 * SECOND, lambda row: row["what"]):
        yield out(WHAT=what, N=len(members))
