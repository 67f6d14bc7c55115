from oracle import SECOND, deviation, mean, out, rows, sliding, variance


def expected(records):
    for row, window in sliding(rows(records), 15 * SECOND, lambda row: row["BOX"]):
        c = [other["C"] for other in window]
        yield out(
            BOX=row["BOX"], N=len(c), S=sum(c), A=mean(c), LO=min(c), HI=max(c), SD=deviation(c, sample=True),
            VP=variance(c, sample=False),
        )
