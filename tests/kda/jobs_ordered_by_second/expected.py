from oracle import SECOND, out, rows, step


def expected(records):
    for row in sorted(rows(records), key=lambda row: (step(row.rowtime, SECOND), -row["PRIORITY"])):
        yield out(job=row["JOB"], priority=row["PRIORITY"])
