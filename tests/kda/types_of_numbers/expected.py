from oracle import divide, out, rows


def rounded(number):
    """To the nearest whole number. There are no halves in the records."""
    return int(abs(number) + 0.5) * (1 if number > 0 else -1)


def expected(records):
    for row in rows(records):
        values = {name.upper(): row[name] for name in ("t", "s", "i", "b", "r", "f", "d", "ok", "v")}
        known = row["s"] is not None
        yield out(
            **values, THIRDS=divide(row["s"], 3) if known else None, ROUNDED=rounded(row["d"]) if known else None,
            MAYBE=row["ok"] is not True, KNOWN=row["ok"] is not None,
            # A CHAR(4) is filled up with blanks, and cut.
            LENGTH=4 if known else None,
        )
