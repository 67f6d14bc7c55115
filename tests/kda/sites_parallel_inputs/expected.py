from oracle import SECOND, out, rows, tumbling


def expected(records):
    for _, site, members in tumbling(rows(records), 20 * SECOND, lambda row: row["SITE"]):
        yield out(SITE=site, N=len(members), V=sum(row["V"] for row in members))
