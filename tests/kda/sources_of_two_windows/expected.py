from oracle import SECOND, out, rows, tumbling


def sums(rows, size):
    return {
        (start + size, key): sum(row["V"] for row in members)
        for start, key, members in tumbling(rows, size, lambda row: row["K"])
    }


def expected(records):
    short, long = sums(rows(records), 10 * SECOND), sums(rows(records), 30 * SECOND)
    for (end, key), last30 in long.items():
        if (end, key) in short:
            yield out(k=key, last10=short[end, key], last30=last30)
