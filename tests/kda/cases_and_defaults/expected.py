from oracle import out, rows


def expected(records):
    for row in rows(records):
        a, b = row["A"], row["B"]
        known = None not in (a, b)
        yield out(
            WORD={1: "one", 5: "five"}.get(a), SIZE_OF=("more" if a > b else "less") if known else "who",
            FIRST_KNOWN=b if a is None else a, NONE_IF=None if a == b else a, SIGN=None if a is None else -a,
            MATH=a * 2 + b - 1 if known else None,
        )
