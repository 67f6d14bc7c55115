from oracle import SECOND, out, present, rows, sliding, total


def expected(records):
    for row, window in sliding(rows(records), 10 * SECOND, lambda row: row["K"]):
        values = [other["V"] for other in window]
        known = present(values)
        yield out(K=row["K"], TOTAL=total(values), LOW=min(known, default=None), KNOWN=len(known), N=len(window))
