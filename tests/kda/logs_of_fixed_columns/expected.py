from oracle import out, rows


def expected(records):
    for row in rows(records):
        line = row["LINE"]
        yield out(CODE=line[:4], N=line[5:9], SIDE=line[9:])
