from oracle import MINUTE, average, out, rows, text, tumbling


def expected(records):
    shop = [row for row in rows(records) if row["url"].startswith("/shop/")]
    for start, url, members in tumbling(shop, MINUTE, lambda row: row["url"]):
        yield out(MINUTE_LABEL=text(start)[:16], URL=url, CLICKS=len(members), AVG_MS=average([row["ms"] for row in members]))
