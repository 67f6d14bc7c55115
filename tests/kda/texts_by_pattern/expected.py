import re

from oracle import out, rows


def expected(records):
    for row in rows(records):
        found = row["S"] and re.fullmatch(r"order ([0-9]+).*", row["S"])
        yield out(S=row["S"], PART=found.group(1) if found else None)
