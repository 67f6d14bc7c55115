from oracle import out, rows, timestamp


def expected(records):
    for row in rows(records):
        at = timestamp(row.rowtime)
        yield out(**row, doubled=2 * row["speed"], one=at, two=at)
