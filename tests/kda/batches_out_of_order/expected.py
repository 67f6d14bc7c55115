from oracle import groups, out, rows


def expected(records):
    newest, flushes = 0, []
    for row in rows(records):
        # A flush ends where the number grows; the number that comes again is flushed with the newer one.
        newest = max(newest, row["BATCH"])
        flushes.append((newest, row))
    for (_, batch), members in groups(flushes, lambda one: (one[0], one[1]["BATCH"])):
        yield out(BATCH=batch, PIECES=len(members), GRAMS=sum(row["GRAMS"] for _, row in members))
