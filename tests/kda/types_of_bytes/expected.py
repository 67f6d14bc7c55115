from oracle import out, rows


def expected(records):
    for row in rows(records):
        yield out(IS_IT=None if row["H"] is None else row["H"] == "X'0aff'", THERE=row["H"] is not None)
