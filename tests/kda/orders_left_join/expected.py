from oracle import SECOND, matches, out, rows, timestamp, unmatched


def same_id(left, right):
    return left["id"] == right["id"]


def expected(records):
    orders = [row for row in rows(records) if row["kind"] == "order"]
    payments = [row for row in rows(records) if row["kind"] == "payment"]

    def paid(order, payment):
        return same_id(order, payment) and payment["euros"] > 1

    pairs = matches(orders, payments, 20 * SECOND, 6 * SECOND, paid)
    for order, payment in pairs:
        decided = timestamp(max(order.rowtime, payment.rowtime))
        yield out(decided=decided, id=order["id"], euros=order["euros"], paid=payment["euros"], unpaid=False)
    for order in unmatched(orders, [order for order, _ in pairs]):
        decided = timestamp(order.rowtime + 20 * SECOND)
        yield out(decided=decided, id=order["id"], euros=order["euros"], paid=None, unpaid=True)
