from oracle import out, rows


def expected(records):
    for row in rows(records):
        line = row["LOGLINE"] or ""
        if " INFO " in line:
            word, rest = line.split(" INFO ", 1)
            yield out(WORD=word, REST=rest)
        if "[" in line:
            yield out(WORD=line.split(" ")[0], REST=line[line.index("[") + 1 : line.index("]")])
