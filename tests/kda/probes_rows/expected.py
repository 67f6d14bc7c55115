from oracle import mean, out, preceding, rows


def expected(records):
    for row, window in preceding(rows(records), 2, lambda row: row["probe"]):
        values = [other["celsius"] for other in window]
        yield out(probe=row["probe"], celsius=row["celsius"], smooth=mean(values), coldest=min(values))
