from oracle import SECOND, out, preceding, rows, sliding


def expected(records):
    source = rows(records)
    for (row, four), (_, near), (_, two) in zip(preceding(source, 3), sliding(source, 3 * SECOND), preceding(source, 1)):
        sums = [sum(other["V"] for other in window) for window in (four, near)]
        yield out(V=row["V"], ROWS_SUM=sums[0], RANGE_SUM=sums[1], BEFORE_THIS=two[0]["V"])
