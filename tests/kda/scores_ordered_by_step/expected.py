from oracle import SECOND, out, rows, step


def expected(records):
    known = [row for row in rows(records) if row["N"] is not None]
    for row in sorted(known, key=lambda row: (step(row.rowtime, 10 * SECOND), row["S"], -row["N"])):
        yield out(S=row["S"], N=row["N"])
