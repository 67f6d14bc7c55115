import math

from oracle import deviation, mean, out, preceding, rows, variance


def expected(records):
    for row, window in preceding(rows(records), 5, lambda row: row["cell"]):
        volts = [other["volt"] for other in window]
        middle, spread = mean(volts), deviation(volts, sample=True)
        # A comparison with null is unknown, and a row for which WHERE is unknown is left out.
        if row["volt"] is not None and spread is not None and abs(row["volt"] - middle) > spread:
            sigma = math.sqrt(variance(volts, sample=False))
            yield out(cell=row["cell"], volt=row["volt"], MIDDLE=middle, SPREAD=spread, SIGMA=sigma)
