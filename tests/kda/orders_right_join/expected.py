from oracle import SECOND, matches, out, rows, timestamp, unmatched


def same_id(left, right):
    return left["id"] == right["id"]


def expected(records):
    orders = [row for row in rows(records) if row["kind"] == "order"]
    payments = [row for row in rows(records) if row["kind"] == "payment"]

    pairs = matches(orders, payments, 15 * SECOND, 0, same_id)
    for order, payment in pairs:
        at = timestamp(payment.rowtime)
        yield out(at=at, id=payment["id"], order_id=order["id"], euros=order["euros"])
    for payment in unmatched(payments, [payment for _, payment in pairs]):
        yield out(at=timestamp(payment.rowtime), id=payment["id"], order_id=None, euros=0)
