from oracle import MINUTE, out, rows, stagger, timestamp


def expected(records):
    for close, ticker, members in stagger(rows(records), MINUTE, lambda row: row["TICKER"]):
        first, last = members[0]["PRICE"], members[-1]["PRICE"]
        yield out(CLOSED=timestamp(close), TICKER=ticker, N=len(members), OPENING=first, CLOSING=last)
