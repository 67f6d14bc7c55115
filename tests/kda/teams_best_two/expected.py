from oracle import SECOND, groups, out, rows, tumbling

# What tells equal sums apart.
BONUS = {"red": 3, "blue": 4, "gold": 1, "lime": 2}


def expected(records):
    sums = [
        (start, 4 * sum(row["hops"] for row in members) + BONUS[team], team)
        for start, team, members in tumbling(rows(records), 20 * SECOND, lambda row: row["team"])
    ]
    for _, group in groups(sums, lambda one: one[0]):
        for place, (_, hops, team) in enumerate(sorted(group)[:2]):
            yield out(team=team, hops=hops, place=place + 1)
