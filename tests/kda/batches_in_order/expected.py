from oracle import average, groups, out, rows


def expected(records):
    for batch, members in groups(rows(records), lambda row: row["BATCH"]):
        yield out(BATCH=batch, PIECES=len(members), GRAMS=average([row["GRAMS"] for row in members]))
