from oracle import SECOND, Row, matches, mean, out, rows, tumbling


def expected(records):
    source = rows(records)
    averages = [
        Row(start + 10 * SECOND, BOX=box, mean=mean([row["C"] for row in members]))
        for start, box, members in tumbling(source, 10 * SECOND, lambda row: row["BOX"])
    ]
    for row, average in matches(source, averages, 0, 8 * SECOND, lambda one, other: one["BOX"] == other["BOX"]):
        yield out(BOX=row["BOX"], C=row["C"], MEAN_C=average["mean"])
