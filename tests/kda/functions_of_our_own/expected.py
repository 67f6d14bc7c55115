import math

from oracle import out, rows


def expected(records):
    for row in rows(records):
        who = "nameless" if row["NAME"] is None else f"<{row['NAME']}>"
        distance = None if None in (row["LAT"], row["LON"]) else math.hypot(row["LAT"], row["LON"])
        yield out(WHO=who, D=distance, DD=None if distance is None else 2 * distance)
