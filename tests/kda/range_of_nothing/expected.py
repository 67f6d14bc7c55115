from oracle import out, rows, sliding


def expected(records):
    for row, window in sliding(rows(records), 0, lambda row: row["K"]):
        yield out(K=row["K"], A=row["A"], TOGETHER=sum(other["A"] for other in window))
