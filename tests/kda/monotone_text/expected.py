from oracle import HOUR, out, rows, text, tumbling


def expected(records):
    for start, _, members in tumbling(rows(records), HOUR):
        yield out(hour=text(start)[:13], LITRES=sum(row["L"] for row in members))
