from oracle import SECOND, out, rows, sliding


def expected(records):
    # All ages are whole half-lives, so it does not matter whether the weight falls in steps or smoothly.
    for row, window in sliding(rows(records), 30 * SECOND, lambda row: row["T"]):
        weights = [0.5 ** ((row.rowtime - other.rowtime) / (10 * SECOND)) for other in window]
        smooth = sum(weight * other["P"] for weight, other in zip(weights, window)) / sum(weights)
        yield out(T=row["T"], P=row["P"], SMOOTH=smooth)
