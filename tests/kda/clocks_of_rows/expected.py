from oracle import out, rows


def expected(records):
    for row in rows(records):
        yield out(V=row["V"], ON_TIME=True, A=True, B=True, C=True, D=True, E=True)
