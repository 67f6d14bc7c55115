from oracle import millis, out, rows


def expected(records):
    # These overlap, and none of their ends are equal.
    for row in rows(records):
        leads = millis(row["S1"]) < millis(row["S2"])
        yield out(LE=leads, LA=not leads, SLE=leads, SLA=not leads)
