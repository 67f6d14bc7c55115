from oracle import out, rows


def expected(records):
    for row in rows(records):
        if row["status"] in (404, 500) or row["status"] > 500 and row["api"] != "/cart":
            yield out(**row)
