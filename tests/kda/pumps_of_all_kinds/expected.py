from oracle import out, rows


def expected(records):
    for row in rows(records):
        yield out(ID=row["id"], KMH=row["speed"], ROAD=row["road"], NOTE="all")
        if row["speed"] > 120:
            yield out(ID=row["id"], KMH=None, ROAD=None, NOTE="fast")
        if row["speed"] < 30:
            yield out(ID=row["id"], KMH=None, ROAD=None, NOTE="slow")
