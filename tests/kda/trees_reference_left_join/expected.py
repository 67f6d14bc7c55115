from oracle import out, rows

# trees.csv: number, species, year
TREES = {7: ("Linden", 1950), 8: ("Oak, red", 1921), 9: ("Elm", None), 11: ("Ash", 2001)}


def expected(records):
    for row in rows(records):
        species, planted = TREES.get(row["tree"], (None, None))
        # || with a null is null.
        label = f"{species} ({planted})" if planted else "unknown"
        yield out(tree=row["tree"], label=label, cm=row["cm"])
