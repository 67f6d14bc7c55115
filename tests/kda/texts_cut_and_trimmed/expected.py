import re

from oracle import out, rows


def expected(records):
    names = ("N", "INI", "LOW", "UP", "LAY", "POS", "SUB1", "SUB2", "SUB3", "T1", "T2", "T3", "T4")
    for row in rows(records):
        s = row["S"]
        if s is None:
            yield out(**dict.fromkeys(names))
            continue
        initials = re.sub(r"\w+", lambda word: word.group()[0].upper() + word.group()[1:].lower(), s)
        values = [
            len(s), initials, s.lower(), s.upper(), s[:2] + "**" + s[6:], s.find("w") + 1, s[2:7], s[2:7], s[3:],
            s.strip(" "), s.strip("x"), s.lstrip(" "), s.rstrip(" "),
        ]
        yield out(**dict(zip(names, values)))
