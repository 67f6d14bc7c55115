import re

from oracle import out, rows, timestamp


def replaced(text, start, nth):
    if text is None:
        return None
    head, tail, seen = text[: start - 1], text[start - 1 :], 0

    def one(match):
        nonlocal seen
        seen += 1
        return "#" if nth in (0, seen) else match.group()

    return head + re.sub("[0-9]+", one, tail)


def expected(records):
    for row in rows(records):
        if row["START"] < 1:
            yield "error_stream", {"PUMP_NAME": "P", "DATA_ROWTIME": timestamp(row.rowtime)}
        else:
            yield out(S=row["S"], R=replaced(row["S"], row["START"], row["NTH"]))
