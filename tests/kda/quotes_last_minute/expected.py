from oracle import MINUTE, mean, out, present, rows, sliding, timestamp


def expected(records):
    for row, window in sliding(rows(records), MINUTE, lambda row: row["TICKER"]):
        prices = present([other["PRICE"] for other in window])
        yield out(
            MOMENT=timestamp(row.rowtime), TICKER=row["TICKER"], PRICE=row["PRICE"],
            N=len(prices), AVG_PRICE=mean(prices), HIGH=max(prices, default=None),
        )
