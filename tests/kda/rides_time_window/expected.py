from oracle import SECOND, average, out, rows, timestamp, tumbling


def expected(records):
    plausible = [row for row in rows(records) if 3 <= row["wait"] <= 45]
    for start, ride, members in tumbling(plausible, 30 * SECOND, lambda row: row["ride"]):
        if len(members) > 1:
            window = {"window_start": timestamp(start), "window_end": timestamp(start + 30 * SECOND)}
            yield out(**window, ride=ride, avg_wait=average([row["wait"] for row in members]), n=len(members))
