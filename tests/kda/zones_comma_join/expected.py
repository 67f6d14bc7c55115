from oracle import SECOND, out, rows, timestamp, tumbling


def sums(rows, direction):
    chosen = [row for row in rows if row["dir"] == direction]
    windows = tumbling(chosen, 20 * SECOND, lambda row: row["zone"])
    return {(start, zone): sum(row["n"] for row in members) for start, zone, members in windows}


def expected(records):
    ins, outs = sums(rows(records), "in"), sums(rows(records), "out")

    for (start, zone), coming in ins.items():
        if (start, zone) in outs:
            yield out(until=timestamp(start + 20 * SECOND), zone=zone, change=coming - outs[start, zone])
