from oracle import out, rows


def expected(records):
    for row in rows(records):
        if row["SIZE_CM"] is not None and row["SIZE_CM"] > 8 or row["name"] == "it's":
            glued = "it's A" + chr(9) + "B" + row["name"]
            yield out(**{"NAME": row["name"], "Name": glued, "DAY_OF": "2026-02-03"})
