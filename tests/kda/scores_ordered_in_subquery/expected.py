from oracle import out, rows, timestamp


def expected(records):
    known = [row for row in rows(records) if row["N"] is not None]
    for row in sorted(known, key=lambda row: (row.rowtime, row["S"], row["N"])):
        yield out(MOMENT=timestamp(row.rowtime), S=row["S"], N=row["N"])
