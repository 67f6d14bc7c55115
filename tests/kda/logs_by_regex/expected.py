import re

from oracle import out, rows

LINE = re.compile(r"(\d{4}-\d\d-\d\d) (\w+) \[([^\]]+)\] pressure=(.*)")


def expected(records):
    for row in rows(records):
        found = row["LOGLINE"] and LINE.fullmatch(row["LOGLINE"])
        columns = found.groups() if found else (None,) * 4
        if columns[1] != "INFO":
            yield out(**dict(zip(("DAY_OF", "LEVEL", "PUMP", "PRESSURE"), columns)))
