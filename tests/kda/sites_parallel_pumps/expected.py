from oracle import out, rows


def expected(records):
    for row in rows(records):
        if row["V"] > 5:
            yield out(SITE=row["SITE"], V=row["V"])
