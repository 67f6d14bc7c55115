from oracle import SECOND, out, preceding, rows, sliding


def expected(records):
    def pump(row):
        return row["pump"]

    source = rows(records)
    windows = [
        sliding(source, 10 * SECOND, pump), sliding(source, 5 * SECOND, pump), preceding(source, 2, pump),
        sliding(source, 20 * SECOND),
    ]
    for (row, ten), (_, five), (_, three), (_, everyone) in zip(*windows):
        bars = [[other["bar"] for other in window] for window in (ten, five, three)]
        yield out(
            PUMP=row["pump"], BAR=row["bar"], SUM10=sum(bars[0]), SUM5=sum(bars[1]), MAX3=max(bars[2]),
            ITSELF=row["bar"], EVERYONE=len(everyone),
        )
