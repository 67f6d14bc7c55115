from oracle import MINUTE, SECOND, groups, out, rows, step


def expected(records):
    keys = {
        "plus": lambda row: step(row.rowtime + 30 * SECOND, MINUTE),
        "minus": lambda row: step(row.rowtime - 5 * SECOND, MINUTE),
    }
    for kind, key in keys.items():
        for _, members in groups(rows(records), key):
            yield out(KIND=kind, LITRES=sum(row["L"] for row in members))
