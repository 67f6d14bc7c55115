from oracle import HOUR, out, present, rows, total, tumbling


def expected(records):
    for _, tower, rides in tumbling(rows(records), HOUR, lambda row: row["tower"]):
        loads = [row["load_kg"] for row in rides]
        down = sum(row["floor"] < 0 for row in rides)
        yield out(TOWER=tower, RIDES=len(rides), WEIGHED=len(present(loads)), DOWN=down, KG=total(loads))
