from oracle import SECOND, out, present, rows, sliding


def expected(records):
    for row, window in sliding(rows(records), 10 * SECOND, lambda row: row["meter"]):
        values = [other["value"] for other in window]
        known = present(values) or [None]
        second, second_last = (values[1], values[-2]) if len(values) > 1 else (None, None)
        yield out(
            meter=row["meter"], value=row["value"], first=values[0], last=values[-1], first_known=known[0],
            last_known=known[-1], second=second, second_last=second_last,
        )
