from oracle import MINUTE, out, rows, tumbling


def expected(records):
    for _, page, members in tumbling(rows(records), MINUTE, lambda row: row["page"]):
        yield out(page=page, visitors=len({row["visitor"] for row in members}))
