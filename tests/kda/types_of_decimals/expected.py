from decimal import Decimal

from oracle import out, rows


def expected(records):
    for row in rows(records):
        a, b = Decimal(row["A"]), Decimal(str(row["B"]))
        # + keeps the larger scale, * adds the scales, / has max(6, 3 + 4 + 1) digits behind the point.
        quotient, bare = a / b, int(Decimal(row["F"]))
        yield out(
            PLUS_TEXT=f"{a + b:.3f}", PRODUCT_TEXT=f"{a * b:.4f}", QUOTIENT=float(quotient), BARE=bare, KEPT=float(a)
        )
