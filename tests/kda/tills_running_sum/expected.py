from oracle import MINUTE, out, rows, sliding, step, timestamp


def expected(records):
    for row, window in sliding(rows(records), MINUTE, lambda row: (row["TILL"], step(row.rowtime, MINUTE))):
        so_far = sum(other["CENTS"] for other in window)
        minute = timestamp(step(row.rowtime, MINUTE))
        yield out(TILL=row["TILL"], MINUTE_START=minute, CENTS=row["CENTS"], SO_FAR=so_far, NTH=len(window))
