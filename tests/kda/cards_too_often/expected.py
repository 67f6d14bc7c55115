from oracle import SECOND, out, rows, sliding


def expected(records):
    for row, window in sliding(rows(records), 30 * SECOND, lambda row: row["CARD"]):
        spent = sum(other["AMOUNT"] for other in window)
        if len(window) >= 3 and spent > 900:
            yield out(CARD=row["CARD"], CITY=row["CITY"], USES=len(window), SPENT=spent)
