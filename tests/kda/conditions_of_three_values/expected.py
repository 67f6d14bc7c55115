import re

from oracle import out, rows


def no(value):
    return None if value is None else not value


def both(one, other):
    return False if False in (one, other) else None if None in (one, other) else True


def either(one, other):
    return no(both(no(one), no(other)))


def of(function, *values):
    """Unknown where a value is null."""
    return None if None in values else function(*values)


def expected(records):
    for row in rows(records):
        a, b, s = row["A"], row["B"], row["S"]
        equal_b = of(lambda a, b: a == b, a, b)
        conditions = [
            of(lambda a: 1 <= a <= 5, a),
            no(of(lambda a: 5 <= a <= 10, a)),
            of(lambda a: a in (1, 9), a),
            no(either(of(lambda a: a == 1, a), equal_b)),
            of(lambda s: s.startswith("al"), s),
            no(of(lambda s: "%" in s, s)),
            of(lambda s: re.fullmatch("(alpha|beta)(_[0-9])?", s) is not None, s),
            no(of(lambda s: re.fullmatch("[A-Z]+", s) is not None, s)),
            a != b,
            a == 5,
            either(of(lambda a, b: a < b, a, b), of(lambda s: s == "ALPHA", s)),
            None in (a, b),
            both(of(lambda a: a == 5, a), of(lambda b: b == 5, b)),
            both(no(equal_b), no(of(lambda s: s == "alpha", s))),
        ]
        yield out(**{f"B{i + 1}": condition for i, condition in enumerate(conditions)})
