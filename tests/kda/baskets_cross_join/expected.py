from oracle import out, rows

# prices.json: price and department
PRICES = {"a": (1.5, "fruit"), "b": (12.25, "tools"), "c": (None, None)}


def expected(records):
    for row in rows(records):
        if row["QTY"] > 8:
            for sku in PRICES:
                yield out(KIND="cross", BOUGHT=row["SKU"], LISTED=sku)
        if row["SKU"] in PRICES:
            department = PRICES[row["SKU"]][1]
            yield out(KIND="using", BOUGHT=row["SKU"], LISTED=department)
            if row["QTY"] < 3:
                yield out(KIND="natural", BOUGHT=row["SKU"], LISTED=department)
