from oracle import MINUTE, out, rows, tumbling


def expected(records):
    for _, line, members in tumbling(rows(records), MINUTE, lambda row: row["LINE"]):
        riders = [row["PASSENGERS"] for row in members]
        yield out(LINE=line, TRAMS=len(riders), RIDERS=sum(riders), FULLEST=max(riders), EMPTIEST=min(riders))
