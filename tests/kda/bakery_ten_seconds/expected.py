from oracle import SECOND, average, mean, out, present, rows, total, tumbling


def expected(records):
    for _, shop, members in tumbling(rows(records), 10 * SECOND, lambda row: row["shop"]):
        buns = [row["buns"] for row in members]
        euros = mean([row["euros"] for row in members])
        yield out(shop=shop, ORDERS=len(members), COUNTED=len(present(buns)), BUNS=total(buns), AVG_BUNS=average(buns), AVG_EUROS=euros)
