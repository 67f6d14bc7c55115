from oracle import out, rows


def expected(records):
    source = rows(records)
    for i, call in enumerate(source):
        if call["WHAT"] == "call":
            for gps in [row for row in source[:i] if row["WHAT"] == "gps"][-3:]:
                if gps["CELL"] < call["CELL"]:
                    yield out(BIKE=call["BIKE"], CALLED_FROM=call["CELL"], OTHER=gps["BIKE"], CELL=gps["CELL"])
