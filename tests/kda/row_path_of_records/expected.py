from oracle import MINUTE, Row, out, total, tumbling


def expected(records):
    source = [Row(record.time, row) for record in records for row in record.data["rows"]]
    for _, sku, members in tumbling(source, MINUTE, lambda row: row["sku"]):
        yield out(SKU=sku, lines=len(members), N=total([row.get("n") for row in members]))
