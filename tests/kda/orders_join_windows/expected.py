from oracle import SECOND, matches, out, rows, timestamp, unmatched


def same_id(left, right):
    return left["id"] == right["id"]


def expected(records):
    orders = [row for row in rows(records) if row["kind"] == "order"]
    payments = [row for row in rows(records) if row["kind"] == "payment"]

    for order, payment in matches(orders, payments, 10 * SECOND, 5 * SECOND, same_id):
        together = timestamp(max(order.rowtime, payment.rowtime))
        yield out(together=together, id=order["id"], euros=order["euros"], paid=payment["euros"])
