from oracle import SECOND, out, rows, tumbling


def expected(records):
    chosen = [row for row in rows(records) if row["shop"] != 3]
    for _, _, members in tumbling(chosen, 15 * SECOND):
        yield out(CARDS=len({row["card"] for row in members}))
