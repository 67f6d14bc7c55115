from oracle import out, rows


def expected(records):
    for row in rows(records):
        yield out(MESSAGE=row["LINE"][len("Mmm dd hh:mm:ss ") :])
