from oracle import out, rows

# trees.csv: number, species, year
TREES = {7: ("Linden", 1950), 8: ("Oak, red", 1921), 9: ("Elm", None), 11: ("Ash", 2001)}


def expected(records):
    for row in rows(records):
        if row["tree"] in TREES:
            species, planted = TREES[row["tree"]]
            yield out(tree=row["tree"], species=species, planted=planted, cm=row["cm"])
