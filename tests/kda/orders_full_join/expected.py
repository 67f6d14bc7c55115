from oracle import SECOND, matches, out, rows, timestamp, unmatched


def same_id(left, right):
    return left["id"] == right["id"]


def expected(records):
    orders = [row for row in rows(records) if row["kind"] == "order"]
    payments = [row for row in rows(records) if row["kind"] == "payment"]

    pairs = matches(orders, payments, 10 * SECOND, 5 * SECOND, same_id)
    for order, payment in pairs:
        at = timestamp(max(order.rowtime, payment.rowtime))
        yield out(at=at, id=order["id"], euros=order["euros"], paid=payment["euros"])
    for order in unmatched(orders, [order for order, _ in pairs]):
        yield out(at=timestamp(order.rowtime + 10 * SECOND), id=order["id"], euros=order["euros"], paid=None)
    for payment in unmatched(payments, [payment for _, payment in pairs]):
        yield out(at=timestamp(payment.rowtime + 5 * SECOND), id=payment["id"], euros=None, paid=payment["euros"])
