from oracle import out, preceding, rows


def expected(records):
    for row, window in preceding(rows(records), 10, lambda row: row["meter"]):
        values = [other["value"] for other in window]
        value, earlier = values[-1], values[:-1]
        before = earlier[-1] if earlier else None
        known = [other for other in earlier if other is not None]
        if None not in (value, before) and value != before:
            change = "up" if value > before else "down"
        else:
            change = "unknown" if value is None else "same"
        yield out(
            meter=row["meter"], value=value, before=before, two_before=earlier[-2] if len(earlier) > 1 else -1,
            known_before=known[-1] if known else None, change=change,
        )
