from oracle import out


def expected(records):
    for record in records:
        for line in filter(None, record.data.split(";")):
            letter, number = line.split("|")
            if int(number) != 2:
                yield out(LETTER=letter, N=int(number))
