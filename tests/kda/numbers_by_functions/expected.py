import math

from oracle import out, rows


def expected(records):
    for row in rows(records):
        x, n = row["X"], row["N"]
        names = ("A", "C1", "C2", "E", "F", "L", "L10", "M", "P", "S", "ST")
        if x is None:
            yield out(**dict.fromkeys(names))
            continue
        # The remainder has the dividend's sign; a step is counted from 0, downwards too.
        values = [
            abs(n), math.ceil(x), math.ceil(x), math.exp(x), math.floor(x), math.log(x), math.log10(x),
            int(math.fmod(n, 5)), x**3, math.sqrt(x), n // 5 * 5,
        ]
        yield out(**dict(zip(names, values)))
