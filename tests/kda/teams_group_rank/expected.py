from oracle import SECOND, groups, out, rows, timestamp, tumbling


def expected(records):
    sums = [
        (start, team, sum(row["POINTS"] for row in members))
        for start, team, members in tumbling(rows(records), 20 * SECOND, lambda row: row["TEAM"])
    ]
    for start, group in groups(sums, lambda one: one[0]):
        for _, team, points in group:
            place = 1 + sum(other[2] > points for other in group)
            yield out(TEAM=team, POINTS=points, PLACE=place, MOMENT=timestamp(start + 20 * SECOND))
