from oracle import out, rows


def expected(records):
    # The quoted comma and the escaped one separate nothing.
    yield out(COLOR="a,b", N="1", FIRST_OF=None, SECOND_OF=None)
    yield out(COLOR="a,b", N="1", FIRST_OF=None, SECOND_OF=None)
    for row in rows(records):
        if row["LINE"] == "red,12,3.5":
            first, second, _ = row["LINE"].split(",")
            yield out(COLOR=None, N=None, FIRST_OF=first, SECOND_OF=second)
